//! The ConfigMaps that have to be read: a queue in which each waits once, and whose turn a large text has to wait for.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, Semaphore};

use super::semaphores::Semaphores;

/// Maximum number of concurrent reads, because each ConfigMap may have 1 MiB.
const REQUESTS: usize = 8;

/// Namespace and name of a ConfigMap.
pub type ConfigMapName = (String, String);

#[derive(Debug, Default)]
struct State {
    queued: VecDeque<ConfigMapName>,
    /// Those that are queued or being read.
    known: HashSet<ConfigMapName>,
}

/// The ConfigMaps to read. Each is queued or being read at most once.
#[derive(Debug)]
pub struct Reading {
    state: Mutex<State>,
    changed: Notify,
    /// The reads in progress.
    pub requests: Semaphore,
    /// Held by a namespace while a large text is parsed and for the pause after it, so that an owner who edits all the time uses
    /// only a part of one processor.
    large: Semaphores<String>,
}

impl Default for Reading {
    fn default() -> Self {
        let (requests, large) = (Semaphore::new(REQUESTS), Semaphores::new(1));
        Self { state: Mutex::default(), changed: Notify::new(), requests, large }
    }
}

impl Reading {
    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Enqueues a ConfigMap. The hosted clusters that reference it are enqueued after it was read.
    pub fn add(&self, name: ConfigMapName) {
        let is_new = self.with(|state| {
            let is_new = state.known.insert(name.clone());
            if is_new {
                state.queued.push_back(name);
            }
            is_new
        });
        if is_new {
            self.changed.notify_one();
        }
    }

    /// Waits for the next ConfigMap to read.
    pub async fn next(&self) -> ConfigMapName {
        // There is one reader, so one stored notification is enough however many names arrive meanwhile.
        loop {
            let changed = self.changed.notified();
            match self.with(|state| state.queued.pop_front()) {
                Some(next) => return next,
                None => changed.await,
            }
        }
    }

    /// Records the end of a read: the ConfigMap may be enqueued again.
    pub fn done(&self, name: &ConfigMapName) {
        self.with(|state| state.known.remove(name));
    }

    /// The turn of large texts of a namespace.
    pub fn large(&self, namespace: &str) -> Arc<Semaphore> {
        self.large.of(namespace.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> ConfigMapName {
        ("clusters".to_owned(), name.to_owned())
    }

    #[tokio::test]
    async fn a_config_map_is_enqueued_once_until_it_is_read() {
        let reading = Reading::default();
        for asked in ["a", "b", "a"] {
            reading.add(name(asked));
        }
        assert_eq!((reading.next().await, reading.next().await), (name("a"), name("b")));
        reading.add(name("a")); // it is at work
        reading.add(name("c"));
        assert_eq!(reading.next().await, name("c"));
        reading.done(&name("a"));
        reading.add(name("a"));
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
