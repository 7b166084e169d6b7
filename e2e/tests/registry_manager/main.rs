//! The registry-manager as a process with its own ServiceAccount, on a real API server, in front of mock registries. All
//! scenarios but that of two replicas share a test bed and one process; each has namespaces of its own.

#![allow(clippy::unwrap_used)] // a scenario that cannot go on has failed

mod access;
mod aws;
mod builders;
mod certificates;
mod images;
mod imports;
mod inventories;
mod leaks;
mod replicas;
mod scans;
mod secrets;
mod seed;
mod stage;
