//! The manager's process: watches feed the store, the store feeds the queues, workers reconcile hosted clusters.

mod act;
mod admission;
mod config_maps;
pub mod context;
mod fleet_gate;
mod guests;
mod heavy;
mod housekeeping;
mod leader;
mod mirror_watch;
mod observe;
pub mod options;
mod own_image;
mod queue;
mod reading;
mod reconcile;
mod reporter;
mod rollouts;
pub mod run;
mod semaphores;
mod store;
#[cfg(test)]
mod testing;
mod watches;
pub mod webhook;

pub use options::ManagerOptions;
pub use run::run;
