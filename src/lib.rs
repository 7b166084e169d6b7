//! hypermirror: image mirrors for the control planes, guest clusters and nodes of a HyperShift fleet.

pub mod agent;
// The fuzzer runs what reads the texts of others. None of that is in the parts that it leaves out, and they take most of its build.
#[cfg(not(fuzzing))]
pub mod cli;
pub mod client;
#[cfg(not(fuzzing))]
pub mod diagnosis;
pub mod digest;
pub mod documents;
pub mod fleet;
pub mod guest;
pub mod hosted;
pub mod management;
#[cfg(not(fuzzing))]
pub mod manager;
pub mod mirrors;
pub mod printable;
pub mod process;
#[cfg(not(fuzzing))]
pub mod redaction;
pub mod registry;
#[cfg(not(fuzzing))]
pub mod registry_manager;
pub mod telemetry;
