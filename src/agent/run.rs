//! The loop: a change, a short pause, the file, the reload; and the report beside it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use hypermirror_api::NodeReason;
use prometheus_client::registry::Registry;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::inputs::Inputs;
use super::metrics::AgentMetrics;
use super::node::NodeFile;
use super::options::AgentOptions;
use super::reload::{ReloadError, Reloader};
use super::report::{Snapshot, Verdict};
use super::reporter::Reporter;
use super::server::{self, Pulse};
use super::watch_files::FileWatch;
use crate::client::connect::connect;
use crate::telemetry::metrics::OutcomeLabels;

/// Edits that come together become one file and one reload.
const TOGETHER: Duration = Duration::from_millis(50);
/// How often everything is looked at without a reason, for changes that nobody was told of.
const SLOW_LOOK: Duration = Duration::from_secs(30);
/// The same where something could not be read or written.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// The first pause after a reload that was not seen to land; it doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest: each reload makes CRI-O log 8 KB.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long the last report may take when the process is told to end.
const LAST_REPORT: Duration = Duration::from_millis(200);

/// Runs the agent until SIGTERM or SIGINT. The file stays when it ends.
///
/// # Errors
/// If it cannot start.
pub async fn run(options: &AgentOptions, node: &str) -> Result<()> {
    let host = options.place.host().with_context(|| cannot_open(&options.place.root))?;
    let reloader = options.place.reloader(&host);
    let mut registry = Registry::default();
    let metrics = AgentMetrics::register(&mut registry);
    let client = connect(&metrics.requests).await?;
    let inputs = Inputs::new(client.clone(), node.to_owned(), options.source);
    let pulse = Pulse::new(inputs.first_look.clone());
    let metrics_server = crate::process::endpoints::metrics(options.metrics_bind_address, registry).await;
    let health_server = server::health(options.health_probe_bind_address, pulse.clone()).await;
    let mut tasks = JoinSet::new();
    inputs.start(&mut tasks);
    tasks.spawn(metrics_server.context("cannot listen on --metrics-bind-address")?);
    tasks.spawn(health_server.context("cannot listen on --health-probe-bind-address")?);
    let (snapshots, reports) = watch::channel(None);
    tasks.spawn(Reporter::new(client, node.to_owned(), Arc::clone(&inputs)).run(reports));
    let mut turn = Agent {
        file: NodeFile::new(host, reloader.is_asked()),
        reload: Reload::new(reloader),
        waker: Waker { files: FileWatch::new().context("cannot watch files")?, is_woken: false, pause: SLOW_LOOK },
        inputs,
        pulse,
        metrics,
        snapshots,
        last: None,
    };
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        result = turn.turn() => result?,
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("ending; the file stays");
    tokio::time::sleep(LAST_REPORT).await;
    tasks.shutdown().await;
    Ok(())
}

/// The message for a root that is not there.
pub fn cannot_open(root: &Path) -> String {
    format!("cannot open --root {}", root.display())
}

/// The reload that is to come, if any.
struct Reload {
    reloader: Reloader,
    /// Not read yet.
    pending: Option<Pending>,
}

struct Pending {
    next: Instant,
    pause: Duration,
    /// How the last attempt ended.
    told: Option<Verdict>,
}

impl Reload {
    fn new(reloader: Reloader) -> Self {
        Self { reloader, pending: None }
    }

    /// There is something new to be read, at once.
    fn demand(&mut self) {
        if self.reloader.is_asked() {
            let told = self.pending.take().and_then(|pending| pending.told);
            self.pending = Some(Pending { next: Instant::now(), pause: FIRST_PAUSE, told });
        }
    }

    fn verdict(&self) -> Verdict {
        match &self.pending {
            Some(Pending { told: Some(told), .. }) => told.clone(),
            Some(_) => Verdict::new(NodeReason::Reloading, "CRI-O is told to read the file"),
            None if self.reloader.is_asked() => Verdict::new(NodeReason::AsExpected, "CRI-O has read the file"),
            None => Verdict::new(NodeReason::NotAsked, "the agent does not tell the container runtime (--reload none)"),
        }
    }

    fn failed(&mut self, error: &ReloadError) {
        let Some(pending) = &mut self.pending else { return };
        pending.told = Some(Verdict::new(error.reason(), error.to_string()));
        pending.next = Instant::now() + pending.pause;
        pending.pause = (pending.pause * 2).min(LONGEST_PAUSE);
    }
}

struct Agent {
    file: NodeFile,
    reload: Reload,
    waker: Waker,
    inputs: Arc<Inputs>,
    pulse: Pulse,
    metrics: AgentMetrics,
    snapshots: watch::Sender<Option<Snapshot>>,
    last: Option<Snapshot>,
}

