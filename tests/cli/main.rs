//! The command line as a person calls it: the built binary, its output, its messages, its exit codes.

#![allow(clippy::unwrap_used, clippy::panic)] // a test that cannot go on has failed

mod catalogs;
mod check;
mod control_plane;
mod copy;
mod coverage;
mod dashboard;
mod diff;
mod escapes;
mod explain;
mod fixtures;
mod generated;
mod guest;
mod input;
mod migrate;
mod node;
mod overrides;
mod proof;
mod reference;
mod scan;
mod status;
mod uninstall;
mod why;
