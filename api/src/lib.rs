//! The API types of hypermirror: our own kinds, the foreign kinds that we read, and every name that others may depend on.
//!
//! Nothing in here talks to a server. The foreign kinds are small and tolerant: they hold the fields that the rules of
//! mirroring need, each with a default, so that a newer HyperShift or OpenShift never stops a watch.

pub mod annotations;
pub mod conditions;
pub mod hypershift;
pub mod mirror_sets;
pub mod names;
pub mod node_conditions;
pub mod node_mirror_set;
pub mod node_mirror_status;
pub mod report;
mod schema;

pub use conditions::{ConditionType, Reason};
pub use node_conditions::{NodeConditionType, NodeReason};
pub use node_mirror_set::NodeMirrorSet;
pub use node_mirror_status::NodeMirrorStatus;
pub use report::{HostedClusterMirrors, HostedClusterMirrorsStatus};
