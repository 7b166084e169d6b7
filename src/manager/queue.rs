//! The work queue. Each hosted cluster is queued at most once, never reconciled concurrently, and has its own back-off.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hypermirror_api::ClusterKey;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::client::backoff::Backoff;

/// The maximum is long enough for an overloaded API server, and short enough that users do not have to intervene.
const RETRY: Backoff = Backoff { first: Duration::from_millis(200), longest: Duration::from_mins(1) };
/// Interval in which the end of all work is checked at shutdown.
const DRAIN_POLL: Duration = Duration::from_millis(20);

/// The state, without a clock or tasks.
#[derive(Debug, Default)]
struct State {
    queued: VecDeque<ClusterKey>,
    is_queued: HashSet<ClusterKey>,
    in_progress: HashSet<ClusterKey>,
    /// Those that were enqueued while they were in progress.
    again: HashSet<ClusterKey>,
    /// When those with a delay are due.
    due: HashMap<ClusterKey, Instant>,
    /// The pauses of those that failed.
    pauses: HashMap<ClusterKey, Duration>,
}

/// What follows from the end of a reconcile.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Nothing,
    Again,
    After(Duration),
}

impl State {
    /// Returns whether somebody has to be woken.
    fn add(&mut self, key: ClusterKey) -> bool {
        self.due.remove(&key);
        if self.in_progress.contains(&key) {
            self.again.insert(key);
            return false;
        }
        let is_new = self.is_queued.insert(key.clone());
        if is_new {
            self.queued.push_back(key);
        }
        is_new
    }

    /// Returns whether the time is earlier than a known one.
    fn delay(&mut self, key: &ClusterKey, at: Instant) -> bool {
        let is_earlier = self.due.get(key).is_none_or(|known| at < *known);
        if is_earlier {
            self.due.insert(key.clone(), at);
        }
        is_earlier
    }

    /// The next key, and whether there are more.
    fn next(&mut self) -> Option<(ClusterKey, bool)> {
        let key = self.queued.pop_front()?;
        self.is_queued.remove(&key);
        self.in_progress.insert(key.clone());
        Some((key, !self.queued.is_empty()))
    }

    fn done(&mut self, key: &ClusterKey, failed: bool) -> Next {
        self.in_progress.remove(key);
        let again = self.again.remove(key);
        if failed {
            let pause = RETRY.after(self.pauses.get(key).copied());
            self.pauses.insert(key.clone(), pause);
            return Next::After(pause);
        }
        self.pauses.remove(key);
        if again { Next::Again } else { Next::Nothing }
    }

    fn is_idle(&self) -> bool {
        self.queued.is_empty() && self.in_progress.is_empty()
    }
}

/// A queue of hosted clusters. Clones share the queue.
#[derive(Clone, Debug, Default)]
pub struct Queue {
    state: Arc<Mutex<State>>,
    changed: Arc<Notify>,
    idle: Arc<Notify>,
}

impl Queue {
    /// No code panics while it holds the lock, and the queue would still be consistent.
    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Enqueues a hosted cluster. If it is being reconciled, it is reconciled again afterwards, because that reconcile may have
    /// read what has changed before it changed.
    pub fn add(&self, key: ClusterKey) {
        if self.with(|state| state.add(key)) {
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
        if !self.with(|state| state.delay(&key, at)) {
            return;
        }
        // The timer is not cancelled when an earlier one is set: it wakes up, sees another time, and does nothing.
        let queue = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep_until(at).await;
            if queue.with(|state| state.due.get(&key) == Some(&at)) {
                queue.add(key);
            }
        });
    }

    /// Waits for the next hosted cluster to reconcile.
    pub async fn next(&self) -> ClusterKey {
        // One notification wakes one worker, and several keys may arrive before it runs. So whoever takes a key wakes the next
        // worker while there are more. The notification is requested before the queue is read, or one in between would be lost.
        loop {
            let changed = self.changed.notified();
            if let Some((key, has_more)) = self.with(State::next) {
                if has_more {
                    self.changed.notify_one();
                }
                return key;
            }
            changed.await;
        }
    }

    /// Records the end of a reconcile. After a failure, the hosted cluster is enqueued again after an increasing pause.
    pub fn done(&self, key: &ClusterKey, failed: bool) {
        let (next, is_idle) = self.with(|state| (state.done(key, failed), state.is_idle()));
        let is_idle = is_idle && next != Next::Again;
        match next {
            Next::After(pause) => self.add_after(key.clone(), pause),
            Next::Again => self.add(key.clone()),
            Next::Nothing => {}
        }
        if is_idle {
            self.idle.notify_waiters();
        }
    }

    /// Waits until nothing is being reconciled. Queued work is left, because nothing takes it any more.
    pub async fn until_rest(&self) {
        while self.with(|state| !state.in_progress.is_empty()) {
            tokio::time::sleep(DRAIN_POLL).await;
        }
    }

    /// Waits until nothing is queued or being reconciled.
    pub async fn until_idle(&self) {
        loop {
            let idle = self.idle.notified();
            if self.with(|state| state.is_idle()) {
                return;
            }
            idle.await;
        }
    }

    /// The queued keys, for tests.
    #[cfg(test)]
    pub fn queued(&self) -> Vec<ClusterKey> {
        self.with(|state| state.queued.iter().cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> ClusterKey {
        ClusterKey { namespace: "clusters".into(), name: name.into() }
    }

    #[tokio::test]
    async fn a_key_is_queued_once_and_never_reconciled_twice_at_once() {
        let queue = Queue::default();
        queue.add_all([key("a"), key("b"), key("a")]);
        assert_eq!(queue.next().await, key("a"));
        queue.add(key("a"));
        assert_eq!(queue.queued(), [key("b")], "a is in progress: it is remembered, not queued");
        assert_eq!(queue.next().await, key("b"));
        queue.done(&key("a"), false);
        assert_eq!(queue.next().await, key("a"));
    }

    #[tokio::test(start_paused = true)]
    async fn failures_of_one_key_wait_longer_and_delay_nobody_else() {
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
            queue.with(|state| state.due.clear());
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
    async fn waiters_wake_when_the_last_work_ends() {
        let queue = Queue::default();
        queue.add(key("a"));
        let waiting = tokio::spawn({
            let queue = queue.clone();
            async move { queue.until_idle().await }
        });
        let taken = queue.next().await;
        queue.done(&taken, false);
        waiting.await.unwrap();
        assert!(queue.with(|state| state.is_idle()));
    }
}
