//! Real API servers for tests, on the loopback address, and tools for scenarios.
//!
//! A [`Testbed`] is one etcd with one or more clusters: a management cluster and guest clusters. Independent tests can share
//! one with [`SharedBed`]. Linux only, because processes are ended by their file descriptors.

pub mod agent_node;
pub mod audit;
pub mod aws;
pub mod bed;
pub mod binaries;
pub mod buildah;
pub mod cluster;
pub mod collector;
pub mod conformance;
pub mod containerd;
pub mod content;
pub mod crds;
pub mod credentials;
pub mod endpoint;
pub mod eventually;
pub mod faults;
pub mod faulty;
mod files;
pub mod fleet;
pub mod hostile;
pub mod image;
pub mod judge;
pub mod kit;
pub mod mock;
pub mod node;
pub mod pki;
pub mod podman_pod;
pub mod port;
pub mod process;
pub mod prometheus;
pub mod proxy;
pub mod pusher;
pub mod reduced;
pub mod registry;
pub mod release;
pub mod rival;
mod seed;
pub mod served;
mod servers;
pub mod signature;
pub mod stub_guests;

pub use agent_node::AgentNode;
pub use audit::Audit;
pub use bed::{SharedBed, Testbed};
pub use cluster::Cluster;
pub use collector::Collector;
pub use containerd::Containerd;
pub use crds::Crds;
pub use credentials::Credentials;
pub use eventually::{consistently, eventually};
pub use fleet::{Fleet, scene::Scene};
pub use kit::Kit;
pub use mock::MockRegistry;
pub use node::RealNode;
pub use process::{Launch, Process};
pub use served::Served;
