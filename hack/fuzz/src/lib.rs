//! What must hold for whatever somebody writes into a ConfigMap, an annotation, an override string or registries.conf.
//!
//! Each target takes arbitrary bytes, hands them to a reader and panics where one of its properties does not hold. The
//! fuzzer looks for such bytes (`hack/fuzz/run`); those that it found, and those that it starts from, are tried in every
//! test run. What costs more than its length explains fails as well.

#![allow(clippy::panic)]

mod annotation;
mod config_map;
mod cost;
mod documents;
mod mirrors;
mod overrides;
mod pool_config;
mod registries_conf;

/// A reader with its properties.
pub type Target = fn(&[u8]);

/// Every target, by its name.
pub const TARGETS: [(&str, Target); 6] = [
    ("documents", documents::check),
    ("config_map", config_map::check),
    ("pool_config", pool_config::check),
    ("annotation", annotation::check),
    ("overrides", overrides::check),
    ("registries_conf", registries_conf::check),
];

/// What separates the parts of an input, such as the keys of a ConfigMap.
const SEPARATOR: &str = "\n#next#\n";

/// The target of that name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.into_iter().find(|(known, _)| *known == name).map(|(_, target)| target)
}

/// The parts of an input; what is no UTF-8 is replaced, as an API server has only text.
fn parts(input: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(input).split(SEPARATOR).map(str::to_owned).collect()
}
