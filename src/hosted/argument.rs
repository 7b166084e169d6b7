//! The argument `--registry-overrides`, which has no fallback if a mirror fails, and the sources in it.

use std::collections::BTreeSet;

use super::entries::Entries;
use super::observed::{ArgumentEntry, ObservedContainer, ObservedTarget};
use super::target::{ArgumentForm, IGNITION_SERVER, TargetSpec};
use crate::mirrors::{Policy, Resolved, overrides};

/// The sources in the argument.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ArgumentMode {
    /// None.
    None,
    /// On ignition-server, sources with NeverContactSource.
    #[default]
    Strict,
}

/// The desired argument of one target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WantedArgument {
    /// The value, if the argument is needed.
    pub value: Option<Entries>,
    /// Sources that the stock argument already has.
    pub taken: Vec<String>,
    /// Wildcard sources, which the argument does not support.
    pub wildcards: Vec<String>,
}

/// The argument of hypermirror: the last appended one.
pub fn ours<'a>(target: &ObservedTarget, container: &'a ObservedContainer) -> Option<&'a ArgumentEntry> {
    appended(target, container).pop()
}

/// All appended arguments: those after the stock argument that have only pairs of hypermirror's annotations. If the annotation
/// was written before the argument, the previous argument still exists and is identified by its pairs.
pub fn appended<'a>(target: &ObservedTarget, container: &'a ObservedContainer) -> Vec<&'a ArgumentEntry> {
    let annotation = target.argument.as_ref();
    let known: BTreeSet<&str> = annotation.into_iter().chain(&target.retired).flat_map(Entries::iter).collect();
    let is_ours = |value: &Entries| {
        let is_explained = !value.is_empty() && value.iter().all(|entry| known.contains(entry));
        Some(value) == annotation || is_explained
    };
    let further = container.arguments.iter().skip(1).filter(|entry| is_ours(&entry.value));
    let further: Vec<_> = further.collect();
    // The first one may be appended if there is no stock argument.
    let first = container.arguments.first().filter(|entry| Some(&entry.value) == annotation);
    if further.is_empty() { first.into_iter().collect() } else { further }
}

/// The desired argument: the first mirror of each source, ascending.
pub fn wanted(
    mode: ArgumentMode,
    spec: &TargetSpec,
    resolved: &Resolved,
    target: &ObservedTarget,
    container: &ObservedContainer,
) -> WantedArgument {
    let sources: Vec<_> = match mode {
        ArgumentMode::None => Vec::new(),
        ArgumentMode::Strict if spec.deployment != IGNITION_SERVER => Vec::new(),
        ArgumentMode::Strict => {
            resolved.sources.iter().filter(|(_, source)| source.policy == Policy::NeverContactSource).collect()
        }
    };
    let taken_by_stock = stock_sources(target, container);
    let mut wanted = WantedArgument::default();
    let mut pairs = BTreeSet::new();
    for (name, source) in sources {
        if name.starts_with("*.") {
            wanted.wildcards.push(name.clone());
        } else if taken_by_stock.contains(name.as_str()) {
            wanted.taken.push(name.clone());
        } else if let Some(mirror) = source.all_mirrors().next() {
            pairs.insert(format!("{name}={mirror}"));
        }
    }
    wanted.value = Some(Entries::from_iter(pairs)).filter(|value| !value.is_empty());
    wanted
}

fn stock_sources(target: &ObservedTarget, container: &ObservedContainer) -> BTreeSet<String> {
    let ours = appended(target, container);
    let stock: Vec<&str> =
        container.arguments.iter().filter(|entry| !ours.contains(entry)).map(|entry| entry.value.as_str()).collect();
    // A value that HyperShift's parser rejects has no sources.
    overrides::parse_argument(&stock).map(|sources| sources.into_keys().collect()).unwrap_or_default()
}

/// The form of the stock argument of this target, or the default form.
pub fn form(spec: &TargetSpec, container: &ObservedContainer) -> ArgumentForm {
    container.arguments.first().map_or(spec.form, |entry| entry.form)
}

#[cfg(test)]
mod tests;
