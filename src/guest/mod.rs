//! One guest cluster: reaching it, what it is given, what its nodes say. Whom it belongs to and when, the manager knows.

pub mod certificate;
pub mod client;
pub mod compare;
pub mod error;
pub mod health;
pub mod kubeconfig;
pub mod objects;
pub mod path;
mod push;
mod read_back;
pub mod summary;

pub use client::GuestClient;
pub use error::GuestError;
pub use read_back::guest_set;
