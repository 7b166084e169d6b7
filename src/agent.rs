//! The agent on a node: writes the declared mirrors to files of CRI-O, which it reloads, or of containerd.

pub mod backend;
pub mod cleanup;
pub mod containerd;
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
pub mod runtime;
pub mod sets;
pub mod watch_files;

pub use options::AgentOptions;
pub use run::run;
