//! What all parts of the process share.

use std::sync::Arc;

use kube::Client;

use super::agenda::ObjectKey;
use super::builder::Builders;
use super::clients::Clients;
use super::due::Scans;
use super::image::Images;
use super::import::Imports;
use super::inventory::Inventories;
use super::metrics::RegistryManagerMetrics;
use super::queue::Queue;
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
    /// Registries.
    pub scans: Arc<Queue<Scans>>,
    /// Images.
    pub images: Images,
    /// ImageBuilders, if images are built.
    pub builders: Option<Arc<Builders>>,
    /// Imports for pods that cannot pull, if they are on.
    pub imports: Option<Imports>,
}

impl Context {
    /// Drops a Registry.
    pub fn forget(&self, key: &ObjectKey) {
        self.scans.forget(key);
        self.clients.release(key);
        self.inventories.remove(key);
    }
}
