//! `--registry-overrides`: which sources are said there, although nothing stands behind a mirror that fails.

use std::collections::BTreeSet;

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

/// Our argument, by its annotation: the last one with that very value.
pub fn ours<'a>(target: &ObservedTarget, container: &'a ObservedContainer) -> Option<&'a ArgumentEntry> {
    let annotation = target.argument.as_deref()?;
    container.arguments.iter().rfind(|entry| &*entry.value == annotation)
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
    let ours = ours(target, container);
    let stock: Vec<&str> =
        container.arguments.iter().filter(|entry| Some(*entry) != ours).map(|entry| &*entry.value).collect();
    // A value that its own reader refuses names nothing.
    overrides::parse_argument(&stock).map(|sources| sources.into_keys().collect()).unwrap_or_default()
}

/// The form in which this target's own argument is written, or the usual one.
pub fn form(spec: &TargetSpec, container: &ObservedContainer) -> ArgumentForm {
    container.arguments.first().map_or(spec.form, |entry| entry.form)
}

#[cfg(test)]
mod tests;
