//! hypermirror: image mirrors for the control planes, guest clusters and nodes of a HyperShift fleet.

pub mod agent;
pub mod cli;
pub mod client;
pub mod digest;
pub mod documents;
pub mod fleet;
pub mod guest;
pub mod hosted;
pub mod management;
pub mod manager;
pub mod mirrors;
pub mod printable;
pub mod process;
pub mod registry;
pub mod registry_manager;
pub mod telemetry;
