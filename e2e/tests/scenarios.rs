//! Every scenario, as one program: it links once, and `hack/tests` runs what takes longest first.
//! Each module is a program of its own, too: `cargo test -p hypermirror-e2e --test rollouts`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)] // as its modules have it
#![allow(clippy::duplicate_mod)] // two modules share a stage

#[path = "admission/main.rs"]
mod admission;
#[path = "agent/main.rs"]
mod agent;
#[path = "catalogs/main.rs"]
mod catalogs;
#[path = "commands/main.rs"]
mod commands;
#[path = "consumers/main.rs"]
mod consumers;
#[path = "dashboard/main.rs"]
mod dashboard;
#[path = "guests/main.rs"]
mod guests;
#[path = "manager/main.rs"]
mod manager;
#[path = "mirror_coverage/main.rs"]
mod mirror_coverage;
#[path = "node/main.rs"]
mod node;
#[path = "packages/main.rs"]
mod packages;
#[path = "real_node/main.rs"]
mod real_node;
#[path = "reduced/main.rs"]
mod reduced;
#[path = "registry/main.rs"]
mod registry;
#[path = "registry_manager/main.rs"]
mod registry_manager;
#[path = "rival/main.rs"]
mod rival;
#[path = "rollouts/main.rs"]
mod rollouts;
#[path = "telemetry.rs"]
mod telemetry;
#[path = "testbed.rs"]
mod testbed;
