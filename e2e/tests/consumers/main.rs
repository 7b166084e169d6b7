//! The real consumers judge what an agent wrote: skopeo and podman, Debian's, pull with a node's files.

#![allow(clippy::unwrap_used, clippy::panic)] // a scenario that cannot go on has failed

mod pulls;
mod stage;
