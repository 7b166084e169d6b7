//! `--registry-overrides`: which sources are said there, although nothing stands behind a mirror that fails.

use std::collections::BTreeSet;

use super::known::entries;
use super::observed::{ArgumentEntry, ObservedContainer, ObservedTarget};
use super::target::{ArgumentForm, IGNITION_SERVER, TargetSpec};
use crate::mirrors::{Policy, Resolved, overrides};

/// Which sources go into the argument.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ArgumentMode {
    /// None.
    None,
    /// On ignition-server, those that may never be contacted.
    #[default]
    Strict,
}

/// What one target's argument should say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WantedArgument {
    /// The value, if there is something to say.
    pub value: Option<String>,
    /// Sources that the stock argument already has.
    pub taken: Vec<String>,
    /// Wildcard sources, which the argument cannot say.
    pub wildcards: Vec<String>,
}

/// Our argument: the last of those that are ours.
pub fn ours<'a>(target: &ObservedTarget, container: &'a ObservedContainer) -> Option<&'a ArgumentEntry> {
    appended(target, container).pop()
}

/// Everything of the kind that we appended: what follows the stock argument and says nothing but what our annotations say or
/// retire. The annotation may be written ahead of the argument; then the one before is still there, and known by its pairs.
pub fn appended<'a>(target: &ObservedTarget, container: &'a ObservedContainer) -> Vec<&'a ArgumentEntry> {
    let annotation = target.argument.as_deref();
    let retired = target.retired.as_deref().unwrap_or_default();
    let known: BTreeSet<&str> = entries(annotation.unwrap_or_default()).chain(entries(retired)).collect();
    let is_ours = |value: &str| {
        let is_explained = entries(value).next().is_some() && entries(value).all(|entry| known.contains(entry));
        Some(value) == annotation || is_explained
    };
    let further = container.arguments.iter().skip(1).filter(|entry| is_ours(&entry.value));
    let further: Vec<_> = further.collect();
    // The first may be ours where no stock operator writes one.
    let first = container.arguments.first().filter(|entry| Some(&*entry.value) == annotation);
    if further.is_empty() { first.into_iter().collect() } else { further }
}

/// Composes the argument: the first mirror of each source, ascending.
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
    let mut said = BTreeSet::new();
    for (name, source) in sources {
        if name.starts_with("*.") {
            wanted.wildcards.push(name.clone());
        } else if taken_by_stock.contains(name.as_str()) {
            wanted.taken.push(name.clone());
        } else if let Some(mirror) = source.all_mirrors().next() {
            said.insert(format!("{name}={mirror}"));
        }
    }
    if !said.is_empty() {
        wanted.value = Some(said.into_iter().collect::<Vec<_>>().join(","));
    }
    wanted
}

fn stock_sources(target: &ObservedTarget, container: &ObservedContainer) -> BTreeSet<String> {
    let ours = appended(target, container);
    let stock: Vec<&str> =
        container.arguments.iter().filter(|entry| !ours.contains(entry)).map(|entry| &*entry.value).collect();
    // A value that its own reader refuses names nothing.
    overrides::parse_argument(&stock).map(|sources| sources.into_keys().collect()).unwrap_or_default()
}

/// The form in which this target's own argument is written, or the usual one.
pub fn form(spec: &TargetSpec, container: &ObservedContainer) -> ArgumentForm {
    container.arguments.first().map_or(spec.form, |entry| entry.form)
}

#[cfg(test)]
mod tests;
