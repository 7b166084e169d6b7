//! Watches hypermirror's objects in guest clusters, so that edits and deletions are reverted before the next interval.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;

use super::jittered;
use crate::client::backoff::Backoff;
use crate::guest::seen::Seen;
use crate::guest::{GuestClient, GuestError};
use crate::management::lease::Term;
use crate::manager::queue::Queue;
use hypermirror_api::ClusterKey;

/// Duration of one watch before jitter, which the server ends. Watches begin together when a replica becomes the leader, and
/// without jitter they would be renewed together ever after.
const LASTS: Duration = Duration::from_mins(4);
/// Maximum number of watches in all guest clusters, because each needs a connection, about 40 KiB. The most important kind has
/// its own slots, so that other guest clusters cannot occupy all of them.
const FIRST_KIND: &str = "NodeMirrorSet";
const OF_FIRST_KIND: usize = 1000;
const OF_OTHERS: usize = 500;
/// Delay of events, because those of the manager's own writes may arrive before the response.
const OWN_WRITE: Duration = Duration::from_millis(150);
/// Minimum and maximum pause between reconciles that a watch triggers, because another client may change the objects all the
/// time.
const PAUSES: Backoff = Backoff { first: Duration::from_secs(1), longest: Duration::from_mins(1) };
/// Time without events after which the pause is reset.
const CALM: Duration = Duration::from_mins(2);
/// A watch that ends earlier counts as failed.
const SHORTEST_WATCH: Duration = Duration::from_secs(10);

/// The slots for watches, shared by all guest clusters.
#[derive(Clone, Debug)]
pub(super) struct Slots {
    first_kind: Arc<Semaphore>,
    others: Arc<Semaphore>,
}

impl Slots {
    /// Watches are optional, so they occupy at most three eighths of the files that this process may open. The rest is for the
    /// requests, without which a guest cluster that is up would be reported as down.
    pub(super) fn within(open_files: Option<u64>) -> Self {
        let files = open_files.and_then(|files| usize::try_from(files).ok()).unwrap_or(usize::MAX);
        let slots = |count| Arc::new(Semaphore::new(count));
        Self { first_kind: slots(OF_FIRST_KIND.min(files / 4)), others: slots(OF_OTHERS.min(files / 8)) }
    }

    fn claim(&self, kind: &str) -> Option<OwnedSemaphorePermit> {
        let slots = if kind == FIRST_KIND { &self.first_kind } else { &self.others };
        Arc::clone(slots).try_acquire_owned().ok()
    }
}

/// The watches of one guest cluster. They stop when this is dropped.
#[derive(Debug, Default)]
pub(super) struct Watches {
    pub(super) seen: Arc<Seen>,
    pace: Arc<Pace>,
    running: HashMap<&'static str, JoinHandle<()>>,
}

impl Drop for Watches {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Watches {
    /// Stops them.
    pub(super) fn stop(&mut self) {
        self.running.drain().for_each(|(_, task)| task.abort());
    }

