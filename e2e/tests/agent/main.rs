//! The agent on real API servers: each scenario is a sentence.

mod containerd;
mod crash;
mod edits;
mod files;
mod kinds;
mod seed;
mod signatures;
mod stage;
mod stand_in;
mod standalone;
