//! What every process has: flags, servers whose connections are bounded, the first look, who and where it is.

pub mod endpoints;
pub mod first_look;
pub mod flags;
pub mod identity;
pub mod server;
pub mod slots;
