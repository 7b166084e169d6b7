//! Where pages get their data: a live cluster or manifests, read again when somebody looks and what is known is old.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use hypermirror_api::ClusterKey;
use jiff::Timestamp;
use kube::Client;
use tokio::time::timeout;

use super::super::check::{Row, declared_findings};
use super::super::console::causes;
use super::super::input::{ControlPlane, Input, InputArgs, Wanted, control_plane, load_live};
use crate::manager::options::PlanOptions;

/// What was read is not read again earlier: edits appear within this time and the browser's refresh.
const FRESH: Duration = Duration::from_secs(1);

/// Data are as old as so many reads take: the API server has other things to do than to answer a page that is left open.
const SHARE: u32 = 5;

/// But no older, whatever a read takes: an edit appears while somebody waits for it.
const STALE: Duration = Duration::from_secs(15);

/// A failed read is not repeated earlier.
const RETRY: Duration = Duration::from_secs(5);

/// Longer than any API server in use takes for a page of a list, and as long as somebody waits for a page.
const LIMIT: Duration = Duration::from_secs(10);

/// Everything that was read at one time.
pub struct Snapshot {
    pub input: Input,
    pub read: Timestamp,
    findings: OnceLock<Vec<Row>>,
}

impl Snapshot {
    /// Of an input that was read at this time.
    pub fn new(input: Input, read: Timestamp) -> Self {
        Self { input, read, findings: OnceLock::new() }
    }

    /// With what `check` has found already.
    pub fn with_findings(input: Input, read: Timestamp, findings: Vec<Row>) -> Self {
        Self { input, read, findings: OnceLock::from(findings) }
    }

    /// What `check` finds, computed when somebody asks for it.
    pub fn findings(&self, options: &PlanOptions) -> &[Row] {
        self.findings.get_or_init(|| declared_findings(&self.input, options))
    }
}

/// The newest data, and why there are no newer ones if that failed.
pub struct Known {
    pub snapshot: Arc<Snapshot>,
    pub trouble: Option<String>,
}

enum Origin {
    Live(Client),
    Files(InputArgs),
}

#[derive(Default)]
struct State {
    snapshot: Option<Arc<Snapshot>>,
    /// When it may be read again.
    due: Option<Instant>,
    trouble: Option<String>,
}

/// A live cluster or manifests.
pub struct Source {
    origin: Origin,
    /// For people.
    pub name: String,
    /// Deployments that read override maps, and how to plan their changes.
    pub options: PlanOptions,
    state: Mutex<State>,
    /// Held while data are read: everybody waits for the same read.
    reading: tokio::sync::Mutex<()>,
}

impl Source {
    /// Connects to the cluster, or reads the manifests.
    ///
    /// # Errors
    /// A configuration or manifests that cannot be used. A cluster that does not answer is none: pages say so.
    pub async fn open(input: &InputArgs, options: PlanOptions) -> Result<Self> {
        let (origin, name, state) = if input.files.is_empty() {
            let client = input.connection.connect().await?;
            let name = input.connection.context.as_ref().map_or_else(
                || "the current cluster".to_owned(),
                |context| format!("the cluster of context {context}"),
            );
            (Origin::Live(client), name, State::default())
        } else {
            let first = input.load(wanted()).await?;
            let names: Vec<String> = input.files.iter().map(|file| file.display().to_string()).collect();
            // Standard input can be read once.
            let is_final = input.files.iter().any(|file| file.as_os_str() == "-");
            let due = (!is_final).then(|| Instant::now() + FRESH);
            let state = State { snapshot: Some(Arc::new(Snapshot::new(first, Timestamp::now()))), due, trouble: None };
            (Origin::Files(input.clone()), names.join(", "), state)
        };
        Ok(Self { origin, name, options, state: Mutex::new(state), reading: tokio::sync::Mutex::new(()) })
    }

