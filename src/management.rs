//! The management cluster: what is read, remembered and written there.

pub mod admission_registration;
pub mod apply;
pub mod events;
pub mod index;
pub mod lease;
pub mod mirror_kind;
