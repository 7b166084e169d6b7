//! Reconciles guest clusters, each independently, so that one that is down or slow does not delay the others.

mod bootstrap;
mod connect;
mod declared;
mod outcome;
mod pace;
mod push;
mod removal;
mod sync;
#[cfg(test)]
mod testing;
mod watch;

use std::collections::HashMap;
use std::fmt::Debug;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use hypermirror_api::{ClusterKey, Reason};
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tracing::Instrument as _;

use self::outcome::Synced;
use super::context::{Context, moment};
use super::heavy::{Heavy, Load};
use super::leader::Leader;
use super::observe::Absent;
use super::options::GuestOptions;
use super::queue::Queue;
use super::store::Store;
use crate::client::deadline::answered;
use crate::guest::health::Health;
use crate::guest::objects::GuestKinds;
use crate::guest::{GuestClient, InFlight, Limits};
use crate::hosted::condition_state::ConditionState;
use crate::hosted::gates::held;
use crate::hosted::guest::GuestOutcome;
use crate::management::index::guests::KubeconfigSecret;
use crate::management::index::lags::Side;
use crate::process::open_files;
use crate::telemetry::requests::RequestMetrics;

/// Pause after a reconcile that panicked.
const AFTER_PANIC: Duration = Duration::from_mins(1);
/// Timeout of one reconcile: a guest cluster with 10,000 nodes needs seconds. Slower ones are reported.
const TIMEOUT: Duration = Duration::from_mins(2);
/// Maximum number of concurrent reads in the management cluster. A new leader reads something for each guest cluster at once, and each
/// concurrent request needs a connection of its own.
const READS: usize = 32;
/// Pause before a large guest cluster requests a slot again.
const SLOT_RETRY: Duration = Duration::from_millis(100);

/// The memory of one guest cluster between reconciles.
#[derive(Default)]
struct Guest {
    /// The term of leadership of this memory. Another replica may have made changes after an earlier term.
    term: i64,
    /// Objects of terms up to this one may be overwritten, although they are later than the own term.
    overrules: i64,
    connection: Option<Connection>,
    watches: watch::Watches,
    health: Health,
    /// The time of the last complete reconcile, and its result.
    base: Option<Base>,
    /// The last written mirrors.
    mirrors: Option<push::Mirrors>,
    /// The change that nodes have not confirmed yet.
    change: Option<Change>,
    /// Number of reads of the nodes' status since the last change.
    reads: u32,
    /// The start time of the removal.
    leaving_since: Option<Instant>,
}

/// A client and its kubeconfig.
#[derive(Clone)]
struct Connection {
    secret: KubeconfigSecret,
    client: GuestClient,
    expires: Option<jiff::Timestamp>,
}

/// The result of a complete reconcile, which mirrors do not change.
#[derive(Clone, Debug)]
struct Base {
    at: Instant,
    kinds: GuestKinds,
    /// The kind of each object of hypermirror, without mirrors.
    others: Arc<[String]>,
}

/// An unconfirmed change.
struct Change {
    since: tokio::time::Instant,
    /// The slot of `--max-concurrent-guests`.
    _permit: Option<OwnedSemaphorePermit>,
}

/// The memory of all guest clusters. The queue ensures that each is reconciled only once at a time, so its memory is taken out
/// meanwhile.
#[derive(Default)]
struct Memory(Mutex<HashMap<ClusterKey, Guest>>);

