//! Copies images between registries and OCI layouts: what the destination lacks, and nothing else.
//!
//! [`side`] is where images come from and go to. Digests are preserved: manifests are never changed, and nothing is deleted.

pub mod side;

pub use side::{RegistrySide, Side};
