//! The fuzzer: runs the target in `HYPERMIRROR_FUZZ` with inputs of libFuzzer. See `hack/fuzz/run`.
#![no_main]

use std::sync::OnceLock;

use hypermirror_fuzz::{TARGETS, Target, target};

static CHOSEN: OnceLock<Target> = OnceLock::new();

fn chosen() -> Target {
    let name = std::env::var("HYPERMIRROR_FUZZ").unwrap_or_default();
    let names = TARGETS.map(|(name, _)| name).join(", ");
    target(&name).unwrap_or_else(|| panic!("HYPERMIRROR_FUZZ has the invalid value {name:?}; set it to one of {names}"))
}

libfuzzer_sys::fuzz_target!(|input: &[u8]| CHOSEN.get_or_init(chosen)(input));
