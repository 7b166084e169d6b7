//! One hosted cluster, from what is declared to what is written: pure values in, pure values out.
//!
//! `sources` says what is wanted, `carried` what stays where a source cannot be read, `observed` what is there, `known` whose
//! an entry is, `value` and `patch` what has to change on a target, `plan` in which order, `admission`, `rollout` and `edits`
//! whether now, `review` what is given back to a write of somebody else's, and `report` how it is told; `claims` says whose a
//! control-plane namespace is. `mirror_config` and `pool_config` read what ConfigMaps declare, `delivery` and `boot` say how it gets to nodes.

pub mod admission;
pub mod argument;
pub mod boot;
pub mod budget;
pub mod carried;
pub mod catalogs;
pub mod claims;
pub mod contest;
pub mod delivery;
pub mod edits;
#[cfg(test)]
mod fixtures;
pub mod guest;
pub mod known;
pub mod mirror_config;
pub mod observed;
pub mod patch;
pub mod plan;
pub mod pool_config;
pub mod report;
pub mod review;
pub mod rollout;
pub mod sources;
pub mod target;
pub mod value;
