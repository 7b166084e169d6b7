//! The command line as a person calls it: the built binary, its output, its messages, its exit codes.

#![allow(clippy::unwrap_used)] // a test that cannot go on has failed

mod control_plane;
mod fixtures;
mod generated;
mod input;
mod overrides;
