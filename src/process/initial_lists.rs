//! The readiness gate: the process is not ready and writes nothing until all watches have delivered their first list.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

/// Opens when all handles are done.
#[derive(Clone, Debug)]
pub struct InitialLists {
    missing: Arc<Mutex<BTreeSet<String>>>,
    open: watch::Sender<bool>,
}

/// The handle of one watch.
#[derive(Clone, Debug)]
pub struct Awaited {
    look: InitialLists,
    name: String,
}

impl Default for InitialLists {
    fn default() -> Self {
        Self { missing: Arc::default(), open: watch::Sender::new(false) }
    }
}

impl InitialLists {
    /// Adds a watch.
    pub fn await_watch(&self, name: impl Into<String>) -> Awaited {
        let name = name.into();
        self.missing.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone());
        Awaited { look: self.clone(), name }
    }

    /// The watches without a first list.
    pub fn missing(&self) -> Vec<String> {
        self.missing.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Whether all watches have delivered their first list.
    pub fn is_open(&self) -> bool {
        *self.open.borrow()
    }

    /// Waits until all watches have delivered their first list.
    pub async fn opened(&self) {
        let mut open = self.open.subscribe();
        // The sender is a field of self.
        let _ = open.wait_for(|open| *open).await;
    }
}

impl Awaited {
    /// Records the first list of the watch. Further calls have no effect.
    pub fn done(&self) {
        let mut missing = self.look.missing.lock().unwrap_or_else(PoisonError::into_inner);
        missing.remove(&self.name);
        if missing.is_empty() {
            self.look.open.send_replace(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_opens_with_the_last_list_and_stays_open() {
        let look = InitialLists::default();
        let (a, b) = (look.await_watch("a"), look.await_watch("b"));
        a.done();
        a.done();
        assert_eq!((look.is_open(), look.missing()), (false, vec!["b".to_owned()]));
        b.done();
        look.opened().await;
        assert!(look.is_open() && look.missing().is_empty());
    }
}
