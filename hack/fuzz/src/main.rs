//! The fuzzer: runs the target that `HYPERMIRROR_FUZZ` names on inputs that libFuzzer makes. See `hack/fuzz/run`.
#![no_main]

use std::sync::OnceLock;

use hypermirror_fuzz::{TARGETS, Target, target};

static CHOSEN: OnceLock<Target> = OnceLock::new();

fn chosen() -> Target {
    let name = std::env::var("HYPERMIRROR_FUZZ").unwrap_or_default();
    let names = TARGETS.map(|(name, _)| name).join(", ");
    target(&name).unwrap_or_else(|| panic!("HYPERMIRROR_FUZZ is {name:?}; it is one of {names}"))
}

libfuzzer_sys::fuzz_target!(|input: &[u8]| CHOSEN.get_or_init(chosen)(input));