impl Memory {
    fn with<T>(&self, work: impl FnOnce(&mut HashMap<ClusterKey, Guest>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The memory of one guest cluster in this term.
    fn take(&self, key: &ClusterKey, term: i64) -> Guest {
        let known = self.with(|guests| guests.remove(key));
        known.filter(|guest| guest.term == term).unwrap_or_else(|| Guest { term, ..Guest::default() })
    }

    fn put_back(&self, key: &ClusterKey, guest: Guest) {
        self.with(|guests| guests.insert(key.clone(), guest));
    }

    fn forget(&self, key: &ClusterKey) {
        self.with(|guests| guests.remove(key));
    }
}

/// All guest clusters, and what their reconciles share.
pub struct Guests {
    memory: Memory,
    permits: Option<Arc<Semaphore>>,
    in_flight: InFlight,
    slots: watch::Slots,
    /// The client of the management cluster, and its slots.
    client: Client,
    reads: Semaphore,
    options: GuestOptions,
    heavy: Arc<Heavy>,
    leader: Leader,
    store: Store,
    requests: RequestMetrics,
}

impl Guests {
    /// Creates an empty state.
    pub fn new(ctx: &Context) -> Arc<Self> {
        let options = ctx.settings.guests.clone();
        let at_once = usize::from(options.max_concurrent_guests);
        Arc::new(Self {
            memory: Memory::default(),
            permits: (at_once > 0).then(|| Arc::new(Semaphore::new(at_once))),
            in_flight: InFlight::default(),
            slots: watch::Slots::within(open_files::limit()),
            client: ctx.client.clone(),
            reads: Semaphore::new(READS),
            options,
            heavy: Arc::clone(&ctx.heavy),
            leader: ctx.leader.clone(),
            store: ctx.store.clone(),
            requests: ctx.metrics.guest_requests.clone(),
        })
    }

    fn queue(&self) -> &Queue {
        &self.store.guests
    }

    /// Reconciles guest clusters until the process ends.
    pub async fn run(self: Arc<Self>, ctx: Arc<Context>) {
        let mut reconciles = JoinSet::new();
        // Each reconcile is a task of its own. One that does not respond waits for its deadlines: a hundred of them would occupy
        // any fixed number of workers for minutes.
        loop {
            let key = self.queue().next().await;
            while reconciles.try_join_next().is_some() {}
            let (guests, ctx) = (Arc::clone(&self), Arc::clone(&ctx));
            let span = tracing::info_span!(parent: None, "guest", cluster = %key);
            let reconcile = async move {
                if AssertUnwindSafe(guests.reconcile(&ctx, &key)).catch_unwind().await.is_err() {
                    guests.report_panic(key);
                }
            };
            reconciles.spawn(reconcile.instrument(span));
        }
    }

    /// Responses of guest clusters are not trusted: a panic must not affect the others.
    fn report_panic(&self, key: ClusterKey) {
        tracing::error!(cluster = %key, "the reconcile of a guest cluster panicked; trying again later");
        let message =
            "the reconcile of the guest cluster failed because of a fault in hypermirror; see the log of the manager";
        let synced = ConditionState::new("Unknown", Reason::WorkFailed, message);
        let before = self.store.guest_outcome(&key);
        self.store.record_guest(&key, GuestOutcome::unknown(synced, before.as_deref()));
        self.queue().done(&key, false);
        self.queue().add_after(key, AFTER_PANIC);
    }

    async fn reconcile(&self, ctx: &Context, key: &ClusterKey) {
        let again = if self.leader.may_write() && !*ctx.stopping.borrow() {
            let mut guest = self.memory.take(key, self.leader.term.number());
            let again = self.sync(ctx, &mut guest, key).await;
            // Not if it was deleted meanwhile: nobody would ever drop its connection and its watches again.
            if self.store.contains(key) {
                self.memory.put_back(key, guest);
            }
            again
        } else {
            // Another replica leads, so the memory becomes outdated.
            self.memory.forget(key);
            None
        };
        self.queue().done(key, false);
        if let Some(pause) = again {
            self.queue().add_after(key.clone(), pause);
        }
    }

    /// Takes the facts, reconciles and records the result, each once. Returns the time of the next reconcile if no event triggers
    /// an earlier one.
    async fn sync(&self, ctx: &Context, guest: &mut Guest, key: &ClusterKey) -> Option<Duration> {
        let observed = match ctx.known(key, Load::default(), &self.heavy.guests).await {
            Ok(observed) => observed,
            Err(Absent::Busy) => return Some(SLOT_RETRY),
            Err(Absent::Gone | Absent::Unread | Absent::Unlisted) => return None,
        };
        let Synced { outcome, again, progress } = sync::sync(self, guest, &observed, moment()).await;
        match (progress, &outcome) {
            (Some(progress), _) => self.store.record_progress(Side::Nodes, key, observed.edits, progress),
            (None, Some(outcome)) => {
                let is_held = held(&observed.facts, moment()).is_some();
                self.store.stall_nodes(key, outcome.synced.reason, is_held);
            }
            (None, None) => {}
        }
        if let Some(outcome) = outcome {
            self.store.record_guest(key, outcome);
        }
        again
    }

    /// The limits of a reconcile that starts now.
    fn limits(&self, guest: &Guest) -> Limits {
        let (leader, number) = (self.leader.clone(), guest.term);
        Limits {
            end: Instant::now() + TIMEOUT,
            may_write: Arc::new(move || leader.writes_until(number)),
            term: guest.term,
            overrules: guest.overrules,
            seen: Arc::clone(&guest.watches.seen),
        }
    }

    /// Reads an object of the management cluster. The wait for a slot does not count against the deadline.
    async fn read<K>(&self, namespace: &str, name: &str) -> kube::Result<Option<K>>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        let _slot = self.reads.acquire().await; // never closed
        answered(Api::<K>::namespaced(self.client.clone(), namespace).get_opt(name)).await
    }

    /// Requests a slot for a change.
    fn claim_slot(&self) -> Option<Change> {
        let permit = match &self.permits {
            None => None,
            Some(permits) => Some(Arc::clone(permits).try_acquire_owned().ok()?),
        };
        Some(Change { since: tokio::time::Instant::now(), _permit: permit })
    }

    /// The pause between two reconciles in which nothing changes.
    fn interval(&self, key: &ClusterKey) -> Duration {
        jittered(self.options.guest_interval, key)
    }
}

/// Adds jitter by guest cluster, so that they are not all reconciled at the same time.
fn jittered(interval: Duration, key: &ClusterKey) -> Duration {
    use std::hash::{BuildHasher as _, RandomState};
    let share = u32::try_from(RandomState::new().hash_one(key) % 1000).unwrap_or_default();
    interval.mul_f64(0.8 + 0.4 * f64::from(share) / 1000.0)
}

#[cfg(test)]
mod tests;