    /// A live cluster of which only single control planes are still read.
    pub fn of_client(client: Client, name: &str, options: PlanOptions) -> Self {
        let (state, reading) = (Mutex::default(), tokio::sync::Mutex::new(()));
        Self { origin: Origin::Live(client), name: name.to_owned(), options, state, reading }
    }

    /// The newest data.
    ///
    /// # Errors
    /// Why there are none.
    pub async fn known(&self) -> Result<Known, String> {
        if let Some(known) = self.fresh() {
            return known;
        }
        let _reading = match self.reading.try_lock() {
            Ok(reading) => reading,
            // Somebody reads already: what is known is good enough, unless that is nothing.
            Err(_) if self.lock().snapshot.is_some() => return self.last(),
            Err(_) => self.reading.lock().await,
        };
        if let Some(known) = self.fresh() {
            return known;
        }
        let begun = Instant::now();
        let read = match timeout(LIMIT, self.read()).await {
            Ok(read) => read.map_err(|error| causes(&error)),
            Err(_) => Err(format!("no answer from {} within {} s", self.name, LIMIT.as_secs())),
        };
        self.keep(read, begun.elapsed());
        self.last()
    }

    /// What a control plane has of its own, which is read for one hosted cluster at a time.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub async fn control_plane(&self, input: &Input, key: &ClusterKey) -> Result<ControlPlane, String> {
        let namespace = key.control_plane_namespace();
        match &self.origin {
            Origin::Live(client) => {
                let targets = self.options.targets();
                match timeout(LIMIT, control_plane(client, &namespace, &targets)).await {
                    Ok(read) => read.map_err(|error| causes(&error)),
                    Err(_) => Err(format!("no answer from {} within {} s", self.name, LIMIT.as_secs())),
                }
            }
            Origin::Files(_) => Ok(in_namespace(input, &namespace)),
        }
    }

    async fn read(&self) -> Result<Input> {
        match &self.origin {
            Origin::Live(client) => load_live(client.clone(), wanted()).await,
            Origin::Files(input) => input.load(wanted()).await,
        }
    }

    fn keep(&self, read: Result<Input, String>, took: Duration) {
        let mut state = self.lock();
        match read {
            Ok(input) => {
                let due = Instant::now() + (took * SHARE).clamp(FRESH, STALE);
                let snapshot = Some(Arc::new(Snapshot::new(input, Timestamp::now())));
                *state = State { snapshot, due: Some(due), trouble: None };
            }
            Err(trouble) => {
                state.due = Some(Instant::now() + RETRY);
                state.trouble = Some(trouble);
            }
        }
    }

    /// What is known, if it need not be read now.
    fn fresh(&self) -> Option<Result<Known, String>> {
        let state = self.lock();
        let is_known = state.snapshot.is_some() || state.trouble.is_some();
        let is_fresh = is_known && state.due.is_none_or(|due| Instant::now() < due);
        drop(state);
        is_fresh.then(|| self.last())
    }

    fn last(&self) -> Result<Known, String> {
        let state = self.lock();
        let trouble = state.trouble.clone();
        match &state.snapshot {
            Some(snapshot) => Ok(Known { snapshot: Arc::clone(snapshot), trouble }),
            None => Err(trouble.unwrap_or_else(|| format!("{} was not read yet", self.name))),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // A panic leaves nothing half-written: each field is replaced whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wanted() -> Wanted<'static> {
    Wanted { reports: true, pools: true, plane: true, ..Wanted::default() }
}

/// What manifests have for a control plane.
fn in_namespace(input: &Input, namespace: &str) -> ControlPlane {
    let deployments = input.deployments.iter().filter(|deployment| deployment["metadata"]["namespace"] == namespace);
    let sets = input.plane.replica_sets.iter().filter(|set| set.metadata.namespace.as_deref() == Some(namespace));
    ControlPlane { deployments: deployments.cloned().collect(), replica_sets: sets.cloned().collect() }
}