    /// Starts missing watches of a reachable guest cluster.
    pub(super) fn start(
        &mut self,
        slots: &Slots,
        client: &GuestClient,
        kinds: impl Iterator<Item = &'static str>,
        enqueuer: &Enqueuer,
    ) {
        self.running.retain(|_, task| !task.is_finished());
        let may_start = self.pace.with(|pace| pace.may_watch(Instant::now()));
        for kind in kinds.filter(|_| may_start) {
            if self.running.contains_key(kind) {
                continue;
            }
            let Some(slot) = slots.claim(kind) else { continue };
            let watch = Watch {
                kind,
                client: client.clone(),
                seen: Arc::clone(&self.seen),
                pace: Arc::clone(&self.pace),
                enqueuer: enqueuer.clone(),
                _slot: slot,
            };
            self.running.insert(kind, tokio::spawn(watch.run()));
        }
    }
}

/// Enqueues a guest cluster.
#[derive(Clone)]
pub(super) struct Enqueuer {
    pub(super) key: ClusterKey,
    pub(super) queue: Queue,
    pub(super) term: Term,
}

struct Watch {
    kind: &'static str,
    client: GuestClient,
    seen: Arc<Seen>,
    pace: Arc<Pace>,
    enqueuer: Enqueuer,
    _slot: OwnedSemaphorePermit,
}

impl Watch {
    /// Watches while this replica leads and the guest cluster responds. After a failure, the next successful reconcile starts it
    /// again.
    async fn run(self) {
        let mut term = self.enqueuer.term.clone();
        tokio::select! {
            _ = term.ended() => {}
            error = self.until_it_fails() => {
                tracing::debug!(cluster = %self.enqueuer.key, kind = self.kind, %error, "the watch of a guest cluster ended");
                // Either it is temporary, or the guest cluster is down: a reconcile determines that.
                let pause = self.pace.with(|pace| pace.failed(Instant::now()));
                self.enqueuer.queue.add_after(self.enqueuer.key.clone(), pause);
            }
        }
    }

    async fn until_it_fails(&self) -> GuestError {
        // Starts at the version of the reconcile, so that later changes are delivered.
        let mut from = self.seen.latest(self.kind);
        // The server ends each watch after some minutes, and it goes on from its last bookmark. A server that ends it at once is
        // not asked again here: the pace of failed watches decides when.
        loop {
            let start = Instant::now();
            let ended = self.client.watch(self.kind, lasts(&self.enqueuer.key), &mut from, |edit| {
                if self.seen.record_event(self.kind, &edit.name, edit.edition) {
                    self.enqueue();
                }
            });
            match ended.await {
                Ok(()) if start.elapsed() >= SHORTEST_WATCH => {}
                Ok(()) => {
                    return GuestError::Failed {
                        what: self.kind.to_owned(),
                        message: "the server ended the watch immediately".to_owned(),
                    };
                }
                // Too old: watch from now on. A reconcile finds missed changes.
                Err(GuestError::Gone { .. }) if from.take().is_some() => {
                    self.enqueuer.queue.add(self.enqueuer.key.clone());
                }
                Err(error) => return error,
            }
        }
    }

    /// Enqueues the guest cluster, unless the event is caused by the manager's own write.
    fn enqueue(&self) {
        let pause = self.pace.with(|pace| pace.event(Instant::now()));
        let Some(pause) = pause else { return };
        let (seen, enqueuer, pace) = (Arc::clone(&self.seen), self.enqueuer.clone(), Arc::clone(&self.pace));
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            let has_news = seen.has_news();
            pace.with(|pace| pace.enqueued(Instant::now(), has_news));
            if has_news {
                enqueuer.queue.add(enqueuer.key);
            }
        });
    }
}

/// The duration of the next watch, in which the server gets a whole number of seconds below its limit of 295.
fn lasts(key: &ClusterKey) -> Duration {
    jittered(LASTS, key)
}

/// The pace of one guest cluster's watches, which are separate tasks.
#[derive(Debug, Default)]
struct Pace(Mutex<PaceState>);

