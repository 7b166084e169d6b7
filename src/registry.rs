//! The registry client: reads and writes what registries hold, survives what they answer.
//!
//! In layers, each above the one before: `transport` (connections, trust, redirects), `auth` (challenges and tokens),
//! `distribution` (typed calls, no retry), `policy` (retries and pacing), and what uses them: `scan`, `coverage`,
//! `transfer`. There is no Kubernetes in it: credentials, authorities and proxies come in as values. Nothing is ever deleted
//! from a registry.

pub mod address;
pub mod auth;
pub mod client;
mod content_key;
pub mod coverage;
pub mod credentials;
pub mod distribution;
pub mod error;
pub mod layout;
pub mod name;
pub mod policy;
pub mod proxy;
pub mod quirks;
mod refusal;
pub mod requests;
pub mod scan;
pub mod secret;
#[cfg(test)]
mod testing;
pub mod transfer;
pub mod transport;
pub mod wire;

pub use client::Client;
pub use credentials::Credential;
pub use distribution::Target;
pub use error::{Cause, Place, Reason, RegistryError};
pub use name::{NameError, Reference, RegistryAddress, Repository};
pub use secret::Secret;
pub use wire::digest::Digest;
