//! The API of hypermirror: its own kinds, the foreign kinds that it reads, and all names that users and tools depend on.
//!
//! Nothing in this crate talks to a server. The foreign kinds have only the fields that hypermirror needs, each with a
//! default, so that a newer version of HyperShift or OpenShift never breaks a watch.

pub mod annotations;
mod closed_set;
mod cluster_key;
pub mod conditions;
mod coverage_conditions;
pub mod hypershift;
pub mod image;
pub mod image_builder;
mod image_builder_conditions;
mod image_builder_status;
mod image_conditions;
mod image_status;
mod import_conditions;
pub mod import_rule;
pub mod mirror_coverage;
pub mod mirror_sets;
pub mod names;
pub mod node_conditions;
pub mod node_mirror_set;
pub mod node_mirror_status;
mod null;
pub mod registry;
mod registry_conditions;
mod registry_status;
pub mod report;
mod schema;

pub use cluster_key::ClusterKey;
pub use conditions::{ConditionType, Reason};
pub use coverage_conditions::{CoverageConditionType, CoverageReason};
pub use image::{Image, ImageSpec, ImageStatus};
pub use image_builder::{ImageBuilder, ImageBuilderSpec, ImageBuilderStatus};
pub use image_builder_conditions::{ImageBuilderConditionType, ImageBuilderReason};
pub use image_conditions::{ImageConditionType, ImageReason};
pub use import_conditions::{ImportConditionType, ImportReason};
pub use import_rule::{ImportRule, ImportRuleSpec, ImportRuleStatus};
pub use mirror_coverage::{MirrorCoverage, MirrorCoverageStatus};
pub use node_conditions::{NodeConditionType, NodeReason};
pub use node_mirror_set::NodeMirrorSet;
pub use node_mirror_status::NodeMirrorStatus;
pub use registry::{Registry, RegistrySpec, RegistryStatus};
pub use registry_conditions::{RegistryConditionType, RegistryReason};
pub use report::{HostedClusterMirrors, HostedClusterMirrorsStatus};
