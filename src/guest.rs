//! One guest cluster: connects to it, applies objects, and reads the status of its nodes. The manager decides which guest
//! cluster is reconciled when.

pub mod certificate;
pub mod client;
pub mod compare;
pub mod error;
mod few;
pub mod health;
mod in_flight;
pub mod kubeconfig;
mod limits;
pub mod node_mirrors;
pub mod node_rules;
pub mod objects;
mod page;
pub mod path;
mod push;
mod read_back;
pub mod seen;
mod shape;
pub mod summary;
mod watch;

pub use client::GuestClient;
pub use error::GuestError;
pub use in_flight::InFlight;
pub use limits::{Limits, MayWrite};
pub use read_back::guest_set;
