//! What concerns many hosted clusters: pure values in, pure values out.
//!
//! `claims` says whose a control-plane namespace is, `lag` how long hosted clusters are behind the last edit, `removal` whether too
//! many maps would become empty at once, `rollout` how many hosted clusters may change at a time. What concerns one alone is in
//! [`crate::hosted`].

pub mod claims;
pub mod lag;
pub mod removal;
pub mod rollout;
