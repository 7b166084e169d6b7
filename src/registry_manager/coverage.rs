//! Coverage of each hosted cluster: whether registries hold what it needs, reported in one MirrorCoverage for each.
//!
//! Watches and the index of the manager give the facts, `schedule` decides when a hosted cluster is checked, `inputs` what has to
//! be asked, `check` asks, `status` makes the report. All hosted clusters that are checked together share one `round`, in which
//! each place is asked once. `fill` copies what is missing where that is wanted. `schedule` and `status` are pure.

mod access;
mod check;
mod clients;
mod context;
pub mod fill;
mod inputs;
pub mod metrics;
pub mod options;
mod round;
mod run;
pub mod schedule;
pub mod status;
mod watch;
mod write;

pub use run::{Coverage, start};
