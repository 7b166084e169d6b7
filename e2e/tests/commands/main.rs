//! The commands that look at a live cluster: they say what the manager does, read only, and take no refusal for "nothing".
//! `uninstall` has the manager do something.

#![allow(clippy::unwrap_used, clippy::panic)] // a scenario that cannot go on has failed

mod coverage;
mod dump;
mod first_day;
mod fleet;
mod guests;
mod migrate;
mod ran;
#[allow(dead_code)] // the stage of other scenarios, too
#[path = "../guests/stage.rs"]
mod stage;
mod why;
