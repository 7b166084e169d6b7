//! The manager's process: watches feed the index, the index feeds the queue, workers reconcile hosted clusters.

mod act;
mod admission;
pub mod config_maps;
pub mod context;
pub mod fleet_gate;
pub mod guest_watches;
pub mod guests;
mod heavy;
pub mod mirror_watch;
mod observe;
pub mod options;
mod own_image;
mod owner_watch;
pub mod queue;
pub mod reading;
pub mod reconcile;
pub mod reporter;
mod rollouts;
pub mod run;
pub mod watches;
pub mod webhook;

pub use options::ManagerOptions;
pub use run::run;
