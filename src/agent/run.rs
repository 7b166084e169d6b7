//! The main loop: waits for changes, writes the files, reloads CRI-O and reports the state.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use hypermirror_api::NodeReason;
use kube::Client;
use prometheus_client::registry::Registry;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::backend::Backend;
use super::containerd::ContainerdFiles;
use super::files::Host;
use super::inputs::Inputs;
use super::metrics::AgentMetrics;
use super::node::NodeFile;
use super::options::AgentOptions;
use super::pulse::Pulse;
use super::reload::{ReloadError, Reloader};
use super::report::{NodeConditionState, Snapshot};
use super::reporter::Reporter;
use super::runtime::{self, RuntimeKind};
use super::watch_files::FileWatch;
use crate::client::backoff::Backoff;
use crate::client::connect::connect;
use crate::process::flags::ReloadMethod;
use crate::telemetry::metrics::OutcomeLabels;

/// Delay that combines edits in quick succession into one write and one reload.
const TOGETHER: Duration = Duration::from_millis(50);
/// Interval of passes without a change, for changes of files that no event reports.
const RESYNC: Duration = Duration::from_secs(30);
/// Interval of passes after a failed read or write.
const RETRY: Duration = Duration::from_secs(2);
/// Pauses after unconfirmed reloads. The longest is not shorter because CRI-O logs 8 KB for each reload.
const RELOAD_RETRY: Backoff = Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(30) };
/// Time for the last report on termination.
const LAST_REPORT: Duration = Duration::from_millis(200);

/// Runs the agent until SIGTERM or SIGINT. The file stays when it ends.
///
/// # Errors
/// If it cannot start.
pub async fn run(options: &AgentOptions, node: &str) -> Result<()> {
    let host = options.paths.host().with_context(|| cannot_open(&options.paths.root))?;
    let mut registry = Registry::default();
    let metrics = AgentMetrics::register(&mut registry);
    let client = connect(&metrics.requests).await?;
    let (file, reload) = backend(options, host, &client, node).await?;
    let inputs = Inputs::new(client.clone(), node.to_owned(), options.source);
    let pulse = Pulse::new(inputs.initial_lists.clone());
    let metrics_server = options.endpoints.serve_metrics(registry).await?;
    let health_server = options.endpoints.serve_probes(pulse.clone()).await?;
    let mut tasks = JoinSet::new();
    inputs.start(&mut tasks);
    tasks.spawn(metrics_server);
    tasks.spawn(health_server);
    let (snapshots, reports) = watch::channel(None);
    tasks.spawn(Reporter::new(client, node.to_owned(), Arc::clone(&inputs)).run(reports));
    let mut turn = Agent {
        file,
        reload,
        waker: Waker { files: FileWatch::new().context("failed to watch files")?, is_woken: false, pause: RESYNC },
        inputs,
        pulse,
        metrics,
        snapshots,
        last: None,
    };
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        result = turn.run() => result?,
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("terminating; the file stays in use");
    tokio::time::sleep(LAST_REPORT).await;
    tasks.shutdown().await;
    Ok(())
}

/// The files of the node's runtime, and its reload.
async fn backend(options: &AgentOptions, host: Host, client: &Client, node: &str) -> Result<(Backend, Reload)> {
    let paths = &options.paths;
    let mut reloader = paths.reloader(&host);
    let runtime = runtime::of_node(paths.runtime, &paths.runtime_files(&host), client, node).await?;
    tracing::info!(?runtime, "the container runtime of this node");
    Ok(match runtime {
        RuntimeKind::Crio => {
            let idle = if reloader.is_enabled() {
                NodeConditionState::new(NodeReason::AsExpected, "CRI-O has loaded the file")
            } else {
                let message = "the agent does not reload the container runtime (--reload=none)";
                NodeConditionState::new(NodeReason::NotAsked, message)
            };
            (Backend::Crio(NodeFile::new(host, reloader.is_enabled())), Reload { reloader, idle, pending: None })
        }
        RuntimeKind::Containerd => {
            reloader.method = ReloadMethod::None;
            let message = "containerd reads its files at each pull; no reload is needed";
            let idle = NodeConditionState::new(NodeReason::AsExpected, message);
            let files = ContainerdFiles::new(host, paths.containerd_config.clone());
            (Backend::Containerd(files), Reload { reloader, idle, pending: None })
        }
    })
}

/// The message for a root that cannot be opened.
pub fn cannot_open(root: &Path) -> String {
    format!("failed to open --root {}", root.display())
}

/// The reload of CRI-O.
struct Reload {
    reloader: Reloader,
    /// The state if no reload is pending.
    idle: NodeConditionState,
    /// The pending reload.
    pending: Option<Pending>,
}

struct Pending {
    next: Instant,
    /// The pause before it, if an attempt failed.
    pause: Option<Duration>,
    /// The result of the last attempt.
    last: Option<NodeConditionState>,
}

impl Reload {
    /// Schedules an immediate reload.
    fn schedule(&mut self) {
        if self.reloader.is_enabled() {
            let last = self.pending.take().and_then(|pending| pending.last);
            self.pending = Some(Pending { next: Instant::now(), pause: None, last });
        }
    }

    fn condition(&self) -> NodeConditionState {
        match &self.pending {
            Some(Pending { last: Some(last), .. }) => last.clone(),
            Some(_) => NodeConditionState::new(NodeReason::Reloading, "reloading CRI-O"),
            None => self.idle.clone(),
        }
    }

    fn failed(&mut self, error: &ReloadError) {
        let Some(pending) = &mut self.pending else { return };
        pending.last = Some(NodeConditionState::new(error.reason(), error.to_string()));
        pending.next = Instant::now() + RELOAD_RETRY.next(&mut pending.pause);
    }
}

