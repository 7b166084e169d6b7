//! What all parts of coverage share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use hypermirror_api::{ClusterKey, CoverageConditionType};
use jiff::Timestamp;
use kube::Client;
use tokio::sync::Notify;

use super::clients::ClientPool;
use super::fill::Filler;
use super::metrics::CoverageMetrics;
use super::options::CoverageOptions;
use super::schedule::{End, Known, Schedule};
use crate::management::events::Events;
use crate::management::lease::Term;
use crate::manager::reading::Reading;
use crate::manager::store::Store;
use crate::registry::coverage::payloads::Payloads;
use crate::telemetry::metrics::{StateLabels, gauge};

/// What all parts of coverage share.
pub struct Context {
    /// Of the management cluster.
    pub client: Client,
    /// Whether this replica leads.
    pub term: Term,
    /// Events.
    pub events: Events,
    /// Numbers.
    pub metrics: CoverageMetrics,
    /// Flags.
    pub options: CoverageOptions,
    /// The namespace of the process, in which the manager runs, too.
    pub namespace: String,
    /// What is declared, as the manager knows it.
    pub store: Store,
    /// The ConfigMaps to read.
    pub reading: Arc<Reading>,
    /// Clients of registries.
    pub clients: ClientPool,
    /// What copies the images that are missing, with `--fill`.
    pub filler: Option<Filler>,
    /// The payloads of releases, which never change.
    pub payloads: Arc<Payloads>,
    /// Woken when something may be due.
    pub wake: Notify,
    pub(super) schedule: Mutex<Schedule>,
}

impl Context {
    /// When hosted clusters are checked.
    pub fn schedule(&self) -> MutexGuard<'_, Schedule> {
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the next round is made.
    pub fn next_round(&self) -> Timestamp {
        self.schedule().next_round(Instant::now(), Timestamp::now())
    }

    /// Ends the work for a hosted cluster.
    pub fn finish(&self, key: &ClusterKey, end: End, written: Option<Known>) {
        self.schedule().finish(key, end, written, Instant::now());
        self.count();
        self.wake.notify_one();
    }

    /// Drops a hosted cluster.
    pub fn forget(&self, key: &ClusterKey) {
        self.schedule().remove(key);
        if let Some(filler) = &self.filler {
            filler.forget(key);
        }
    }

    /// Updates gauges.
    pub fn count(&self) {
        let (mut clusters, mut images) = (
            [("Held", 0), ("Missing", 0), ("Unknown", 0), ("Pending", 0)],
            [("Held", 0), ("Missing", 0), ("Unknown", 0)],
        );
        let mut oldest: Option<Timestamp> = None;
        {
            let schedule = self.schedule();
            for status in schedule.statuses() {
                let held = status.and_then(|status| status.condition(CoverageConditionType::Held));
                let state = match held.map(|held| held.status.as_str()) {
                    Some("True") => 0,
                    Some("False") => 1,
                    Some(_) => 2,
                    None => 3,
                };
                clusters[state].1 += 1;
                let checked = status.and_then(|status| status.last_check_time.as_ref()).map(|time| time.0);
                oldest = oldest.into_iter().chain(checked).min();
                let counts = status.map(|status| status.counts).unwrap_or_default();
                for (image, count) in images.iter_mut().zip([counts.held, counts.missing, counts.unknown]) {
                    image.1 += count;
                }
            }
        }
        for (state, count) in clusters {
            self.metrics.clusters.get_or_create(&StateLabels { state }).set(gauge(count));
        }
        self.metrics.oldest_check.set(oldest.map_or(0, Timestamp::as_second));
        for (state, count) in images {
            self.metrics.images.get_or_create(&StateLabels { state }).set(count);
        }
    }
}
