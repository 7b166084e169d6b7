//! The rollout budget on real API servers: how many hosted clusters change at a time is read from the audit log.

mod budget;
mod flights;
mod halt;
mod leaving;
mod stage;
mod stock;
