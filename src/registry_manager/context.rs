//! What all parts of the process share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kube::Client;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::agenda::{Agenda, ObjectKey};
use super::clients::Clients;
use super::inventory::Inventories;
use super::metrics::RegistryManagerMetrics;
use crate::management::events::Events;
use crate::management::lease::Term;

/// What all parts of the process share.
pub struct Context {
    /// Of the management cluster.
    pub client: Client,
    /// Whether this replica leads.
    pub term: Term,
    /// Numbers.
    pub metrics: RegistryManagerMetrics,
    /// Events.
    pub events: Events,
    /// Clients of registries.
    pub clients: Clients,
    /// Whole inventories.
    pub inventories: Inventories,
    /// Woken when a job may be started.
    pub changed: Notify,
    pub(super) objects: Mutex<Agenda>,
    /// Jobs that run, by their numbers.
    pub(super) jobs: Mutex<HashMap<u64, AbortHandle>>,
}

impl Context {
    /// All Registries.
    pub fn agenda(&self) -> MutexGuard<'_, Agenda> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends a job that is of no use any longer.
    pub fn abort(&self, job: Option<u64>) {
        let handle = job.and_then(|number| self.jobs().remove(&number));
        if let Some(handle) = handle {
            handle.abort();
        }
    }

    /// Jobs that run.
    pub fn jobs(&self) -> MutexGuard<'_, HashMap<u64, AbortHandle>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drops an object.
    pub fn forget(self: &Arc<Self>, key: &ObjectKey) {
        let job = self.agenda().remove(key);
        self.abort(job);
        self.clients.release(key);
        self.inventories.remove(key);
        self.changed.notify_one();
    }
}
