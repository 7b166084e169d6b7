//! `hypermirror agent` as a program of its own. An agent's memory is mostly its own code, and this program contains neither the
//! manager nor the registry client.

use std::process::ExitCode;

use hypermirror::cli::{agent, start};

fn main() -> ExitCode {
    match start::parsed(agent::parse(std::env::args_os())) {
        Ok(options) => start::block_on(start::Threads::One, agent::run(&options)),
        Err(code) => code,
    }
}
