//! What is measured at one size.

use std::time::{Duration, Instant};

use anyhow::Result;
use hypermirror_bench::edits::{CREATIONS, PATCHES, REPORTS, Stage};
use hypermirror_bench::manager::Manager;
use hypermirror_bench::window::Window;
use serde::{Deserialize, Serialize};

/// The time without a request after which the manager counts as idle.
const IDLE: Duration = Duration::from_secs(2);

/// The figures of one size.
#[derive(Debug, Deserialize, Serialize)]
pub struct Size {
    /// Number of hosted clusters.
    pub clusters: usize,
    /// Those that are new at this size.
    pub new: usize,
    /// The first start, with the new ones.
    pub first: Beginning,
    /// Reports that were created in it.
    pub created: usize,
    /// Writes of reports in it.
    pub reported: usize,
    /// Patches of targets in the last edit.
    pub patched: usize,
    /// Writes of reports in it.
    pub reported_again: usize,
    /// Seconds from an edit to the last patch.
    pub edit: f64,
    /// CPU time of the manager in this edit, seconds.
    pub edit_cpu: f64,
    /// Seconds of the same patches by the bare client.
    pub bare: f64,
    /// The ratio of CPU time, including the servers.
    pub work: f64,
    /// Resident memory after each edit, MB.
    pub memory: Vec<f64>,
    /// Peak memory of the manager that made these edits, MB.
    pub peak: f64,
    /// A start without a change.
    pub start: Beginning,
    /// A takeover by a standby without a change.
    pub takeover: Beginning,
}

/// The begin of a term.
#[derive(Debug, Deserialize, Serialize)]
pub struct Beginning {
    /// Seconds from the start of the process until it is ready. For a takeover: from the end of the leader until this one leads.
    pub ready: f64,
    /// Seconds until it is idle.
    pub idle: f64,
    /// CPU time of the process, seconds.
    pub cpu: f64,
    /// Single reads of Deployments.
    pub gets: usize,
    /// Pages of lists of Deployments.
    pub pages: usize,
    /// Writes, except the Lease.
    pub writes: usize,
    /// Resident memory, MB.
    pub memory: f64,
}

impl Beginning {
    async fn of(manager: &Manager, (ready, idle): (Duration, Duration), window: &Window) -> Result<Self> {
        let series = manager.series("hypermirror_client_requests_total").await?;
        let requests = |verb: &str| {
            let labels = [format!("verb=\"{verb}\""), "resource=\"deployments\"".to_owned()];
            let is_one = |found: &str| labels.iter().all(|label| found.contains(label));
            series.iter().filter(|(found, _)| is_one(found)).map(|(_, count)| count).sum()
        };
        let usage = manager.usage()?;
        Ok(Self {
            ready: ready.as_secs_f64(),
            idle: idle.saturating_sub(IDLE).as_secs_f64(),
            cpu: usage.cpu,
            gets: requests("get"),
            pages: requests("list"),
            writes: window.counts.values().sum(),
            memory: usage.resident,
        })
    }
}

/// Measures everything at one size, of which this number of hosted clusters is new.
pub async fn measure(stage: &mut Stage<'_>, new: usize, edits: usize, at_once: usize) -> Result<Size> {
    let (first, of_first) = start(stage).await?;
    eprintln!("start with {new} new: {}", of_first.line());
    let mut memory = Vec::new();
    for _ in 1..edits {
        stage.edit_again().await?;
        memory.push(stage.manager()?.usage()?.resident);
        eprintln!("memory after each edit: {memory:.0?} MB");
    }
    // The last one, because the bare client sends the next version of its patches.
    let (edit, of_edit) = stage.edit_by_manager().await?;
    eprintln!("last edit: {edit}; {}", of_edit.line());
    let usage = stage.manager()?.usage()?;
    memory.push(usage.resident);
    stage.take_patches(&of_edit)?;
    stage.replace_manager(None).await?;
    let bare = stage.edit_by_bare_client(at_once).await?;
    eprintln!("bare client: {bare}");
    // The reports of that edit are written here, so that what follows has nothing to write.
    stage.start_manager().await?;
    stage.replace_manager(None).await?;
    let (at_rest, window) = start(stage).await?;
    window.expect(&[])?;
    let takeover = takeover(stage).await?;
    stage.replace_manager(None).await?;
    let count = |window: &Window, what: &str| window.counts.get(what).copied().unwrap_or_default();
    Ok(Size {
        clusters: stage.clusters,
        new,
        first,
        created: count(&of_first, CREATIONS),
        reported: count(&of_first, REPORTS),
        patched: count(&of_edit, PATCHES),
        reported_again: count(&of_edit, REPORTS),
        edit: edit.seconds,
        edit_cpu: edit.client,
        bare: bare.seconds,
        work: edit.all / bare.all,
        memory,
        peak: usage.peak,
        start: at_rest,
        takeover,
    })
}

/// A start of the manager, and its writes.
async fn start(stage: &mut Stage<'_>) -> Result<(Beginning, Window)> {
    let mark = stage.audit.mark().await?;
    let begin = Instant::now();
    stage.start_manager().await?;
    let idle = begin.elapsed();
    let (manager, window) = (stage.manager()?, stage.writes(mark).await?);
    Ok((Beginning::of(manager, (manager.ready_after, idle), &window).await?, window))
}

/// The end of the leader beside a standby, which has nothing to write.
async fn takeover(stage: &mut Stage<'_>) -> Result<Beginning> {
    let standby = stage.start_standby().await?;
    let mark = stage.audit.mark().await?;
    let (before, begin) = (standby.usage()?.cpu, Instant::now());
    stage.replace_manager(Some(standby)).await?;
    let manager = stage.manager()?;
    manager.leads().await?;
    let leads = begin.elapsed();
    manager.rests_within(stage.limit()).await?;
    let idle = begin.elapsed();
    let window = stage.writes(mark).await?;
    window.expect(&[])?;
    let mut takeover = Beginning::of(manager, (leads, idle), &window).await?;
    takeover.cpu -= before;
    Ok(takeover)
}
