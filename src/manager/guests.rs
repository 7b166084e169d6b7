//! Reconciles guest clusters, each independently, so that one that is down or slow does not delay the others.

mod bootstrap;
mod connect;
mod declared;
mod give;
mod leave;
mod outcome;
mod pace;
mod sync;
mod watch;

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use hypermirror_api::Reason;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tracing::Instrument as _;

use super::context::Context;
use crate::guest::health::Health;
use crate::guest::objects::GuestKinds;
use crate::guest::{GuestClient, InFlight, Look};
use crate::hosted::condition_state::ConditionState;
use crate::hosted::guest::GuestOutcome;
use crate::management::index::guests::KubeconfigSecret;
use hypermirror_api::ClusterKey;

/// Pause after a reconcile that panicked.
const AFTER_PANIC: Duration = Duration::from_mins(1);
/// Timeout of one reconcile: a guest cluster with 10,000 nodes needs seconds. Slower ones are reported.
const LOOK: Duration = Duration::from_mins(2);

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
    mirrors: Option<give::Mirrors>,
    /// The change that nodes have not confirmed yet.
    change: Option<Change>,
    /// Number of reads of the nodes' status since the last change.
    asked: u32,
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
    since: Instant,
    /// The slot of `--max-concurrent-guests`.
    _permit: Option<OwnedSemaphorePermit>,
}

/// All guest clusters.
pub struct Guests {
    memory: Mutex<HashMap<ClusterKey, Guest>>,
    permits: Option<Arc<Semaphore>>,
    in_flight: InFlight,
    places: watch::Places,
}

impl Guests {
    /// Creates an empty state.
    pub fn new(max_concurrent: u16) -> Arc<Self> {
        let permits = (max_concurrent > 0).then(|| Arc::new(Semaphore::new(max_concurrent.into())));
        Arc::new(Self {
            memory: Mutex::default(),
            permits,
            in_flight: InFlight::default(),
            places: watch::Places::default(),
        })
    }

    /// The memory of one guest cluster in this term. The queue ensures that it is reconciled only once at a time.
    fn take(&self, key: &ClusterKey, term: i64) -> Guest {
        let known = self.memory.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
        known.filter(|guest| guest.term == term).unwrap_or_else(|| Guest { term, ..Guest::default() })
    }

    fn put_back(&self, key: &ClusterKey, guest: Guest) {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone(), guest);
    }

    /// Reconciles guest clusters until the process ends.
    pub async fn run(self: Arc<Self>, ctx: Arc<Context>) {
        let mut looks = JoinSet::new();
        loop {
            let key = ctx.guest_queue.next().await;
            while looks.try_join_next().is_some() {}
            let (guests, ctx) = (Arc::clone(&self), Arc::clone(&ctx));
            let span = tracing::info_span!(parent: None, "guest", cluster = %key);
            let look = async move {
                let looked = AssertUnwindSafe(guests.look(&ctx, &key)).catch_unwind().await;
                if looked.is_err() {
                    // Responses of guest clusters are not trusted: a panic must not affect the others.
                    tracing::error!(cluster = %key, "the reconcile of a guest cluster panicked; trying again later");
                    let message = "the reconcile of the guest cluster failed because of a fault in hypermirror; see the log of \
                         the manager";
                    let synced = ConditionState::new("Unknown", Reason::WorkFailed, message);
                    outcome::record(&ctx, &key, |before| Some(GuestOutcome::unknown(synced, before)));
                    ctx.guest_queue.done(&key, false);
                    ctx.guest_queue.add_after(key, AFTER_PANIC);
                }
            };
            looks.spawn(look.instrument(span));
        }
    }

    async fn look(&self, ctx: &Context, key: &ClusterKey) {
        let again = if ctx.may_write() && !*ctx.stopping.borrow() {
            let mut guest = self.take(key, ctx.term.number());
            let again = sync::sync(ctx, self, &mut guest, key).await;
            if ctx.index().cluster(key).is_some() {
                self.put_back(key, guest);
            }
            again
        } else {
            // Another replica leads, so the memory becomes outdated.
            self.memory.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
            None
        };
        ctx.guest_queue.done(key, false);
        if let Some(pause) = again {
            ctx.guest_queue.add_after(key.clone(), pause);
        }
    }
}

/// The limits of a reconcile that starts now.
fn look(ctx: &Context, guest: &Guest) -> Look {
    let (term, number) = (ctx.term.clone(), guest.term);
    Look {
        end: Instant::now() + LOOK,
        may_write: Arc::new(move || term.writes_until().filter(|_| term.number() == number)),
        term: guest.term,
        overrules: guest.overrules,
        seen: Arc::clone(&guest.watches.seen),
    }
}

/// Adds jitter by guest cluster, so that they are not all reconciled at the same time.
fn jittered(interval: Duration, key: &ClusterKey) -> Duration {
    use std::hash::{BuildHasher as _, RandomState};
    let share = u32::try_from(RandomState::new().hash_one(key) % 1000).unwrap_or_default();
    interval.mul_f64(0.8 + 0.4 * f64::from(share) / 1000.0)
}
