//! The state of the agent for its probes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::report::Snapshot;
use crate::process::endpoints::Probes;
use crate::process::initial_lists::InitialLists;

/// Time after which the main loop counts as stuck: several times its longest interval between passes.
const SILENCE: Duration = Duration::from_mins(2);

/// The state for the probes.
#[derive(Clone, Debug)]
pub struct Pulse {
    look: InitialLists,
    state: Arc<Mutex<Turn>>,
}

#[derive(Debug)]
struct Turn {
    at: Instant,
    /// Why the node is not ready.
    trouble: Option<String>,
}

impl Pulse {
    /// Starts as not ready, until the first pass.
    pub fn new(look: InitialLists) -> Self {
        let trouble = Some("waiting for the first pass over the node's files".to_owned());
        Self { look, state: Arc::new(Mutex::new(Turn { at: Instant::now(), trouble })) }
    }

    /// Records that the main loop is running.
    pub fn beat(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).at = Instant::now();
    }

    /// Records the state of the node.
    pub fn record(&self, snapshot: &Snapshot) {
        let conditions = [&snapshot.applied, &snapshot.reloaded];
        let trouble = conditions.into_iter().find(|condition| !condition.is_good());
        let trouble = trouble.map(|condition| format!("{}: {}", condition.reason.as_str(), condition.message));
        self.state.lock().unwrap_or_else(PoisonError::into_inner).trouble = trouble;
    }
}

impl Probes for Pulse {
    fn stuck(&self) -> Option<String> {
        let at = self.state.lock().unwrap_or_else(PoisonError::into_inner).at;
        (at.elapsed() >= SILENCE).then(|| "the main loop is stuck".to_owned())
    }

    /// A watch has not delivered its first list, or the file is not up to date or not loaded.
    fn not_ready(&self) -> Option<String> {
        let problem = || self.state.lock().unwrap_or_else(PoisonError::into_inner).trouble.clone();
        self.look.not_ready().or_else(problem)
    }
}
