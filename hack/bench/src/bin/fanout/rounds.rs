//! The sequence of a run: a first rollout, then alternating edits by the manager and by the bare client on the same objects.

use std::fmt;
use std::time::Instant;

use anyhow::{Context, Result};
use hypermirror_bench::Spread;
use hypermirror_bench::manager::{self, LIMIT, Manager, Usage};
use hypermirror_e2e::fleet::{SERVICE_ACCOUNT, SYSTEM, TARGETS};
use hypermirror_e2e::{Audit, Cluster, Fleet, Testbed, eventually};
use kube::Client;

use crate::Arguments;
use crate::bare::{self, BarePatch};
use crate::fleet::mirror_set;

use crate::window::Window;

const PATCHES: &str = "patch deployments";
const REPORTS: &str = "patch hostedclustermirrors/status";

/// One edit, by the manager or by the bare client.
#[derive(Clone, Copy)]
struct Edit {
    /// Time from the edit to the last patch.
    seconds: f64,
    /// CPU time of the manager or of the bare client.
    client: f64,
    /// CPU time including the API server and etcd, which varies less on a shared machine.
    all: f64,
}

impl fmt::Display for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} s, CPU time {:.1} s, including the servers {:.1} s", self.seconds, self.client, self.all)
    }
}

/// The state of the benchmark.
pub struct Bench<'a> {
    bed: &'a Testbed,
    cluster: &'a Cluster,
    fleet: Fleet,
    audit: Audit,
    /// The bare client, with the manager's user.
    client: Client,
    arguments: Arguments,
    manager: Option<Manager>,
    starts: usize,
    /// The last edit and its patches.
    edit: usize,
    patches: Vec<BarePatch>,
    at_once: usize,
    pairs: Vec<(Edit, Edit)>,
    alone: Vec<Edit>,
    usages: Vec<Usage>,
}

impl<'a> Bench<'a> {
    /// Creates the state for a test bed.
    pub async fn new(bed: &'a Testbed, fleet: Fleet, arguments: Arguments) -> Result<Self> {
        let cluster = bed.management();
        Ok(Self {
            bed,
            cluster,
            fleet,
            audit: cluster.audit().await?,
            client: cluster.client_for_service_account(SYSTEM, SERVICE_ACCOUNT).await?,
            arguments,
            manager: None,
            starts: 0,
            edit: 0,
            patches: Vec::new(),
            at_once: 32,
            pairs: Vec::new(),
            alone: Vec::new(),
            usages: Vec::new(),
        })
    }

    fn manager(&self) -> Result<&Manager> {
        self.manager.as_ref().context("the manager does not run")
    }

    fn targets(&self) -> usize {
        self.arguments.clusters * TARGETS.len()
    }

    /// Starts the manager and waits until it is idle.
    async fn start_manager(&mut self) -> Result<()> {
        self.starts += 1;
        let manager = Manager::start(self.cluster, self.starts).await?;
        manager.rests().await?;
        self.manager = Some(manager);
        Ok(())
    }

    async fn stop_manager(&mut self) -> Result<()> {
        match self.manager.take() {
            Some(manager) => manager.stop().await,
            None => Ok(()),
        }
    }

    fn note_usage(&mut self, when: &str) -> Result<()> {
        let usage = self.manager()?.usage()?;
        println!("memory {when}: {:.0} MB resident, {:.0} MB at most", usage.resident, usage.peak);
        self.usages.push(usage);
        Ok(())
    }

    /// CPU time of the API server and etcd.
    fn servers(&self) -> Result<f64> {
        let api_server = self.cluster.api_server_id().context("the API server does not run")?;
        Ok(manager::usage(api_server)?.cpu + manager::usage(self.bed.etcd_id())?.cpu)
    }

    async fn writes(&self, mark: hypermirror_e2e::audit::Mark) -> Result<Window> {
        let user = format!("system:serviceaccount:{SYSTEM}:{SERVICE_ACCOUNT}");
        Ok(Window::new(self.audit.writes_by(mark, &user).await?))
    }

    /// Starts with hosted clusters only, then adds the first mirror set.
    pub async fn first_rollout(&mut self) -> Result<()> {
        self.start_manager().await?;
        println!("ready after {:.2} s with a new fleet", self.manager()?.ready_after.as_secs_f64());
        self.note_usage("after the first sync")?;
        let (edit, window) = self.edit_by_manager().await?;
        println!("first mirror set: {edit}; {}", window.line());
        let (edit, window) = self.edit_by_manager().await?;
        println!("second edit: {edit}; {}", window.line());
        self.take_patches(&window)?;
        self.note_usage("after two edits")
    }

