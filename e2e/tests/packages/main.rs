//! Packages as their tools install them, on a real API server.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)] // a scenario that cannot go on has failed

mod bundle;
mod chart;
mod deckhouse;
mod helm;
mod release;
mod stage;
mod upgrade;
