//! The management cluster: its watched state, and writes to it.

pub mod admission_registration;
pub mod apply;
pub mod events;
pub mod index;
pub mod lease;
pub mod mirror_kind;
pub mod pulled;
