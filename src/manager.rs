//! The manager's process: watches feed the store, the store feeds the queues, workers reconcile hosted clusters.

mod act;
mod admission;
mod config_maps;
pub mod context;
mod fleet_gate;
mod guests;
pub(crate) mod heavy;
mod housekeeping;
mod leader;
mod mirror_watch;
mod observe;
pub mod options;
mod own_image;
pub(crate) mod queue;
pub(crate) mod reading;
mod reconcile;
mod reporter;
mod rollouts;
pub mod run;
mod semaphores;
pub(crate) mod store;
mod target_lists;
#[cfg(test)]
mod testing;
pub(crate) mod watches;
pub mod webhook;

pub use options::ManagerOptions;
pub use run::run;
