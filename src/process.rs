//! What every process has: flags, servers whose connections are bounded, the first look, who and where it is.

pub mod endpoints;
pub mod flags;
pub mod identity;
pub mod initial_lists;
pub mod open_files;
pub mod server;
pub mod slots;
