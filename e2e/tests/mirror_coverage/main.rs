//! The coverage of hosted clusters as the registry-manager reports it, with its own ServiceAccount, on a real API server, in front of
//! mock registries.

#![allow(clippy::unwrap_used)] // a scenario that cannot go on has failed

mod catalogs;
mod checks;
mod fill;
mod gate;
mod manager;
mod stage;
