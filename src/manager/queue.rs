//! The work queue. Each hosted cluster is queued at most once, never reconciled concurrently, and has its own back-off.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hypermirror_api::ClusterKey;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::client::backoff::Backoff;

/// The maximum is long enough for an overloaded API server, and short enough that users do not have to intervene.
const RETRY: Backoff = Backoff { first: Duration::from_millis(200), longest: Duration::from_mins(1) };

#[derive(Debug, Default)]
struct State {
    line: VecDeque<ClusterKey>,
    in_line: HashSet<ClusterKey>,
    at_work: HashSet<ClusterKey>,
    again: HashSet<ClusterKey>,
    later: HashMap<ClusterKey, Instant>,
    /// The pauses of those that failed.
    pauses: HashMap<ClusterKey, Duration>,
}

/// A queue of hosted clusters. Clones share the queue.
#[derive(Clone, Debug, Default)]
pub struct Queue {
    state: Arc<Mutex<State>>,
    changed: Arc<Notify>,
    idle: Arc<Notify>,
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds the lock, and the queue would still be consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enqueues a hosted cluster. If it is being reconciled, it is reconciled again afterwards.
    pub fn add(&self, key: ClusterKey) {
        let mut state = self.state();
        state.later.remove(&key);
        if state.at_work.contains(&key) {
            state.again.insert(key);
        } else if state.in_line.insert(key.clone()) {
            state.line.push_back(key);
            drop(state);
            self.changed.notify_one();
        }
    }

    /// Enqueues many hosted clusters.
    pub fn add_all(&self, keys: impl IntoIterator<Item = ClusterKey>) {
        keys.into_iter().for_each(|key| self.add(key));
    }

    /// Enqueues a hosted cluster after a delay, unless it is enqueued earlier.
    pub fn add_after(&self, key: ClusterKey, pause: Duration) {
        let at = Instant::now() + pause;
        {
            let mut state = self.state();
            if state.later.get(&key).is_some_and(|earlier| *earlier <= at) {
                return;
            }
            state.later.insert(key.clone(), at);
        }
        let queue = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep_until(at).await;
            let due = queue.state().later.get(&key) == Some(&at);
            if due {
                queue.add(key);
            }
        });
    }

    /// Waits for the next hosted cluster to reconcile.
    pub async fn next(&self) -> ClusterKey {
        loop {
            let changed = self.changed.notified();
            {
                let mut state = self.state();
                if let Some(key) = state.line.pop_front() {
                    state.in_line.remove(&key);
                    state.at_work.insert(key.clone());
                    let more = !state.line.is_empty();
                    drop(state);
                    if more {
                        self.changed.notify_one();
                    }
                    return key;
                }
            }
            changed.await;
        }
    }

    /// Records the end of a reconcile. After a failure, the hosted cluster is enqueued again after an increasing pause.
    pub fn done(&self, key: &ClusterKey, failed: bool) {
        let mut state = self.state();
        state.at_work.remove(key);
        let again = state.again.remove(key);
        let pause = if failed {
            let pause = RETRY.after(state.pauses.get(key).copied());
            state.pauses.insert(key.clone(), pause);
            Some(pause)
        } else {
            state.pauses.remove(key);
            None
        };
        let idle = state.line.is_empty() && state.at_work.is_empty() && !again;
        drop(state);
        match pause {
            Some(pause) => self.add_after(key.clone(), pause),
            None if again => self.add(key.clone()),
            None => {}
        }
        if idle {
            self.idle.notify_waiters();
        }
    }

    /// The number of queued hosted clusters.
    pub fn waiting(&self) -> usize {
        self.state().line.len()
    }

    /// Whether nothing is queued or being reconciled.
    pub fn is_idle(&self) -> bool {
        let state = self.state();
        state.line.is_empty() && state.at_work.is_empty()
    }

    /// Waits until nothing is being reconciled.
    pub async fn until_rest(&self) {
        while !self.state().at_work.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until nothing is queued or being reconciled.
    pub async fn until_idle(&self) {
        loop {
            let idle = self.idle.notified();
            if self.is_idle() {
                return;
            }
            idle.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> ClusterKey {
        ClusterKey { namespace: "clusters".into(), name: name.into() }
    }

    #[tokio::test]
    async fn a_key_is_in_line_once_and_never_twice_at_work() {
        let queue = Queue::default();
        queue.add_all([key("a"), key("b"), key("a")]);
        assert_eq!(queue.next().await, key("a"));
        queue.add(key("a"));
        assert_eq!(queue.waiting(), 1, "a is at work: it is remembered, not queued");
        assert_eq!(queue.next().await, key("b"));
        queue.done(&key("a"), false);
        assert_eq!(queue.next().await, key("a"));
    }

    #[tokio::test(start_paused = true)]
    async fn failures_of_one_key_wait_longer_and_hold_up_nobody() {
        let queue = Queue::default();
        let mut waits = Vec::new();
        for _ in 0..4 {
            queue.add(key("a"));
            assert_eq!(queue.next().await, key("a"));
            let failed_at = Instant::now();
            queue.done(&key("a"), true);
            queue.add(key("b"));
            assert_eq!(queue.next().await, key("b"));
            queue.done(&key("b"), false);
            assert_eq!(queue.next().await, key("a"));
            waits.push(failed_at.elapsed().as_millis() / 100 * 100);
            queue.done(&key("a"), true);
            queue.state().later.clear();
        }
        assert!(waits.is_sorted() && waits[3] > waits[0], "{waits:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_earlier_of_two_times_counts() {
        let queue = Queue::default();
        let start = Instant::now();
        queue.add_after(key("a"), Duration::from_secs(100));
        queue.add_after(key("a"), Duration::from_secs(1));
        queue.add_after(key("a"), Duration::from_secs(50));
        assert_eq!(queue.next().await, key("a"));
        assert_eq!(start.elapsed().as_secs(), 1);
    }

    #[tokio::test]
    async fn idle_is_told_when_the_last_work_ends() {
        let queue = Queue::default();
        queue.add(key("a"));
        let waiting = tokio::spawn({
            let queue = queue.clone();
            async move { queue.until_idle().await }
        });
        let taken = queue.next().await;
        queue.done(&taken, false);
        waiting.await.unwrap();
        assert!(queue.is_idle());
    }
}
