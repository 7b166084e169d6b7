//! Rules that compare an entry with the other entries.

use std::collections::{BTreeMap, BTreeSet};

use super::super::finding::{Finding, FindingReason, Place, Severity};
use super::super::merge::has_real_mirror;
use super::super::scope::best_match_in;
use super::super::{MirrorEntry, Policy, PullBy, Scope};

/// The combined entries of one source.
#[derive(Debug, Default)]
struct Source {
    is_never: bool,
    has_digest_mirrors: bool,
    has_tag_mirrors: bool,
}

impl Source {
    fn has(&self, pull_by: PullBy) -> bool {
        match pull_by {
            PullBy::Digest => self.has_digest_mirrors,
            PullBy::Tag => self.has_tag_mirrors,
        }
    }
}

struct Set<'a> {
    sources: BTreeMap<&'a str, Source>,
    /// Hosts that are part of a source with a port.
    hosts_with_ports: BTreeSet<&'a str>,
    has_never: bool,
}

/// Warnings about valid entries.
pub fn check(entries: &[MirrorEntry]) -> Vec<Finding> {
    let contributing = || entries.iter().filter(|entry| has_real_mirror(entry));
    let set = Set::new(contributing());
    contributing().flat_map(|entry| set.check(entry)).collect()
}

fn is_never(entry: &MirrorEntry) -> bool {
    entry.policy() == Policy::NeverContactSource
}

fn by(pull_by: PullBy) -> &'static str {
    match pull_by {
        PullBy::Digest => "by digest",
        PullBy::Tag => "by tag",
    }
}

/// The severity of pulls without mirrors. OpenShift pulls nearly all images by digest, so missing mirrors for tags are only
/// information.
fn weight_of(pull_by: PullBy) -> Severity {
    match pull_by {
        PullBy::Digest => Severity::Warning,
        PullBy::Tag => Severity::Info,
    }
}

impl<'a> Set<'a> {
    fn new(entries: impl Iterator<Item = &'a MirrorEntry>) -> Self {
        let mut set = Self { sources: BTreeMap::new(), hosts_with_ports: BTreeSet::new(), has_never: false };
        for entry in entries {
            let source = set.sources.entry(&entry.source).or_default();
            source.is_never |= is_never(entry);
            source.has_digest_mirrors |= entry.pull_by == PullBy::Digest;
            source.has_tag_mirrors |= entry.pull_by == PullBy::Tag;
            set.has_never |= source.is_never;
            let scope = Scope::new(&entry.source);
            if scope.port().is_some() {
                set.hosts_with_ports.insert(scope.host());
            }
        }
        set
    }

    fn check(&self, entry: &MirrorEntry) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut warn = |severity, reason, place, message| {
            findings.push(Finding::new(severity, reason, entry, place, message));
        };
        if let Some(source) = self.sources.get(entry.source.as_str()) {
            Self::policy(entry, source, &mut warn);
            self.outer_source(entry, source, &mut warn);
        }
        self.blocked_mirrors(entry, &mut warn);
        self.selection(entry, &mut warn);
        findings
    }

    fn policy(entry: &MirrorEntry, source: &Source, warn: &mut impl FnMut(Severity, FindingReason, Place, String)) {
        if !source.is_never {
            return;
        }
        if !is_never(entry) {
            let message = format!(
                "conflicting mirrorSourcePolicy is set for the same source {:?} in imagedigestmirrorsets, \
                 imagetagmirrorsets, or imagecontentsourcepolicies; NeverContactSource applies",
                entry.source
            );
            warn(Severity::Warning, FindingReason::PolicyConflict, Place::Policy, message);
            return;
        }
        for pull_by in [PullBy::Digest, PullBy::Tag].into_iter().filter(|pull_by| !source.has(*pull_by)) {
            let message = format!(
                "NeverContactSource also applies to pulls of {:?} {}, which have no mirror",
                entry.source,
                by(pull_by)
            );
            warn(weight_of(pull_by), FindingReason::OtherPoolBlocked, Place::Policy, message);
        }
    }

    /// Only the most specific source applies. It inherits neither mirrors nor policy from a broader one.
    fn outer_source(
        &self,
        entry: &MirrorEntry,
        source: &Source,
        warn: &mut impl FnMut(Severity, FindingReason, Place, String),
    ) {
        let is_outer = |scope: &str| scope.len() < entry.source.len() && self.sources.contains_key(scope);
        let outer = best_match_in(&entry.source, is_outer);
        let Some((name, outer)) = outer.and_then(|(name, _)| self.sources.get_key_value(name.as_str())) else { return };
        for pull_by in
            [PullBy::Digest, PullBy::Tag].into_iter().filter(|pull_by| outer.has(*pull_by) && !source.has(*pull_by))
        {
            let message = format!(
                "pulls of {:?} {} have no mirror: the mirrors of the broader source {name:?} are not used",
                entry.source,
                by(pull_by)
            );
            warn(weight_of(pull_by), FindingReason::HidesBroaderSource, Place::Source, message);
        }
        if outer.is_never && !source.is_never {
            let message = format!("{:?} may be contacted, although {name:?} may not", entry.source);
            warn(Severity::Warning, FindingReason::EscapesNeverContactSource, Place::Source, message);
        }
    }

    fn blocked_mirrors(&self, entry: &MirrorEntry, warn: &mut impl FnMut(Severity, FindingReason, Place, String)) {
        if !self.has_never {
            return;
        }
        for (index, mirror) in entry.mirrors.iter().enumerate() {
            let selected = best_match_in(mirror, |scope| self.sources.contains_key(scope));
            let selected = selected.and_then(|(name, _)| self.sources.get_key_value(name.as_str()));
            if let Some((name, source)) = selected
                && source.is_never
            {
                let message = format!(
                    "mirror {mirror:?} is never contacted: it is below source {name:?}, which has NeverContactSource"
                );
                warn(Severity::Warning, FindingReason::MirrorBlocked, Place::Mirror(index), message);
            }
        }
    }

    fn selection(&self, entry: &MirrorEntry, warn: &mut impl FnMut(Severity, FindingReason, Place, String)) {
        let source = entry.source.as_str();
        let selected = best_match_in(source, |scope| self.sources.contains_key(scope));
        if let Some((name, _)) = selected.filter(|(name, _)| name != source) {
            let message = format!("{name:?} has the same length as {source:?} and takes precedence");
            warn(Severity::Warning, FindingReason::WildcardTie, Place::Source, message);
        }
        let scope = Scope::new(source);
        let mirror = entry.mirrors.iter().find(|mirror| Scope::new(mirror).path().is_some());
        if let Some(mirror) = mirror.filter(|_| source == scope.host() && self.hosts_with_ports.contains(source)) {
            let message =
                format!("{source:?} also matches its host's other ports, where mirror {mirror:?} fails the pull");
            warn(Severity::Warning, FindingReason::SourceCatchesPorts, Place::Source, message);
        }
    }
}
