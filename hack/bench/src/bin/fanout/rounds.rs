//! The sequence of a run: a first rollout, then alternating edits by the manager and by the bare client on the same objects.

use std::time::Instant;

use anyhow::Result;
use hypermirror_bench::Spread;
use hypermirror_bench::edits::{Edit, REPORTS, Stage};
use hypermirror_bench::manager::Usage;
use hypermirror_bench::window::Window;
use hypermirror_e2e::{Fleet, Testbed};

use crate::Arguments;

/// The state of the benchmark.
pub struct Bench<'a> {
    stage: Stage<'a>,
    arguments: Arguments,
    at_once: usize,
    pairs: Vec<(Edit, Edit)>,
    alone: Vec<Edit>,
    usages: Vec<Usage>,
}

impl<'a> Bench<'a> {
    /// Creates the state for a test bed.
    pub async fn new(bed: &'a Testbed, fleet: Fleet, arguments: Arguments) -> Result<Self> {
        let stage = Stage::new(bed, fleet, arguments.clusters, arguments.sources).await?;
        Ok(Self { stage, arguments, at_once: 32, pairs: Vec::new(), alone: Vec::new(), usages: Vec::new() })
    }

    fn note_usage(&mut self, when: &str) -> Result<()> {
        let usage = self.stage.manager()?.usage()?;
        println!("memory {when}: {:.0} MB resident, {:.0} MB at most", usage.resident, usage.peak);
        self.usages.push(usage);
        Ok(())
    }

    /// Starts with hosted clusters only, then adds the first mirror set.
    pub async fn first_rollout(&mut self) -> Result<()> {
        self.stage.start_manager().await?;
        println!("ready after {:.2} s with a new fleet", self.stage.manager()?.ready_after.as_secs_f64());
        self.note_usage("after the first sync")?;
        let (edit, window) = self.edit_by_manager().await?;
        println!("first mirror set: {edit}; {}", window.line());
        let (edit, window) = self.edit_by_manager().await?;
        println!("second edit: {edit}; {}", window.line());
        self.stage.take_patches(&window)?;
        self.note_usage("after two edits")
    }

    async fn edit_by_manager(&mut self) -> Result<(Edit, Window)> {
        let (edit, window) = self.stage.edit_by_manager().await?;
        window.expect(&self.stage.expected())?;
        Ok((edit, window))
    }

    /// Finds the number of concurrent requests with which the bare client is fastest.
    pub async fn calibrate(&mut self) -> Result<()> {
        self.stage.replace_manager(None).await?;
        let mut best = f64::MAX;
        for at_once in [16, 32, 64] {
            let edit = self.stage.edit_by_bare_client(at_once).await?;
            println!("bare client, {at_once} concurrent requests: {edit}");
            if edit.seconds < best {
                (best, self.at_once) = (edit.seconds, at_once);
            }
        }
        self.start_again().await
    }

    /// Starts the manager after edits by the bare client: all targets are up to date, but not the reports.
    async fn start_again(&mut self) -> Result<()> {
        let mark = self.stage.audit.mark().await?;
        self.stage.start_manager().await?;
        self.stage.writes(mark).await?.expect(&[(REPORTS, self.arguments.clusters)])
    }

    /// One edit by the manager and one by the bare client.
    pub async fn round(&mut self, round: usize) -> Result<()> {
        let (ours, window) = self.edit_by_manager().await?;
        self.note_usage(&format!("after edit {}", self.stage.edit))?;
        self.stage.take_patches(&window)?;
        if self.arguments.no_bare {
            println!("round {round}: manager {ours}");
            self.alone.push(ours);
            return Ok(());
        }
        self.stage.replace_manager(None).await?;
        let bare = self.stage.edit_by_bare_client(self.at_once).await?;
        let (time, work) = (ours.seconds / bare.seconds, ours.all / bare.all);
        println!("round {round}: manager {ours}; bare client {bare}; ratio of time {time:.2}, of CPU time {work:.2}");
        self.pairs.push((ours, bare));
        self.start_again().await
    }

    /// A restart without a change: counts its requests and verifies that it writes nothing.
    pub async fn restart(&mut self) -> Result<()> {
        self.stage.replace_manager(None).await?;
        let mark = self.stage.audit.mark().await?;
        let start = Instant::now();
        self.stage.start_manager().await?;
        let manager = self.stage.manager()?;
        let usage = manager.usage()?;
        println!(
            "restart: ready after {:.2} s, idle after {:.1} s (including 2 s to detect it), {:.1} s of CPU time",
            manager.ready_after.as_secs_f64(),
            start.elapsed().as_secs_f64(),
            usage.cpu
        );
        for (labels, count) in manager.series("hypermirror_client_requests_total").await? {
            println!("  {count} {labels}");
        }
        self.stage.writes(mark).await?.expect(&[])?;
        println!("  writes except the Lease: none");
        self.note_usage("after a restart")
    }

    /// The figures.
    pub fn summary(&self) {
        let Arguments { clusters, bystanders, sources, .. } = self.arguments;
        let others = clusters * bystanders;
        println!(
            "\n{clusters} hosted clusters, {sources} sources, {} targets, {others} other Deployments",
            self.stage.targets()
        );
        let managers = self.alone.iter().chain(self.pairs.iter().map(|(ours, _)| ours));
        let of = |value: fn(&Edit) -> f64| Spread::of(managers.clone().map(value));
        println!("manager, edit to last patch: {:.1} s", of(|edit| edit.seconds));
        println!("manager, CPU time of an edit: {:.1} s", of(|edit| edit.client));
        let of = |value: fn(&Usage) -> f64| Spread::of(self.usages.iter().map(value));
        println!("memory: {:.0} MB resident, {:.0} MB at most", of(|usage| usage.resident), of(|usage| usage.peak));
        if self.pairs.is_empty() {
            return;
        }
        let bare = Spread::of(self.pairs.iter().map(|(_, bare)| bare.seconds));
        println!("bare client, {} concurrent requests: {bare:.1} s", self.at_once);
        let ratio =
            |value: fn(&Edit) -> f64| Spread::of(self.pairs.iter().map(|(ours, bare)| value(ours) / value(bare)));
        println!("ratio of time: {:.2}", ratio(|edit| edit.seconds));
        println!("ratio of CPU time, including the servers: {:.2}", ratio(|edit| edit.all));
    }
}
