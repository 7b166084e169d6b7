//! The only home of the management cluster's client: what is read, watched, remembered and written there.

pub mod admission;
pub mod apply;
pub mod client;
pub mod cluster_key;
pub mod deadline;
pub mod events;
pub mod index;
pub mod kinds;
pub mod lease;
pub mod watch;

pub use cluster_key::ClusterKey;
