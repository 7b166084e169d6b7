//! Image registries: real ones and the mock, and what has to hold for all of them.

#![allow(clippy::unwrap_used, clippy::panic)] // a scenario that cannot go on has failed

mod cases;
mod conformance;
mod coverage;
mod docker;
mod judges;
mod mock;
mod proxy;
mod reading;
mod writing;
