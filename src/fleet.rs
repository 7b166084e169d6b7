//! What concerns many hosted clusters: pure values in, pure values out.
//!
//! `claims` says whose a control-plane namespace is, `removal` whether too many maps would become empty at once, `rollout` how
//! many hosted clusters may change at a time. What concerns one alone is in [`crate::hosted`].

pub mod claims;
pub mod removal;
pub mod rollout;
