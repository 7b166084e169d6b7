//! One hosted cluster, from what is declared to what is written: pure values in, pure values out.
//!
//! `sources` says what is wanted, `carry_over` what stays where a source cannot be read, `observed` what is there, `known` whose
//! an entry is, `value` and `patch` what has to change on a target, `plan` in which order, `contest` and `edits` whether now,
//! `review` what is given back to a write of somebody else's, and `status` how it is reported. `mirror_config` and
//! `pool_config` read what ConfigMaps declare within `limits`, `delivery` and `boot` say how it gets to nodes.

pub mod argument;
pub mod boot;
pub mod carry_over;
pub mod catalogs;
pub mod conditions;
pub mod contest;
pub mod delivery;
pub mod edits;
pub mod facts;
#[cfg(test)]
mod fixtures;
pub mod flight;
pub mod gates;
pub mod guest;
pub mod known;
pub mod limits;
pub mod memory;
pub mod mirror_config;
pub mod observed;
pub mod patch;
pub mod plan;
pub mod pool_config;
pub mod review;
pub mod settings;
pub mod sources;
pub mod status;
pub mod target;
pub mod turn;
pub mod value;
pub mod verdict;
