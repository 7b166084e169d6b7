//! Real API servers for tests, on the loopback address, and what a scenario needs around them.
//!
//! A [`Testbed`] is one etcd and one or more clusters over it: a management cluster and guests. Tests that can live
//! together share one through [`SharedBed`]. Linux only: processes are ended by their descriptors.

pub mod agent_node;
pub mod audit;
pub mod bed;
pub mod binaries;
pub mod cluster;
pub mod crds;
pub mod credentials;
pub mod endpoint;
pub mod eventually;
pub mod faulty;
mod files;
pub mod fleet;
pub mod hostile;
pub mod image;
pub mod mock;
pub mod node;
pub mod pki;
pub mod port;
pub mod process;
pub mod reduced;
pub mod registry;
pub mod rival;
pub mod served;
mod servers;

pub use agent_node::AgentNode;
pub use audit::Audit;
pub use bed::{SharedBed, Testbed};
pub use cluster::Cluster;
pub use crds::Crds;
pub use credentials::Credentials;
pub use eventually::{consistently, eventually};
pub use fleet::{Fleet, scene::Scene};
pub use mock::MockRegistry;
pub use node::RealNode;
pub use process::{Launch, Process};
pub use served::Served;
