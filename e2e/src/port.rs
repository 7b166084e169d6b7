//! Finds free ports of the loopback address.

use std::{
    hash::{BuildHasher, RandomState},
    net::{Ipv4Addr, TcpListener},
};

use anyhow::{Result, bail};

/// Ports below the ephemeral range of Linux (from 32768). A port in that range could be used by an outgoing connection before
/// the server starts. Also, a client that retries a port in that range without a listener can connect to itself, and the
/// server on that port cannot start again.
const RANGE: std::ops::Range<u16> = 20_000..32_000;

const TRIES: usize = 200;

/// A free port of the loopback address.
///
/// # Errors
///
/// If no free port is found.
pub fn free() -> Result<u16> {
    let span = u64::from(RANGE.end - RANGE.start);
    for _ in 0..TRIES {
        let offset = u16::try_from(RandomState::new().hash_one(0) % span)?;
        let port = RANGE.start + offset;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port on the loopback address after {TRIES} attempts")
}
