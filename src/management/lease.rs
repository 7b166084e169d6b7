//! Leader election, and the state of the manager that its Lease keeps over a restart.

pub mod election;
pub mod leadership;
pub mod memory;

pub use leadership::{Leadership, LeaseSettings, Term, is_held};
pub use memory::{LeaseMemory, record_kinds, remove_approval, request_uninstall};
