//! Properties for arbitrary content of ConfigMaps, annotations, override strings and registries.conf, and for arbitrary
//! answers of registries.
//!
//! Each target passes arbitrary bytes to a parser and panics if a property is violated, or if the cost of parsing is too high.
//! The fuzzer searches for such bytes (`hack/fuzz/run`). Its seeds and findings are part of every test run.

#![allow(clippy::panic)]

mod annotation;
mod config_map;
mod cost;
mod documents;
mod mirrors;
mod overrides;
mod pool_config;
mod registries_conf;
mod registry;

/// A parser with its properties.
pub type Target = fn(&[u8]);

/// All targets, by name.
pub const TARGETS: [(&str, Target); 14] = [
    ("documents", documents::check),
    ("config_map", config_map::check),
    ("pool_config", pool_config::check),
    ("annotation", annotation::check),
    ("overrides", overrides::check),
    ("registries_conf", registries_conf::check),
    ("challenge", registry::challenge),
    ("link", registry::link),
    ("location", registry::location),
    ("tag_list", registry::tag_list),
    ("manifest", registry::manifest),
    ("image_references", registry::image_references),
    ("image_list", registry::image_list),
    ("image_policy", registry::image_policy),
];

/// Separates the parts of an input, such as the keys of a ConfigMap.
const SEPARATOR: &str = "\n#next#\n";

/// The target of this name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.into_iter().find(|(known, _)| *known == name).map(|(_, target)| target)
}

/// The parts of an input. Invalid UTF-8 is replaced, because API servers accept only text.
fn parts(input: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(input).split(SEPARATOR).map(str::to_owned).collect()
}
