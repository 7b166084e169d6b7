//! What every process has: ports whose connections are bounded.

pub mod places;
pub mod server;
