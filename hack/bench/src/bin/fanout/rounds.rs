//! The order of events: a first rollout, then edits by the manager and by the bare client in turn, on the same objects.

use std::time::Instant;

use anyhow::{Context, Result};
use hypermirror_bench::Spread;
use hypermirror_e2e::fleet::{SERVICE_ACCOUNT, SYSTEM, TARGETS};
use hypermirror_e2e::{Audit, Cluster, Fleet, Testbed, eventually};
use kube::Client;

use crate::Arguments;
use crate::bare::{self, BarePatch};
use crate::fleet::mirror_set;
use crate::manager::{self, LIMIT, Manager, Usage};
use crate::window::Window;

const PATCHES: &str = "patch deployments";
const REPORTS: &str = "patch hostedclustermirrors/status";

/// One edit, by the manager or by the bare client.
#[derive(Clone, Copy)]
struct Edit {
    seconds: f64,
    cpu: f64,
}

/// The benchmark under way.
pub struct Bench<'a> {
    cluster: &'a Cluster,
    fleet: Fleet,
    audit: Audit,
    /// The bare client: the manager's own user.
    client: Client,
    arguments: Arguments,
    manager: Option<Manager>,
    starts: usize,
    /// The last edit that was made, and the patches that made it.
    edit: usize,
    patches: Vec<BarePatch>,
    at_once: usize,
    pairs: Vec<(Edit, Edit)>,
    alone: Vec<Edit>,
    usages: Vec<(String, Usage)>,
}

impl<'a> Bench<'a> {
    /// On this bed.
    pub async fn new(bed: &'a Testbed, fleet: Fleet, arguments: Arguments) -> Result<Self> {
        let cluster = bed.management();
        Ok(Self {
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

    /// Starts the manager and waits until it has nothing left to do.
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
        self.usages.push((when.to_owned(), usage));
        Ok(())
    }

    async fn writes(&self, mark: hypermirror_e2e::audit::Mark) -> Result<Window> {
        let user = format!("system:serviceaccount:{SYSTEM}:{SERVICE_ACCOUNT}");
        Ok(Window::new(self.audit.writes_by(mark, &user).await?))
    }

    /// Nothing is there but hosted clusters; then the first mirror set comes.
    pub async fn first_rollout(&mut self) -> Result<()> {
        self.start_manager().await?;
        println!("ready after {:.2} s on a fleet that it never saw", self.manager()?.ready_after.as_secs_f64());
        self.note_usage("after the first sync")?;
        let (edit, window) = self.edit_by_manager().await?;
        println!("first mirror set: {:.1} s, {:.1} s of processor time; {}", edit.seconds, edit.cpu, window.line());
        let (edit, window) = self.edit_by_manager().await?;
        println!("second edit: {:.1} s, {:.1} s of processor time; {}", edit.seconds, edit.cpu, window.line());
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
        self.fleet.apply(&mirror_set(self.edit)).await?;
        Ok(())
    }

    async fn edit_by_manager(&mut self) -> Result<(Edit, Window)> {
        let mark = self.audit.mark().await?;
        let before = self.manager()?.usage()?.cpu;
        let reports = self.arguments.clusters;
        let done = self.manager()?.count("hypermirror_target_patches_total").await?;
        self.edit_mirror_set().await?;
        let (manager, wanted) = (self.manager()?, self.targets());
        eventually(LIMIT, "every target is patched", async || {
            let patched = manager.count("hypermirror_target_patches_total").await? - done;
            anyhow::ensure!(patched >= wanted, "{patched} of {wanted}");
            Ok(Some(()))
        })
        .await?;
        let patched = manager.usage()?.cpu - before;
        manager.rests().await?;
        let window = self.writes(mark).await?;
        window.expect(&[(PATCHES, self.targets()), (REPORTS, reports)])?;
        let events = self.audit.since(mark).await?;
        let edit = events.iter().find(|event| event.resource == "imagedigestmirrorsets" && event.is_write());
        let seconds = window.seconds(Some(edit.context("the edit is not in the audit log")?))?;
        Ok((Edit { seconds, cpu: patched }, window))
    }

    /// The same edit by the bare client, the manager stopped.
    async fn edit_by_bare_client(&mut self, at_once: usize) -> Result<Edit> {
        let next: Result<Vec<BarePatch>> = self.patches.iter().map(|patch| patch.next(self.edit)).collect();
        let next = next?;
        self.edit_mirror_set().await?;
        let mark = self.audit.mark().await?;
        let before = manager::usage("self")?.cpu;
        bare::send(&self.client, &next, at_once).await?;
        let cpu = manager::usage("self")?.cpu - before;
        let window = self.writes(mark).await?;
        window.expect(&[(PATCHES, self.targets())])?;
        self.patches = next;
        Ok(Edit { seconds: window.seconds(None)?, cpu })
    }

    /// Which number of requests at once suits the bare client best.
    pub async fn calibrate(&mut self) -> Result<()> {
        self.stop_manager().await?;
        let mut best = f64::MAX;
        for at_once in [16, 32, 64] {
            let edit = self.edit_by_bare_client(at_once).await?;
            println!("bare client, {at_once} at once: {:.1} s, {:.1} s of processor time", edit.seconds, edit.cpu);
            if edit.seconds < best {
                (best, self.at_once) = (edit.seconds, at_once);
            }
        }
        self.start_again().await
    }

    /// Starts the manager after edits that the bare client made: every target is right, every report is behind.
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
            println!("round {round}: {:.1} s, {:.1} s of processor time", ours.seconds, ours.cpu);
            self.alone.push(ours);
            return Ok(());
        }
        self.stop_manager().await?;
        let bare = self.edit_by_bare_client(self.at_once).await?;
        println!(
            "round {round}: manager {:.1} s ({:.1} s of processor time), bare client {:.1} s ({:.1} s), ratio {:.2}",
            ours.seconds,
            ours.cpu,
            bare.seconds,
            bare.cpu,
            ours.seconds / bare.seconds
        );
        self.pairs.push((ours, bare));
        self.start_again().await
    }

