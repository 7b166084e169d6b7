//! The decisions for one hosted cluster, from its declared mirrors to the writes and the report. Pure.
//!
//! `sources` resolves the desired map, `carry_over` the entries to keep while a source cannot be read, `observed` the current
//! state, `entries` an override value, `known` the manager of an entry, `value` and `patch` the changes of a target, `plan` their order, `contest` and
//! `edits` their time, `proof` what has to wait for a proof of its mirrors, `review` the response of the admission, and `status` the report, `coverage` a part of it. `mirror_config` and `pool_config` parse
//! ConfigMaps within `limits`; `delivery` and `boot` are about nodes.

pub mod argument;
pub mod boot;
pub mod carry_over;
pub mod catalogs;
pub mod condition_state;
pub mod conditions;
pub mod contest;
pub mod coverage;
pub mod delivery;
pub mod edits;
pub mod entries;
pub mod facts;
#[cfg(test)]
pub(crate) mod fixtures;
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
pub mod proof;
pub mod review;
pub mod settings;
pub mod sources;
pub mod status;
pub mod target;
pub mod turn;
pub mod value;