/// What the loop waits with.
struct Waker {
    files: FileWatch,
    /// There is a reason to look, and it is waited a moment for what comes with it.
    is_woken: bool,
    /// When everything is looked at without a reason.
    pause: Duration,
}

impl Waker {
    /// Waits for a reason to look, and a moment longer for what comes with it. May be dropped at any time.
    async fn wait(&mut self, file: &NodeFile, inputs: &Inputs) -> std::io::Result<()> {
        let is_open = inputs.first_look.is_open();
        if !self.is_woken {
            tokio::select! {
                () = inputs.changed.notified() => {}
                () = inputs.first_look.opened(), if !is_open => return Ok(()),
                changed = self.files.changed(|name| file.is_news(name)) => changed?,
                () = tokio::time::sleep(self.pause) => return Ok(()),
            }
            self.is_woken = true;
        }
        tokio::time::sleep(TOGETHER).await;
        Ok(())
    }
}

/// Why the loop turns.
enum Woken {
    Changed,
    Reloaded(Result<(), ReloadError>),
}

impl Agent {
    async fn turn(&mut self) -> Result<()> {
        self.file.host().remove_temporary().unwrap_or_else(|error| tracing::warn!(%error, "a rest of a crash stays"));
        if self.file.host().is_pending() {
            tracing::info!("the last change was not read yet when the agent ended");
            self.reload.demand();
            self.clear_unless_pending();
        }
        loop {
            self.pulse.beat();
            self.waker.files.renew(self.file.host());
            self.waker.is_woken = false;
            if self.inputs.first_look.is_open() {
                self.settle();
            }
            // A reload is tried beside the wait for the next change: a CRI-O that hangs does not keep an edit from the disk.
            loop {
                let woken = tokio::select! {
                    biased;
                    result = attempt(&self.reload, self.file.host()) => Woken::Reloaded(result),
                    result = self.waker.wait(&self.file, &self.inputs) => result.map(|()| Woken::Changed).context("cannot watch files any more")?,
                };
                match woken {
                    Woken::Changed => break,
                    Woken::Reloaded(result) => self.reloaded(result),
                }
            }
        }
    }

    fn settle(&mut self) {
        let (declared, observed, since) = {
            let mut sets = self.inputs.sets();
            (sets.declared(), sets.observed(), sets.take_change())
        };
        let settled = self.file.settle(&declared, observed);
        if settled.is_changed {
            self.metrics.writes.inc();
            if let Some(since) = since {
                self.metrics.delay.observe(since.elapsed().as_secs_f64());
            }
            tracing::info!(
                hash = settled.snapshot.content_hash,
                sources = settled.snapshot.sources,
                "the file was changed"
            );
            self.reload.demand();
        }
        let said = |snapshot: &Snapshot| (snapshot.applied.reason, snapshot.applied.message.clone());
        if !settled.snapshot.applied.is_good() && self.last.as_ref().map(said) != Some(said(&settled.snapshot)) {
            let (reason, message) = said(&settled.snapshot);
            tracing::warn!(reason = reason.as_str(), message, "the file is not what it should be");
        }
        let is_transient = settled.snapshot.applied.reason == NodeReason::WriteFailed;
        self.waker.pause = if is_transient { LOOK_AGAIN } else { SLOW_LOOK };
        self.tell(settled.snapshot);
    }

    fn tell(&mut self, mut snapshot: Snapshot) {
        snapshot.reloaded = self.reload.verdict();
        self.metrics.tell(&snapshot);
        self.pulse.tell(&snapshot);
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
                tracing::info!("CRI-O has read the change");
                self.reload.pending = None;
                self.clear_unless_pending();
            }
            Err(error) => {
                tracing::warn!(%error, reason = outcome, "CRI-O has not read the change yet");
                self.reload.failed(&error);
            }
        }
        if let Some(last) = self.last.take() {
            self.tell(last);
        }
    }

    fn clear_unless_pending(&mut self) {
        if self.reload.pending.is_none()
            && let Err(error) = self.file.host().clear_pending()
        {
            // The mark costs one reload too many after the next start, and nothing else.
            tracing::warn!(%error, "the mark of the reload stays");
        }
    }
}

/// The next attempt, when it is due; never, if there is nothing to be read.
async fn attempt(reload: &Reload, host: &super::files::Host) -> Result<(), ReloadError> {
    match &reload.pending {
        Some(pending) => {
            tokio::time::sleep_until(pending.next).await;
            reload.reloader.reload(host).await
        }
        None => std::future::pending().await,
    }
}