impl Pace {
    fn with<T>(&self, work: impl FnOnce(&mut PaceState) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Limits the reconciles that watches of one guest cluster trigger: its administrator may change the objects all the time, and
/// each reconcile costs the manager and the guest cluster many requests. Pure.
#[derive(Debug, Default)]
struct PaceState {
    /// Whether a reconcile is already scheduled, which also covers later events.
    is_waiting: bool,
    /// The time of the last triggered reconcile, and the pause after it.
    last: Option<(Instant, Duration)>,
    /// The same for watches that failed.
    failed: Option<(Instant, Duration)>,
}

impl PaceState {
    /// Handles an event. Returns the time of the reconcile, unless one is already scheduled.
    fn event(&mut self, now: Instant) -> Option<Duration> {
        if std::mem::replace(&mut self.is_waiting, true) {
            return None;
        }
        let left = self.last.map(|(at, pause)| (at + pause).saturating_duration_since(now)).unwrap_or_default();
        Some(left.max(OWN_WRITE))
    }

    /// Records that the scheduled reconcile was enqueued.
    fn enqueued(&mut self, now: Instant, had_news: bool) {
        self.is_waiting = false;
        if had_news {
            self.last = Some((now, longer(self.last, now)));
        }
    }

    /// Handles a failed watch. Returns the time of the reconcile.
    fn failed(&mut self, now: Instant) -> Duration {
        let pause = longer(self.failed, now);
        self.failed = Some((now, pause));
        pause
    }

    /// Whether another watch may be started.
    fn may_watch(&self, now: Instant) -> bool {
        self.failed.is_none_or(|(at, pause)| now >= at + pause)
    }
}

/// The next pause, which is doubled unless there were no events for some time.
fn longer(last: Option<(Instant, Duration)>, now: Instant) -> Duration {
    PAUSES.after(last.filter(|(at, pause)| now < *at + *pause + CALM).map(|(_, pause)| pause))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_reconciled_soon_and_repeated_ones_less_and_less_often() {
        let (mut pace, mut now) = (PaceState::default(), Instant::now());
        assert_eq!(pace.event(now), Some(OWN_WRITE));
        assert_eq!(pace.event(now), None, "somebody waits already");
        pace.enqueued(now, false);
        assert_eq!(pace.event(now), Some(OWN_WRITE), "it was our own write");
        let mut pauses = Vec::new();
        for _ in 0..9 {
            pace.enqueued(now, true);
            let pause = pace.event(now).unwrap();
            pauses.push(pause.as_secs());
            now += pause;
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        pace.enqueued(now, true);
        now += PAUSES.longest + CALM;
        assert_eq!(pace.event(now), Some(OWN_WRITE));
        pace.enqueued(now, true);
        assert_eq!(pace.event(now), Some(PAUSES.first), "it was calm");
    }

    #[test]
    fn watches_that_fail_are_started_less_and_less_often() {
        let (mut pace, mut now) = (PaceState::default(), Instant::now());
        assert!(pace.may_watch(now));
        for expected in [1, 2, 4, 8, 16, 32, 60, 60] {
            let pause = pace.failed(now);
            assert_eq!(pause.as_secs(), expected);
            assert!(!pace.may_watch(now));
            now += pause;
            assert!(pace.may_watch(now));
        }
    }

    #[test]
    fn watches_are_not_renewed_in_step() {
        let key = ClusterKey { namespace: "clusters".to_owned(), name: "a".to_owned() };
        let mut all: Vec<u64> = (0..200).map(|_| lasts(&key).as_secs()).collect();
        assert!(all.iter().all(|seconds| (150..295).contains(seconds)), "{all:?}");
        all.sort_unstable();
        all.dedup();
        assert!(all.len() > 20, "{all:?}");
    }

    #[test]
    fn the_sets_of_nodes_have_slots_of_their_own() {
        let slots = Slots::within(None);
        let claimed = |kind: &str| (0..2 * OF_FIRST_KIND).map_while(|_| slots.claim(kind)).collect::<Vec<_>>();
        let others = claimed("DaemonSet");
        assert_eq!((others.len(), claimed("ImageTagMirrorSet").len()), (OF_OTHERS, 0));
        assert_eq!(claimed(FIRST_KIND).len(), OF_FIRST_KIND);
    }

    #[test]
    fn watches_leave_most_open_files_to_requests() {
        let slots_of = |limit| {
            let slots = Slots::within(limit);
            (slots.first_kind.available_permits(), slots.others.available_permits())
        };
        assert_eq!(slots_of(Some(1_024)), (256, 128));
        for limit in [Some(4_096), Some(u64::MAX), None] {
            assert_eq!(slots_of(limit), (OF_FIRST_KIND, OF_OTHERS), "{limit:?}");
        }
    }
}