    /// A restart where nothing changed: what it asks for, and that it writes nothing.
    pub async fn restart(&mut self) -> Result<()> {
        self.stop_manager().await?;
        let mark = self.audit.mark().await?;
        let start = Instant::now();
        self.start_manager().await?;
        let manager = self.manager()?;
        let usage = manager.usage()?;
        println!(
            "restart: ready after {:.2} s, at rest after {:.1} s (2 s of which are spent on seeing that), {:.1} s of processor time",
            manager.ready_after.as_secs_f64(),
            start.elapsed().as_secs_f64(),
            usage.cpu
        );
        for (labels, count) in manager.series("hypermirror_client_requests_total").await? {
            println!("  {count} {labels}");
        }
        self.writes(mark).await?.expect(&[])?;
        println!("  writes besides the Lease: none");
        self.note_usage("after a restart")
    }

    /// The figures.
    pub fn summary(&self) {
        println!(
            "\n{} hosted clusters, {} targets, {} other Deployments",
            self.arguments.clusters,
            self.targets(),
            self.arguments.clusters * self.arguments.bystanders
        );
        let managers = || self.alone.iter().chain(self.pairs.iter().map(|(ours, _)| ours));
        println!("manager, edit to last patch: {:.1} s", Spread::of(managers().map(|edit| edit.seconds)));
        println!("manager, processor time of an edit: {:.1} s", Spread::of(managers().map(|edit| edit.cpu)));
        println!(
            "memory: {:.0} MB resident, {:.0} MB at most",
            Spread::of(self.usages.iter().map(|(_, usage)| usage.resident)),
            Spread::of(self.usages.iter().map(|(_, usage)| usage.peak))
        );
        if !self.pairs.is_empty() {
            println!(
                "bare client, {} at once: {:.1} s",
                self.at_once,
                Spread::of(self.pairs.iter().map(|(_, bare)| bare.seconds))
            );
            println!("ratio: {:.2}", Spread::of(self.pairs.iter().map(|(ours, bare)| ours.seconds / bare.seconds)));
        }
    }
}