struct Agent {
    file: Backend,
    reload: Reload,
    waker: Waker,
    inputs: Arc<Inputs>,
    pulse: Pulse,
    metrics: AgentMetrics,
    snapshots: watch::Sender<Option<Snapshot>>,
    last: Option<Snapshot>,
}

/// Waits for the next pass.
struct Waker {
    files: FileWatch,
    /// Whether a change was observed. The pass starts after a short delay.
    is_woken: bool,
    /// Time until a pass without a change.
    pause: Duration,
}

impl Waker {
    /// Waits for a change and then for [`TOGETHER`]. Cancel-safe: it can be dropped and called again at any time.
    async fn wait(&mut self, file: &Backend, inputs: &Inputs) -> std::io::Result<()> {
        let is_open = inputs.initial_lists.is_open();
        if !self.is_woken {
            tokio::select! {
                () = inputs.changed.notified() => {}
                () = inputs.initial_lists.opened(), if !is_open => return Ok(()),
                changed = self.files.changed(|name| file.is_news(name)) => changed?,
                () = tokio::time::sleep(self.pause) => return Ok(()),
            }
            self.is_woken = true;
        }
        tokio::time::sleep(TOGETHER).await;
        Ok(())
    }
}

/// Why the loop continues.
enum Woken {
    Changed,
    Reloaded(Result<(), ReloadError>),
}

impl Agent {
    async fn run(&mut self) -> Result<()> {
        self.file.remove_temporary();
        if self.file.host().is_pending() {
            tracing::info!("a reload is still pending from before the restart");
            self.reload.schedule();
            self.clear_unless_pending();
        }
        // Each pass compares the whole file with the current objects and files, so a missed or repeated event does no harm. Passes
        // without an event find changes that inotify does not report, such as those behind a symbolic link.
        loop {
            self.pulse.beat();
            self.waker.files.renew(self.file.host(), &self.file.watched());
            self.waker.is_woken = false;
            if self.inputs.initial_lists.is_open() {
                self.reconcile();
            }
            // The reload runs concurrently with the wait for the next change, so that a CRI-O that hangs does not delay
            // the next write.
            loop {
                let woken = tokio::select! {
                    biased;
                    result = attempt(&self.reload, self.file.host()) => Woken::Reloaded(result),
                    result = self.waker.wait(&self.file, &self.inputs) => result.map(|()| Woken::Changed).context("failed to watch files")?,
                };
                match woken {
                    Woken::Changed => break,
                    Woken::Reloaded(result) => self.reloaded(result),
                }
            }
        }
    }

    fn reconcile(&mut self) {
        let (declared, observed, since) = {
            let mut sets = self.inputs.sets();
            (sets.declared(), sets.observed(), sets.take_change())
        };
        let pass = self.file.reconcile(&declared, observed);
        if pass.is_changed {
            self.metrics.writes.inc();
            if let Some(since) = since {
                self.metrics.delay.observe(since.elapsed().as_secs_f64());
            }
            tracing::info!(hash = pass.snapshot.content_hash, sources = pass.snapshot.sources, "changed the file");
            self.reload.schedule();
        }
        let state = |snapshot: &Snapshot| (snapshot.applied.reason, snapshot.applied.message.clone());
        if !pass.snapshot.applied.is_good() && self.last.as_ref().map(state) != Some(state(&pass.snapshot)) {
            let (reason, message) = state(&pass.snapshot);
            tracing::warn!(reason = reason.as_str(), message, "the file is not up to date");
        }
        let known = self.last.as_ref().map(|last| last.rejected.as_slice()).unwrap_or_default();
        for entry in pass.snapshot.rejected.iter().filter(|entry| !known.contains(entry)) {
            tracing::warn!(
                reason = entry.reason,
                origin = entry.origin,
                message = entry.message,
                "an entry is not used"
            );
        }
        let is_transient = pass.snapshot.applied.reason == NodeReason::WriteFailed;
        self.waker.pause = if is_transient { RETRY } else { RESYNC };
        self.record(pass.snapshot);
    }

    fn record(&mut self, mut snapshot: Snapshot) {
        snapshot.reloaded = self.reload.condition();
        self.metrics.record(&snapshot);
        self.pulse.record(&snapshot);
        self.snapshots.send_if_modified(|known| {
            let is_new = known.as_ref() != Some(&snapshot);
            *known = Some(snapshot.clone());
            is_new
        });
        self.last = Some(snapshot);
    }

    fn reloaded(&mut self, result: Result<(), ReloadError>) {
        let outcome = result.as_ref().map_or_else(ReloadError::reason, |()| NodeReason::AsExpected).as_str();
        self.metrics.reloads.get_or_create(&OutcomeLabels { outcome }).inc();
        match result {
            Ok(()) => {
                tracing::info!("CRI-O has loaded the file");
                self.reload.pending = None;
                self.clear_unless_pending();
            }
            Err(error) => {
                tracing::warn!(%error, reason = outcome, "CRI-O has not loaded the file yet; trying again");
                self.reload.failed(&error);
            }
        }
        if let Some(last) = self.last.take() {
            self.record(last);
        }
    }

    fn clear_unless_pending(&mut self) {
        if self.reload.pending.is_none()
            && let Err(error) = self.file.host().clear_pending()
        {
            // The only effect is an unnecessary reload after the next start.
            tracing::warn!(%error, "failed to remove the mark of the pending reload");
        }
    }
}

/// Reloads CRI-O when the next attempt is due. Never completes if no reload is pending.
async fn attempt(reload: &Reload, host: &Host) -> Result<(), ReloadError> {
    match &reload.pending {
        Some(pending) => {
            tokio::time::sleep_until(pending.next).await;
            reload.reloader.reload(host).await
        }
        None => std::future::pending().await,
    }
}
