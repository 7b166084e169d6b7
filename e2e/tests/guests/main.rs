//! Guests: how they are reached, what they are given, what their nodes report, and how they are left.

#![allow(clippy::unwrap_used, clippy::panic)] // a scenario that cannot go on has failed

mod access;
mod leaving;
mod nodes;
mod outage;
mod policies;
mod pools;
mod proof;
mod references;
mod rollout;
mod seeds;
mod stage;
mod stubs;
mod watched;
