//! Free ports of the loopback address.

use std::{
    hash::{BuildHasher, RandomState},
    net::{Ipv4Addr, TcpListener},
};

use anyhow::{Result, bail};

/// Below the range that Linux takes the ports of outgoing connections from (32768 on). A port of that range can be
/// taken between the choice and the start of the server; and a client that keeps trying a port of that range where
/// nobody listens ends up connected to itself, and the server that was stopped there cannot start again.
const RANGE: std::ops::Range<u16> = 20_000..32_000;

const TRIES: usize = 200;

/// A port of the loopback address that nobody listens on now.
///
/// # Errors
///
/// When all of many ports tried are taken.
pub fn free() -> Result<u16> {
    let span = u64::from(RANGE.end - RANGE.start);
    for _ in 0..TRIES {
        let offset = u16::try_from(RandomState::new().hash_one(0) % span)?;
        let port = RANGE.start + offset;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port on the loopback address in {TRIES} tries")
}
