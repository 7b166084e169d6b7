//! The dashboard on a real API server: who may open it, what it reads, and what a real browser makes of it.

#![allow(clippy::unwrap_used, clippy::panic)] // a scenario that cannot go on has failed

mod access;
mod browser;
mod outage;
mod served;
