//! What stays in force while a source cannot be read and nobody remembers what it said.
//!
//! The annotation on a Deployment is what is in force there. A report may be older: it counts only where it was written for
//! the very annotations that are there now.

use std::collections::{BTreeMap, BTreeSet};

use hypermirror_api::HostedClusterMirrorsStatus;
use hypermirror_api::report::SourceReport;

use super::argument::{self, ArgumentMode};
use super::known::entries;
use super::observed::ObservedTarget;
use super::sources::{OverrideMap, carry_over};
use crate::digest::short_digest;
use crate::mirrors::Policy;

/// A map with what is in force or was reported added to it: nothing of it is lost, neither a mirror nor that a source is
/// never contacted, and nothing is rolled back to a report that is older than the Deployments.
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

    /// Our entries of the annotation on one target.
    fn in_force(&self, target: &ObservedTarget) -> Option<String> {
        let annotation = target.overrides.as_deref()?;
        let told = foreign_of(self.report, target);
        let foreign: BTreeSet<&str> = match &told {
            Some(foreign) => entries(foreign).collect(),
            None => self.foreign_in_stock(target),
        };
        Some(entries(annotation).filter(|entry| !foreign.contains(entry)).collect::<Vec<_>>().join(","))
    }

    /// Entries of a stock value that are somebody else's as far as can be known without the sources: those that the report
    /// names, whatever annotation it was written for, and those of the operators' own flag, which each of them adds to its
    /// children's value.
    fn foreign_in_stock<'t>(&self, target: &'t ObservedTarget) -> BTreeSet<&'t str> {
        let reported = self.report.into_iter().flat_map(|report| &report.control_plane.targets);
        let told: BTreeSet<&str> = reported.flat_map(|told| entries(&told.foreign)).collect();
        let flags = stock_arguments(target);
        stock_entries(target).filter(|entry| told.contains(entry) || flags.contains(entry)).collect()
    }

    /// What the report says of the sources, unless something newer is in force.
    fn reported(&self) -> Option<String> {
        let report = self.report.filter(|_| !self.is_behind())?;
        let known: BTreeMap<&str, BTreeSet<&str>> =
            report.sources.iter().map(|source| (source.source.as_str(), mirrors(source).collect())).collect();
        // Without an annotation the stock value alone is in force: one that names another mirror of a source is newer.
        let bare = self.targets.iter().filter(|target| target.overrides.is_none());
        let newer: BTreeSet<&str> = bare
            .flat_map(|target| {
                let foreign = self.foreign_in_stock(target);
                stock_entries(target).filter(move |entry| !foreign.contains(entry))
            })
            .filter_map(|entry| entry.split_once('='))
            .filter(|(source, mirror)| known.get(source).is_some_and(|mirrors| !mirrors.contains(mirror)))
            .map(|(source, _)| source)
            .collect();
        let sources = report.sources.iter().filter(|source| !newer.contains(source.source.as_str()));
        let pairs = sources.flat_map(|source| mirrors(source).map(|mirror| format!("{}={mirror}", source.source)));
        Some(pairs.collect::<Vec<_>>().join(","))
    }

    /// Sources that are never contacted. What our arguments say is in force; they cannot name a wildcard nor a source that
    /// the stock argument has.
    fn never_contacted(&self, mode: ArgumentMode) -> BTreeSet<String> {
        let name = |entry: &str| entry.split_once('=').map(|(source, _)| source.to_owned());
        let arguments = self.targets.iter().filter_map(|target| target.argument.as_deref());
        let said: BTreeSet<String> = arguments.flat_map(entries).filter_map(name).collect();
        let never = |source: &&SourceReport| source.policy == Policy::NeverContactSource.as_str();
        let told = self.report.into_iter().flat_map(|report| &report.sources).filter(never);
        let told = told.map(|source| source.source.clone());
        if mode != ArgumentMode::Strict || (said.is_empty() && !self.is_behind()) {
            return told.collect();
        }
        let taken = self.targets.iter().flat_map(|target| stock_arguments(target)).filter_map(name);
        let taken: BTreeSet<String> = taken.collect();
        told.filter(|name| name.starts_with("*.") || taken.contains(name)).chain(said).collect()
    }
}

fn mirrors(source: &SourceReport) -> impl Iterator<Item = &str> {
    source.digest_mirrors.iter().chain(&source.tag_mirrors).map(String::as_str)
}

/// What the stock operator's own env var says: the first, unless that one is ours.
fn stock_entries(target: &ObservedTarget) -> impl Iterator<Item = &str> {
    let env = target.container.as_ref().map(|container| container.env.as_slice()).unwrap_or_default();
    let is_ours = |value: &str| env.len() == 1 && !target.stock_managed && target.overrides.as_deref() == Some(value);
    let stock = env.first().map(|entry| &*entry.value).filter(|value| !is_ours(value));
    entries(stock.unwrap_or_default())
}

/// The entries of the stock `--registry-overrides`.
fn stock_arguments(target: &ObservedTarget) -> BTreeSet<&str> {
    let Some(container) = &target.container else { return BTreeSet::new() };
    let ours = argument::appended(target, container);
    let stock = container.arguments.iter().filter(|entry| !ours.contains(entry));
    stock.flat_map(|entry| entries(&entry.value)).collect()
}

/// Which entries of a target's annotation are somebody else's, if the report was written for this very annotation.
pub fn foreign_of(report: Option<&HostedClusterMirrorsStatus>, target: &ObservedTarget) -> Option<String> {
    let admitted = short_digest(target.overrides.as_deref()?);
    let targets = &report?.control_plane.targets;
    targets.iter().find(|told| told.admitted == admitted).map(|told| told.foreign.clone())
}

#[cfg(test)]
mod tests;
