//! Keeps entries while a source cannot be read and its last content is not known, such as after a restart.
//!
//! The annotation on a Deployment has its current map. A report may be older, so it is used only if it was written for the
//! current annotations.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use hypermirror_api::HostedClusterMirrorsStatus;
use hypermirror_api::report::SourceReport;

use super::argument::{self, ArgumentMode};
use super::entries::Entries;
use super::observed::ObservedTarget;
use super::sources::{OverrideMap, carry_over};
use crate::digest::short_digest;
use crate::mirrors::Policy;

/// A map with the current or reported entries added, so that no mirror and no NeverContactSource is lost, and nothing is reverted
/// to a report that is older than the Deployments.
pub fn carried<'a>(
    map: &OverrideMap,
    report: Option<&HostedClusterMirrorsStatus>,
    targets: impl IntoIterator<Item = &'a ObservedTarget>,
    mode: ArgumentMode,
) -> OverrideMap {
    let targets: Vec<&ObservedTarget> = targets.into_iter().collect();
    let memory = Memory { report, targets: &targets };
    let in_force = targets.iter().filter_map(|target| memory.in_force(target));
    let mut carried = carry_over(map, in_force.chain(memory.reported()));
    for name in memory.never_contacted(mode) {
        if let Some(source) = carried.resolved.sources.get_mut(&name) {
            source.policy = Policy::NeverContactSource;
        }
    }
    carried
}

/// The managed entries of a target that are in force: those of its annotation, which also count if its stock operator has just
/// removed them, or else those of its effective value.
pub fn live_entries(report: Option<&HostedClusterMirrorsStatus>, target: &ObservedTarget) -> Entries {
    let memory = Memory { report, targets: &[target] };
    if let Some(admitted) = memory.in_force(target) {
        return admitted;
    }
    let effective = target.container.as_ref().and_then(|container| container.env.last());
    let foreign = memory.foreign_in_stock(target);
    let foreign = foreign.set();
    effective.iter().flat_map(|entry| entry.value.iter()).filter(|entry| !foreign.contains(entry)).collect()
}

struct Memory<'a> {
    report: Option<&'a HostedClusterMirrorsStatus>,
    targets: &'a [&'a ObservedTarget],
}

impl Memory<'_> {
    /// Whether a Deployment was written after the report.
    fn is_behind(&self) -> bool {
        let unknown = |target: &&&ObservedTarget| foreign_of(self.report, target).is_none();
        self.targets.iter().filter(|target| target.overrides.is_some()).any(|target| unknown(&target))
    }

    /// The managed entries in the annotation of one target.
    fn in_force(&self, target: &ObservedTarget) -> Option<Entries> {
        let annotation = target.overrides.as_ref()?;
        let foreign = foreign_of(self.report, target).unwrap_or_else(|| self.foreign_in_stock(target));
        let foreign = foreign.set();
        Some(annotation.iter().filter(|entry| !foreign.contains(entry)).collect())
    }

    /// Entries of a stock value that belong to other managers, as far as this is known without the sources: those in the report, even
    /// of an older annotation, and those of the operators' own flag, which each operator adds to its children's values.
    fn foreign_in_stock(&self, target: &ObservedTarget) -> Entries {
        let reports = self.report.into_iter().flat_map(|report| &report.control_plane.targets);
        let reported: Vec<Entries> = reports.map(|report| Entries::from(report.foreign.as_str())).collect();
        let reported: HashSet<&str> = reported.iter().flat_map(Entries::iter).collect();
        let flags = stock_arguments(target);
        stock_entries(target).filter(|entry| reported.contains(entry) || flags.contains(entry)).collect()
    }

    /// The sources in the report, unless the Deployments are newer.
    fn reported(&self) -> Option<Entries> {
        let report = self.report.filter(|_| !self.is_behind())?;
        let known: BTreeMap<&str, BTreeSet<&str>> =
            report.sources.iter().map(|source| (source.source.as_str(), mirrors(source).collect())).collect();
        // Without an annotation only the stock value applies. If it has another mirror of a source, it is newer than the report.
        let bare = self.targets.iter().filter(|target| target.overrides.is_none());
        let newer: BTreeSet<&str> = bare
            .flat_map(|target| {
                let foreign = self.foreign_in_stock(target);
                let foreign = foreign.set();
                stock_entries(target).filter(|entry| !foreign.contains(entry)).collect::<Vec<_>>()
            })
            .filter_map(|entry| entry.split_once('='))
            .filter(|(source, mirror)| known.get(source).is_some_and(|mirrors| !mirrors.contains(mirror)))
            .map(|(source, _)| source)
            .collect();
        let sources = report.sources.iter().filter(|source| !newer.contains(source.source.as_str()));
        let pairs = sources.flat_map(|source| mirrors(source).map(|mirror| format!("{}={mirror}", source.source)));
        Some(pairs.collect())
    }

    /// Sources with NeverContactSource. The appended arguments have the current ones, except wildcards and sources of the stock
    /// argument.
    fn never_contacted(&self, mode: ArgumentMode) -> BTreeSet<String> {
        let name = |entry: &str| entry.split_once('=').map(|(source, _)| source.to_owned());
        let arguments = self.targets.iter().filter_map(|target| target.argument.as_ref());
        let in_arguments: BTreeSet<String> = arguments.flat_map(Entries::iter).filter_map(name).collect();
        let never = |source: &&SourceReport| source.policy == Policy::NeverContactSource.as_str();
        let reported = self.report.into_iter().flat_map(|report| &report.sources).filter(never);
        let reported = reported.map(|source| source.source.clone());
        if mode != ArgumentMode::Strict || (in_arguments.is_empty() && !self.is_behind()) {
            return reported.collect();
        }
        let taken = self.targets.iter().flat_map(|target| stock_arguments(target)).filter_map(name);
        let taken: BTreeSet<String> = taken.collect();
        reported.filter(|name| name.starts_with("*.") || taken.contains(name)).chain(in_arguments).collect()
    }
}

fn mirrors(source: &SourceReport) -> impl Iterator<Item = &str> {
    source.digest_mirrors.iter().chain(&source.tag_mirrors).map(String::as_str)
}

/// The value of the stock environment variable: the first one, unless hypermirror appended it.
fn stock_entries(target: &ObservedTarget) -> impl Iterator<Item = &str> {
    let env = target.container.as_ref().map(|container| container.env.as_slice()).unwrap_or_default();
    let is_ours = |value: &Entries| env.len() == 1 && !target.stock_managed && target.overrides.as_ref() == Some(value);
    let stock = env.first().map(|entry| &entry.value).filter(|value| !is_ours(value));
    stock.into_iter().flat_map(Entries::iter)
}

/// The entries of the stock `--registry-overrides`.
fn stock_arguments(target: &ObservedTarget) -> BTreeSet<&str> {
    let Some(container) = &target.container else { return BTreeSet::new() };
    let ours = argument::appended(target, container);
    let stock = container.arguments.iter().filter(|entry| !ours.contains(entry));
    stock.flat_map(|entry| entry.value.iter()).collect()
}

/// The entries in a target's annotation that belong to other managers, if the report was written for this annotation.
pub fn foreign_of(report: Option<&HostedClusterMirrorsStatus>, target: &ObservedTarget) -> Option<Entries> {
    let admitted = short_digest(target.overrides.as_ref()?.as_str());
    let targets = &report?.control_plane.targets;
    targets.iter().find(|target| target.admitted == admitted).map(|target| Entries::from(target.foreign.as_str()))
}

#[cfg(test)]
mod tests;
