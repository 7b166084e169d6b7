//! The manager on real API servers: each scenario is a sentence, and starts servers of its own.

mod claims;
mod edits;
mod events;
mod faults;
mod findings;
mod foreign;
mod kinds;
mod leadership;
mod lifecycle;
mod modes;
mod outage;
mod policies;
mod removal;
mod stock;
