//! Holds sources of the override map whose mirrors are not proven. What is live is read from the Deployments alone, so that each
//! leader finds the same.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::held::{Enforcement, HeldSource, HeldSources};
use super::proofs::{Decides, Proofs};
use super::requirement::RequireProof;
use super::subject::{Declared, subject, token};
use crate::hosted::argument;
use crate::hosted::carry_over::live_entries;
use crate::hosted::entries::Entries;
use crate::hosted::facts::{ClusterFacts, Moment};
use crate::hosted::observed::ObservedTarget;
use crate::hosted::sources::OverrideMap;
use crate::mirrors::overrides::ordered_mirrors;
use crate::mirrors::{Mirror, Policy, ResolvedSource};

/// Replaces sources of the desired map that are not proven by what is live. `needs` is a digest of the needs, or nothing if they are
/// not known.
pub fn enforce(facts: &mut ClusterFacts, needs: &str, now: Moment) {
    let is_enforced = RequireProof::of(&*facts.object, facts.flags.require_proof) == RequireProof::Enforce;
    if !is_enforced || facts.leaves() {
        return;
    }
    let resolved = &facts.map.map.resolved;
    let declared = Declared { map: resolved, own: &facts.own, pools: &facts.pools, sources: &facts.pool_sources };
    if declared.gated().is_empty() {
        return;
    }
    let subject = subject(&declared, facts.delivery(), needs);
    facts.enforcement = Some(Enforcement { subject, token: token(&declared) });
    if let Some((map, held)) = hold(facts, now) {
        facts.map.map = Arc::new(map);
        facts.held = held;
    }
}

/// The map that may be live, and what is held. `None` if that is nothing.
fn hold(facts: &ClusterFacts, now: Moment) -> Option<(OverrideMap, HeldSources)> {
    let desired = &facts.map.map.resolved;
    let live = Live::of(facts);
    let pending = desired
        .sources
        .iter()
        .filter(|(name, source)| source.policy == Policy::NeverContactSource && !live.has(name, source));
    let pending: Vec<(&String, &ResolvedSource)> = pending.collect();
    if pending.is_empty() {
        return None;
    }
    let proofs = Proofs::of(facts, now.time);
    let (mut resolved, mut held) = (desired.clone(), HeldSources::default());
    for (name, source) in pending {
        let Some(lacks) = proofs.lacks(name, Decides::LookUps) else { continue };
        let kept = live.kept(name, source);
        held.sources.push(HeldSource {
            source: name.clone(),
            mirrors: source.all_mirrors().map(str::to_owned).collect(),
            live: kept.iter().flat_map(ResolvedSource::all_mirrors).map(str::to_owned).collect(),
            pool: None,
            why: lacks.own(),
        });
        match kept {
            Some(kept) => resolved.sources.insert(name.clone(), kept),
            None => resolved.sources.remove(name),
        };
    }
    held.cause = proofs.cause.map(std::borrow::Cow::into_owned);
    (!held.is_empty()).then(|| (OverrideMap::new(resolved), held))
}

/// What the Deployments of a control plane have.
struct Live {
    /// The mirrors of each source in `OPENSHIFT_IMG_OVERRIDES`, one map for each target, the parent first.
    env: Vec<BTreeMap<String, Vec<String>>>,
    /// The pairs in `--registry-overrides`.
    argument: HashSet<String>,
    /// The pairs that the desired map adds to `--registry-overrides`.
    wanted_argument: HashSet<String>,
}

impl Live {
    fn of(facts: &ClusterFacts) -> Self {
        let observed = || facts.targets.iter().filter_map(|target| Some((&target.spec, target.observed.as_deref()?)));
        let env = observed().map(|(_, target)| mirrors(&live_entries(facts.report.as_deref(), target)));
        let (mut argument, mut wanted_argument) = (HashSet::new(), HashSet::new());
        for (spec, target) in observed() {
            let Some(container) = &target.container else { continue };
            let resolved = &facts.map.map.resolved;
            let wanted = argument::wanted(facts.flags.argument, spec, resolved, target, container).value;
            wanted_argument.extend(wanted.iter().flat_map(Entries::iter).map(str::to_owned));
            argument.extend(argument_pairs(target).map(str::to_owned));
        }
        Self { env: env.collect(), argument, wanted_argument }
    }

    /// Whether the declared mirrors of a source are live, in this order and wherever they belong. It is enough that one target has
    /// them: they went live, and the others follow.
    fn has(&self, name: &str, source: &ResolvedSource) -> bool {
        let is_listed = |mirrors: &Vec<String>| source.all_mirrors().eq(mirrors.iter().map(String::as_str));
        let in_env = self.env.iter().any(|env| env.get(name).is_some_and(is_listed));
        let first = source.all_mirrors().next().map(|mirror| format!("{name}={mirror}")).unwrap_or_default();
        in_env && (!self.wanted_argument.contains(&first) || self.argument.contains(&first))
    }

    /// A source as it is live: its mirrors, and whether it is in `--registry-overrides`.
    fn kept(&self, name: &str, desired: &ResolvedSource) -> Option<ResolvedSource> {
        let prefix = format!("{name}=");
        let substituted = self.argument.iter().filter_map(|pair| pair.strip_prefix(&prefix)).min();
        let in_env = self.env.iter().find_map(|env| env.get(name)).cloned();
        let locations = in_env.or_else(|| substituted.map(|mirror| vec![mirror.to_owned()]))?;
        let known = |location: &String| {
            let mut all = desired.digest_mirrors.iter().chain(&desired.tag_mirrors);
            all.find(|mirror| mirror.location == *location).cloned()
        };
        let mirror = |location: String| {
            known(&location).unwrap_or_else(|| Mirror { location: location.clone(), ..Mirror::default() })
        };
        Some(ResolvedSource {
            digest_mirrors: locations.into_iter().map(mirror).collect(),
            tag_mirrors: Vec::new(),
            policy: if substituted.is_some() { Policy::NeverContactSource } else { Policy::AllowContactingSource },
            origins: desired.origins.clone(),
        })
    }
}

fn mirrors(entries: &Entries) -> BTreeMap<String, Vec<String>> {
    let owned =
        |(source, mirrors): (&str, Vec<&str>)| (source.to_owned(), mirrors.into_iter().map(str::to_owned).collect());
    ordered_mirrors(entries.pairs()).into_iter().map(owned).collect()
}

/// The pairs of a target, also those that its stock operator has removed and that will be appended again.
fn argument_pairs(target: &ObservedTarget) -> impl Iterator<Item = &str> {
    let arguments = target.container.iter().flat_map(|container| &container.arguments).map(|entry| &entry.value);
    arguments.chain(&target.argument).flat_map(Entries::iter)
}

/// Whether stock operators would make a held source live: they write all digest mirrors of the management cluster.
pub fn would_be_written_by_stock(held: &HeldSources, stock: &Entries) -> bool {
    let held: HashSet<&str> = held.sources.iter().map(|held| held.source.as_str()).collect();
    !held.is_empty() && stock.pairs().any(|(source, _)| held.contains(source))
}

#[cfg(test)]
mod tests;