    fn take_patches(&mut self, window: &Window) -> Result<()> {
        let patches: Result<_> = window.patches.iter().map(BarePatch::of).collect();
        self.patches = patches?;
        Ok(())
    }

    async fn edit_mirror_set(&mut self) -> Result<()> {
        self.edit += 1;
        self.fleet.apply(&mirror_set(self.arguments.sources, self.edit)).await?;
        Ok(())
    }

    async fn edit_by_manager(&mut self) -> Result<(Edit, Window)> {
        let mark = self.audit.mark().await?;
        let before = (self.manager()?.usage()?.cpu, self.servers()?);
        let reports = self.arguments.clusters;
        let done = self.manager()?.count("hypermirror_target_patches_total").await?;
        self.edit_mirror_set().await?;
        let (manager, wanted) = (self.manager()?, self.targets());
        eventually(LIMIT, "all targets are patched", async || {
            let patched = manager.count("hypermirror_target_patches_total").await? - done;
            anyhow::ensure!(patched >= wanted, "{patched} of {wanted}");
            Ok(Some(()))
        })
        .await?;
        let client = manager.usage()?.cpu - before.0;
        let all = client + self.servers()? - before.1;
        manager.rests().await?;
        let window = self.writes(mark).await?;
        window.expect(&[(PATCHES, self.targets()), (REPORTS, reports)])?;
        let events = self.audit.since(mark).await?;
        let edit = events.iter().find(|event| event.resource == "imagedigestmirrorsets" && event.is_write());
        let seconds = window.seconds(Some(edit.context("the edit is not in the audit log")?))?;
        Ok((Edit { seconds, client, all }, window))
    }

    /// The same edit by the bare client, while the manager is stopped.
    async fn edit_by_bare_client(&mut self, at_once: usize) -> Result<Edit> {
        let next: Result<Vec<BarePatch>> = self.patches.iter().map(|patch| patch.next(self.edit)).collect();
        let next = next?;
        self.edit_mirror_set().await?;
        let mark = self.audit.mark().await?;
        let before = (manager::usage("self")?.cpu, self.servers()?);
        bare::send(&self.client, &next, at_once).await?;
        let client = manager::usage("self")?.cpu - before.0;
        let all = client + self.servers()? - before.1;
        let window = self.writes(mark).await?;
        window.expect(&[(PATCHES, self.targets())])?;
        self.patches = next;
        Ok(Edit { seconds: window.seconds(None)?, client, all })
    }

    /// Finds the number of concurrent requests with which the bare client is fastest.
    pub async fn calibrate(&mut self) -> Result<()> {
        self.stop_manager().await?;
        let mut best = f64::MAX;
        for at_once in [16, 32, 64] {
            let edit = self.edit_by_bare_client(at_once).await?;
            println!("bare client, {at_once} concurrent requests: {edit}");
            if edit.seconds < best {
                (best, self.at_once) = (edit.seconds, at_once);
            }
        }
        self.start_again().await
    }

    /// Starts the manager after edits by the bare client: all targets are up to date, but not the reports.
    async fn start_again(&mut self) -> Result<()> {
        let mark = self.audit.mark().await?;
        self.start_manager().await?;
        self.writes(mark).await?.expect(&[(REPORTS, self.arguments.clusters)])
    }

    /// One edit by the manager and one by the bare client.
    pub async fn round(&mut self, round: usize) -> Result<()> {
        let (ours, window) = self.edit_by_manager().await?;
        self.note_usage(&format!("after edit {}", self.edit))?;
        self.take_patches(&window)?;
        if self.arguments.no_bare {
            println!("round {round}: manager {ours}");
            self.alone.push(ours);
            return Ok(());
        }
        self.stop_manager().await?;
        let bare = self.edit_by_bare_client(self.at_once).await?;
        let (time, work) = (ours.seconds / bare.seconds, ours.all / bare.all);
        println!("round {round}: manager {ours}; bare client {bare}; ratio of time {time:.2}, of CPU time {work:.2}");
        self.pairs.push((ours, bare));
        self.start_again().await
    }

    /// A restart without a change: counts its requests and verifies that it writes nothing.
    pub async fn restart(&mut self) -> Result<()> {
        self.stop_manager().await?;
        let mark = self.audit.mark().await?;
        let start = Instant::now();
        self.start_manager().await?;
        let manager = self.manager()?;
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
        self.writes(mark).await?.expect(&[])?;
        println!("  writes except the Lease: none");
        self.note_usage("after a restart")
    }

    /// The figures.
    pub fn summary(&self) {
        let Arguments { clusters, bystanders, sources, .. } = self.arguments;
        let others = clusters * bystanders;
        println!(
            "\n{clusters} hosted clusters, {sources} sources, {} targets, {others} other Deployments",
            self.targets()
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
