//! The ConfigMaps that have to be read: a queue in which each waits once, and whose turn a large text has to wait for.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, Semaphore};

/// Maximum number of concurrent reads, because each ConfigMap may have 1 MiB.
const REQUESTS: usize = 8;

/// Namespace and name of a ConfigMap.
pub type Name = (String, String);

/// The ConfigMaps to read. Each is queued or being read at most once.
#[derive(Debug)]
pub struct Reading {
    known: Mutex<(VecDeque<Name>, HashSet<Name>)>,
    changed: Notify,
    /// Who asks the API server now.
    pub requests: Semaphore,
    /// A lock for each namespace, held while a large text is parsed and for the pause after it, so that an owner who edits all
    /// the time uses only a part of one processor.
    large: Mutex<HashMap<String, Arc<Semaphore>>>,
}

impl Default for Reading {
    fn default() -> Self {
        let (known, changed) = (Mutex::default(), Notify::new());
        Self { known, changed, requests: Semaphore::new(REQUESTS), large: Mutex::default() }
    }
}

impl Reading {
    /// Enqueues a ConfigMap. The hosted clusters that reference it are enqueued after it was read.
    pub fn ask(&self, name: Name) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.1.insert(name.clone()) {
            known.0.push_back(name);
            self.changed.notify_one();
        }
    }

    /// The next ConfigMap to read; waits for one.
    pub async fn next(&self) -> Name {
        loop {
            let changed = self.changed.notified();
            let next = self.known.lock().unwrap_or_else(PoisonError::into_inner).0.pop_front();
            match next {
                Some(next) => return next,
                None => changed.await,
            }
        }
    }

    /// Work on a ConfigMap has ended: it may be asked for again.
    pub fn done(&self, name: &Name) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).1.remove(name);
    }

    /// The turn of large texts of a namespace.
    pub fn large(&self, namespace: &str) -> Arc<Semaphore> {
        let mut large = self.large.lock().unwrap_or_else(PoisonError::into_inner);
        large.retain(|known, turn| known == namespace || Arc::strong_count(turn) > 1);
        Arc::clone(large.entry(namespace.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(1))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> Name {
        ("clusters".to_owned(), name.to_owned())
    }

    #[tokio::test]
    async fn a_config_map_is_read_once_whoever_asks_until_that_is_done() {
        let reading = Reading::default();
        for asked in ["a", "b", "a"] {
            reading.ask(name(asked));
        }
        assert_eq!((reading.next().await, reading.next().await), (name("a"), name("b")));
        reading.ask(name("a")); // it is at work
        reading.ask(name("c"));
        assert_eq!(reading.next().await, name("c"));
        reading.done(&name("a"));
        reading.ask(name("a"));
        assert_eq!(reading.next().await, name("a"));
    }

    #[test]
    fn large_texts_of_one_namespace_wait_for_each_other_and_for_nobody_else() {
        let reading = Reading::default();
        let turn = reading.large("clusters").try_acquire_owned().unwrap();
        assert!(reading.large("clusters").try_acquire_owned().is_err());
        assert!(reading.large("others").try_acquire_owned().is_ok());
        drop(turn);
        assert!(reading.large("clusters").try_acquire_owned().is_ok());
    }
}
