//! Whether this replica may write.

use std::time::Instant;

use kube::Client;

use crate::management::lease::{self, Term};
use crate::process::initial_lists::InitialLists;

/// The leadership of this replica, and the state of its watches.
#[derive(Clone)]
pub struct Leader {
    /// Whether this replica leads.
    pub term: Term,
    /// Whether all first lists are complete.
    pub initial_lists: InitialLists,
    client: Client,
    namespace: String,
    identity: String,
}

impl Leader {
    /// Creates the state, before any watch is awaited. The Lease is in `namespace`.
    pub fn new(term: Term, client: Client, namespace: &str, identity: &str) -> Self {
        let (namespace, identity) = (namespace.to_owned(), identity.to_owned());
        Self { term, initial_lists: InitialLists::default(), client, namespace, identity }
    }

    /// Whether this replica may write: it leads, and knows all objects.
    pub fn may_write(&self) -> bool {
        // A list that is missing looks like deleted objects, and nothing may be removed because of it.
        self.term.lasts() && self.initial_lists.is_open()
    }

    /// The time by which a write in the term with this number must be complete. `None` if that term has ended.
    pub fn writes_until(&self, term: i64) -> Option<Instant> {
        self.term.writes_until().filter(|_| self.term.number() == term)
    }

    /// Reads from the Lease whether this replica leads.
    ///
    /// # Errors
    /// [`kube::Error`] if the Lease cannot be read.
    pub async fn holds_lease(&self) -> kube::Result<bool> {
        lease::is_held(&self.client, &self.namespace, &self.identity, self.term.number()).await
    }
}
