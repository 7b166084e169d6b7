//! The registry-manager's process: scans the repositories of Registry objects and reports what they hold.
//!
//! A watch feeds the agenda, which decides when an object is scanned; a scan reads Secrets by name, asks the registry, and
//! writes one status. What decides is pure: `settings`, `secrets`, `due`, `agenda`, `status`,
//! `changes`, `pages`. `coverage` checks what hosted clusters need, beside all that.

mod access;
pub mod agenda;
pub mod builder;
pub mod changes;
mod clients;
pub mod conditions;
mod context;
pub mod coverage;
pub mod due;
pub mod image;
pub mod import;
mod inventory;
mod inventory_server;
pub mod metrics;
pub mod options;
pub mod pages;
mod queue;
mod run;
mod scan;
pub mod secrets;
pub mod series;
pub mod settings;
pub mod status;
mod watch;
mod write;

pub use options::RegistryManagerOptions;
pub use run::run;
