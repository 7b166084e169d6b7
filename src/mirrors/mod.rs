//! The rules of mirroring: pure values in, pure values out.
//!
//! One set of rules for the manager, the agent and the command line. Nothing in here knows a client, a clock, a file
//! system or the environment.

pub mod origin;
pub mod reference;
pub mod resolved;

pub use origin::{Layer, Origin};
pub use reference::{ImageReference, ReferenceError, is_valid_reference};
pub use resolved::{Policy, Resolved, ResolvedSource};
