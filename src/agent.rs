//! The agent on a node: writes the declared mirrors to a file and reloads CRI-O.

pub mod cleanup;
pub mod cri;
pub mod desired;
pub mod files;
pub mod inputs;
pub mod metrics;
pub mod node;
pub mod options;
pub mod proof;
pub mod pulse;
pub mod reload;
pub mod report;
pub mod reporter;
pub mod run;
pub mod sets;
pub mod watch_files;

pub use options::AgentOptions;
pub use run::run;
