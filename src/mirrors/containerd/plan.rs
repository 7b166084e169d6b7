//! Decides which part of a set containerd can apply: the mirrors of each registry, and what is left out.

use std::collections::BTreeMap;

use super::left_out::{LeftOut, LeftOutReason};
use crate::mirrors::reference::is_host_and_port;
use crate::mirrors::scope::best_match_in;
use crate::mirrors::{Mirror, Origin, Policy, Resolved, ResolvedSource, Scope, is_valid_reference};

/// The rules for all images of one registry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegistryHosts {
    /// The mirrors, in the order in which they are tried.
    pub mirrors: Vec<HostMirror>,
    /// Whether the registry itself is never contacted.
    pub is_blocked: bool,
    /// The entries for it, sorted.
    pub origins: Vec<Origin>,
}

/// A mirror of a registry, for pulls by digest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostMirror {
    /// `host[:port][/path]`.
    pub location: String,
    /// Whether it is for pulls by tag, too.
    pub by_tag: bool,
    /// Whether certificates are not verified.
    pub insecure: bool,
    /// The entries that declare it, sorted.
    pub origins: Vec<Origin>,
}

/// The rules by registry, and what is left out, sorted.
pub(super) type Plan = (BTreeMap<String, RegistryHosts>, Vec<LeftOut>);

/// Decides the rules for a set.
pub(super) fn plan(set: &Resolved) -> Plan {
    let mut left_out = Vec::new();
    let mut registries = BTreeMap::new();
    // A source below a registry with rules of its own, by that registry: its images would get the rules of the registry.
    let mut nested: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, source) in &set.sources {
        let scope = Scope::new(name);
        let whole = set.sources.get(scope.registry());
        if scope.path().is_some() && !whole.is_some_and(|whole| is_covered(source, whole, name)) {
            nested.entry(scope.registry()).or_insert(name);
        }
    }
    for (name, source) in &set.sources {
        let scope = Scope::new(name);
        let whole = set.sources.get(scope.registry()).filter(|_| scope.path().is_some());
        let reason = if whole.is_some_and(|whole| is_covered(source, whole, name)) {
            continue;
        } else if scope.is_wildcard() {
            LeftOutReason::Wildcard
        } else if scope.path().is_some() {
            LeftOutReason::Path { registry: scope.registry().to_owned() }
        } else if !is_host_and_port(name) {
            LeftOutReason::Name
        } else if let Some(wildcard) = hiding_wildcard(set, name) {
            LeftOutReason::HiddenByWildcard(wildcard)
        } else {
            registry(&mut registries, &mut left_out, set, (name, source), nested.get(name.as_str()).copied());
            continue;
        };
        let is_blocked = whole.is_some_and(|whole| whole.policy == Policy::NeverContactSource);
        let is_source_contacted = source.policy == Policy::NeverContactSource && !is_blocked;
        left_out.push(LeftOut { source: name.clone(), reason, is_source_contacted });
    }
    left_out.sort();
    (registries, left_out)
}

/// Whether the rules of a registry have the same effect for the images of a source below it as its own.
fn is_covered(source: &ResolvedSource, whole: &ResolvedSource, name: &str) -> bool {
    let Some(path) = Scope::new(name).path() else { return false };
    let is_same = |own: &[Mirror], whole: &[Mirror]| {
        let pairs = || own.iter().zip(whole);
        own.len() == whole.len()
            && pairs().all(|(own, whole)| own.location == format!("{}/{path}", whole.location))
            && pairs().all(|(own, whole)| own.insecure == whole.insecure)
    };
    source.policy == whole.policy
        && is_same(&source.digest_mirrors, &whole.digest_mirrors)
        && is_same(&source.tag_mirrors, &whole.tag_mirrors)
}

/// The wildcard source that applies to the images of a registry instead of the source with its name.
fn hiding_wildcard(set: &Resolved, registry: &str) -> Option<String> {
    let best = best_match_in(registry, |scope| set.sources.contains_key(scope)).map(|(scope, _)| scope);
    best.filter(|scope| scope != registry && Scope::new(scope).is_wildcard())
}

/// Adds the rules of a registry, unless they have no effect.
fn registry(
    registries: &mut BTreeMap<String, RegistryHosts>,
    left_out: &mut Vec<LeftOut>,
    set: &Resolved,
    (name, source): (&str, &ResolvedSource),
    nested: Option<&str>,
) {
    let mut leave_out = |reason| {
        left_out.push(LeftOut { source: name.to_owned(), reason, is_source_contacted: false });
    };
    let mut mirrors: Vec<HostMirror> = Vec::new();
    for mirror in &source.digest_mirrors {
        match unusable(set, &mirror.location) {
            Some(reason) => leave_out(reason),
            None => mirrors.push(HostMirror {
                location: mirror.location.clone(),
                by_tag: false,
                insecure: mirror.insecure,
                origins: mirror.origins.clone(),
            }),
        }
    }
    if let Some(nested) = nested.filter(|_| !source.tag_mirrors.is_empty()) {
        leave_out(LeftOutReason::TagsOfNested(nested.to_owned()));
    } else {
        // The first place that a further mirror for tags may have.
        let mut next = 0;
        for mirror in &source.tag_mirrors {
            match mirrors.iter().position(|known| known.location == mirror.location) {
                Some(place) if place >= next => {
                    next = place + 1;
                    use_for_tags(mirrors.get_mut(place), mirror);
                }
                Some(_) => leave_out(LeftOutReason::TagOrder(mirror.location.clone())),
                None => leave_out(
                    unusable(set, &mirror.location).unwrap_or_else(|| LeftOutReason::TagOnly(mirror.location.clone())),
                ),
            }
        }
    }
    let is_blocked = source.policy == Policy::NeverContactSource;
    // NeverContactSource applies even if no mirror can be used.
    if !mirrors.is_empty() || is_blocked {
        registries.insert(name.to_owned(), RegistryHosts { mirrors, is_blocked, origins: source.origins.clone() });
    }
}

/// Why a mirror cannot be used at all.
fn unusable(set: &Resolved, location: &str) -> Option<LeftOutReason> {
    if !is_location(location) {
        return Some(LeftOutReason::Mirror(location.to_owned()));
    }
    // CRI-O skips such a mirror, or the images in the part that is blocked.
    let around = best_match_in(location, |scope| set.sources.contains_key(scope)).map(|(scope, _)| scope);
    let mut never = set.sources.iter().filter(|(_, source)| source.policy == Policy::NeverContactSource);
    let is_blocked =
        never.any(|(name, _)| around.as_ref() == Some(name) || Scope::new(name).is_nested_inside(Scope::new(location)));
    is_blocked.then(|| LeftOutReason::MirrorBlocked(location.to_owned()))
}

fn use_for_tags(known: Option<&mut HostMirror>, mirror: &Mirror) {
    let Some(known) = known else { return };
    known.by_tag = true;
    // Certificates are verified unless both declarations permit the opposite: there is one setting for both kinds of pulls.
    known.insecure &= mirror.insecure;
    known.origins.extend(mirror.origins.iter().cloned());
    known.origins.sort_unstable();
    known.origins.dedup();
}

/// Whether images below a location have valid names, so that its URL has no characters with a meaning of their own.
fn is_location(location: &str) -> bool {
    is_host_and_port(Scope::new(location).registry()) && is_valid_reference(&format!("{location}/a/b"))
}
