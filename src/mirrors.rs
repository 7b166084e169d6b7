//! The mirroring rules, as pure functions.
//!
//! The manager, the agent and the command line use the same rules. This module has no client, clock, file system or
//! environment.

pub mod attachments;
pub mod containerd;
pub mod entry;
pub mod fields;
pub mod finding;
#[cfg(test)]
pub(crate) mod fixtures;
pub mod hypershift;
pub mod layers;
pub mod lookup;
pub mod manifest;
pub mod map;
pub mod merge;
pub mod migrate;
pub mod order;
pub mod origin;
pub mod overrides;
pub mod reference;
pub mod registries;
pub mod scope;
pub mod signature_policy;
pub mod topo;
pub mod validate;

pub use entry::{MirrorEntry, PullBy};
pub use map::{DeclaredPolicy, Mirror, Policy, Resolved, ResolvedSource};
pub use origin::{Layer, Origin};
pub use reference::{ImageReference, ReferenceError, is_tag, is_valid_reference};
pub use scope::Scope;
