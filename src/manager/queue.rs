//! The work queue. Each hosted cluster is queued at most once, never reconciled concurrently, and has its own back-off.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
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
    /// The same in order of time.
    timeline: BTreeSet<(Instant, ClusterKey)>,
    /// The pauses of those that failed.
    pauses: HashMap<ClusterKey, Duration>,
}

/// What a worker does next.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// Reconcile this one.
    Take {
        key: ClusterKey,
        /// Whether another worker has something to take or to wait for.
        has_more: bool,
    },
    /// Wait until this time, or until the queue changes.
    WaitUntil(Instant),
    /// Wait until the queue changes.
    Wait,
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
        if let Some(at) = self.due.remove(&key) {
            self.timeline.remove(&(at, key.clone()));
        }
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

    /// Returns whether the time is earlier than all known ones.
    fn delay(&mut self, key: ClusterKey, at: Instant) -> bool {
        if self.due.get(&key).is_some_and(|known| *known <= at) {
            return false;
        }
        if let Some(later) = self.due.insert(key.clone(), at) {
            self.timeline.remove(&(later, key.clone()));
        }
        self.timeline.insert((at, key));
        self.timeline.first().is_some_and(|(first, _)| *first == at)
    }

    /// Enqueues those that are due.
    fn add_due(&mut self, now: Instant) {
        while self.timeline.first().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, key)) = self.timeline.pop_first() {
                self.add(key);
            }
        }
    }

    fn next(&mut self, now: Instant) -> Step {
        self.add_due(now);
        let Some(key) = self.queued.pop_front() else {
            return self.timeline.first().map_or(Step::Wait, |(at, _)| Step::WaitUntil(*at));
        };
        self.is_queued.remove(&key);
        self.in_progress.insert(key.clone());
        Step::Take { key, has_more: !self.queued.is_empty() || !self.timeline.is_empty() }
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
        // There is no timer for each delay, because it could not be cancelled: hosted clusters that are edited often would leave
        // thousands of them behind. Workers that wait for work wait for the earliest delay, too.
        let at = Instant::now() + pause;
        if self.with(|state| state.delay(key, at)) {
            self.changed.notify_one();
        }
    }

    /// Waits for the next hosted cluster to reconcile.
    pub async fn next(&self) -> ClusterKey {
        // One notification wakes one worker, and several keys may arrive before it runs. So whoever takes a key wakes the next
        // worker while there are more, or delays that nobody else may be waiting for. The notification is requested before the queue
        // is read, or one in between would be lost.
        loop {
            let changed = self.changed.notified();
            match self.with(|state| state.next(Instant::now())) {
                Step::Take { key, has_more } => {
                    if has_more {
                        self.changed.notify_one();
                    }
                    return key;
                }
                // Late or early: the queue is read again.
                Step::WaitUntil(at) => {
                    let _ = tokio::time::timeout_at(at, changed).await;
                }
                Step::Wait => changed.await,
            }
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
        self.with(|state| {
            state.add_due(Instant::now());
            state.queued.iter().cloned().collect()
        })
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
            queue.with(|state| {
                state.due.clear();
                state.timeline.clear();
            });
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

    #[tokio::test(start_paused = true)]
    async fn delays_that_are_set_again_and_again_leave_nothing_behind() {
        let queue = Queue::default();
        let before = tokio::runtime::Handle::current().metrics().num_alive_tasks();
        for _ in 0..1_000 {
            queue.add_after(key("a"), Duration::from_mins(5));
            queue.add(key("a"));
            let taken = queue.next().await;
            queue.done(&taken, false);
        }
        queue.add_after(key("a"), Duration::from_mins(5));
        assert_eq!(queue.with(|state| (state.due.len(), state.timeline.len())), (1, 1));
        assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), before);
    }

    #[tokio::test(start_paused = true)]
    async fn every_delay_ends_although_the_worker_that_waits_for_it_takes_something_else() {
        let queue = Queue::default();
        let workers: Vec<_> = (0..3)
            .map(|_| {
                let queue = queue.clone();
                tokio::spawn(async move { queue.next().await })
            })
            .collect();
        tokio::task::yield_now().await;
        queue.add_after(key("late"), Duration::from_secs(10));
        queue.add_after(key("soon"), Duration::from_secs(1));
        queue.add(key("now"));
        let start = Instant::now();
        let mut taken = Vec::new();
        for worker in workers {
            taken.push(worker.await.unwrap().name);
        }
        taken.sort();
        assert_eq!((taken, start.elapsed().as_secs()), (["late", "now", "soon"].map(str::to_owned).to_vec(), 10));
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
