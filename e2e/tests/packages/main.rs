//! Packages as their tools install them, on a real API server.

#![allow(clippy::unwrap_used, clippy::panic)] // a scenario that cannot go on has failed

mod chart;
mod helm;
