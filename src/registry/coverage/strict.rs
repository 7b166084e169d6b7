//! Whether the mirrors of sources without a fallback hold what these sources decide. Pure.
//!
//! A source with `NeverContactSource` has no fallback on nodes, and none in `--registry-overrides`. HyperShift's look-ups try a
//! source after its mirrors whatever its policy is, so that for them a place alone does not prove the mirrors.

use std::collections::BTreeMap;

use super::demand::{NodeRules, Pull, Puller, Rules};
use super::matrix::{Demand, Findings, Verdict, judge};
use super::needs::Need;
use crate::mirrors::hypershift::{explain, replace};
use crate::mirrors::registries::{Endpoint, EndpointOrigin};
use crate::mirrors::{Policy, Resolved, ResolvedSource};

/// A pull that a source without a fallback decides, from its mirrors alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StrictPull {
    /// The source.
    pub source: String,
    /// The pull.
    pub pull: Pull,
}

/// What is known about a source without a fallback and one of its consumers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceProof {
    /// The source.
    pub source: String,
    /// Who pulls by it.
    pub consumer: String,
    /// Number of images that its mirrors lack.
    pub missing: usize,
    /// Number of images about which its mirrors gave no answer.
    pub unknown: usize,
    /// The first of the missing images, or else of those that are not known.
    pub first: String,
}

impl SourceProof {
    /// Whether its mirrors hold everything that it decides.
    pub const fn is_proven(&self) -> bool {
        self.missing == 0 && self.unknown == 0
    }

    fn add(&mut self, demand: &Demand, verdict: &Verdict) {
        let (count, others, text) = match verdict {
            Verdict::Held { .. } => return,
            Verdict::Missing { lacking } => {
                let place = lacking.first().map(|place| {
                    let part = place.parts.first().map(ToString::to_string).unwrap_or_default();
                    format!("{}: {part}", place.reference)
                });
                (&mut self.missing, 0, place.unwrap_or_else(|| "it is pulled from nowhere".to_owned()))
            }
            Verdict::Unknown { reference, message, .. } => {
                (&mut self.unknown, self.missing, format!("{reference}: {message}"))
            }
        };
        // What is missing has priority: somebody can copy it.
        if *count + others == 0 {
            self.first = format!("{}: {text}", demand.image);
        }
        *count += 1;
    }
}

/// What has to be proven about the sources without a fallback of one consumer.
#[derive(Clone, Debug, Default)]
pub struct Strict {
    /// Each source and its consumer.
    sources: Vec<(String, String)>,
    /// What they decide.
    pub pulls: Vec<StrictPull>,
}

impl Strict {
    /// Of these consumers.
    pub fn of(pullers: &[Puller], needs: &[Need]) -> Self {
        let mut strict = Self::default();
        for puller in pullers {
            let Some(resolved) = own_sources(&puller.rules) else { continue };
            let gated: Vec<(&String, &ResolvedSource)> = without_fallback(resolved).collect();
            if gated.is_empty() {
                continue;
            }
            let consumer = puller.consumer.name();
            strict.sources.extend(gated.iter().map(|(source, _)| ((*source).clone(), consumer.to_owned())));
            for pull in puller.pulls(needs) {
                match &puller.rules {
                    Rules::LookUps(_) => strict.pulls.extend(looked_up(&gated, needs, &pull)),
                    Rules::Node(rules) => strict.pulls.extend(on_node(rules, &gated, pull)),
                }
            }
        }
        strict
    }

    /// What the answers prove. `demands` are those of [`Self::pulls`], in order. `unread` is why it is not known what a release
    /// needs: any source may decide its images.
    pub fn prove(&self, demands: &[Demand], findings: &Findings, unread: Option<&str>) -> Vec<SourceProof> {
        let mut proofs: BTreeMap<(&str, &str), SourceProof> = BTreeMap::new();
        for (source, consumer) in &self.sources {
            let proof = SourceProof {
                source: source.clone(),
                consumer: consumer.clone(),
                missing: 0,
                unknown: usize::from(unread.is_some()),
                first: unread.unwrap_or_default().to_owned(),
            };
            proofs.insert((source, consumer), proof);
        }
        for (strict, demand) in self.pulls.iter().zip(demands) {
            if let Some(proof) = proofs.get_mut(&(strict.source.as_str(), strict.pull.consumer.as_str())) {
                proof.add(demand, &judge(demand, findings));
            }
        }
        proofs.into_values().collect()
    }
}

/// The sources of hypermirror by which a consumer pulls.
fn own_sources(rules: &Rules) -> Option<&Resolved> {
    match rules {
        Rules::LookUps(map) => Some(map),
        Rules::Node(rules) => rules.own.as_ref().map(|(set, _)| set),
    }
}

/// The sources that may not be contacted.
fn without_fallback(resolved: &Resolved) -> impl Iterator<Item = (&String, &ResolvedSource)> {
    resolved.sources.iter().filter(|(_, source)| source.policy == Policy::NeverContactSource)
}

/// Of nodes, the source of the longest prefix decides, and it is blocked behind its mirrors.
fn on_node(rules: &NodeRules, gated: &[(&String, &ResolvedSource)], pull: Pull) -> Option<StrictPull> {
    let prefix = rules.explain(&pull.image).prefix?;
    let source = gated.iter().find(|(source, _)| **source == prefix)?.0.clone();
    Some(StrictPull { source, pull })
}

/// Of look-ups, each source that matches decides: its mirrors in order, and without any other choice the one that
/// `--registry-overrides` substitutes.
fn looked_up(gated: &[(&String, &ResolvedSource)], needs: &[Need], pull: &Pull) -> Vec<StrictPull> {
    let is_release = needs.iter().any(|need| need.is_release && need.image == pull.image);
    let of_env = gated.iter().filter_map(|(source, resolved)| {
        let alone = Resolved { sources: BTreeMap::from([((*source).clone(), (*resolved).clone())]) };
        let explanation = explain(&alone, &pull.image);
        let mut endpoints =
            if is_release { explanation.release.into_iter().map(plain).collect() } else { explanation.endpoints };
        let source_itself = endpoints.last_mut()?;
        source_itself.blocked = true;
        source_itself.origin = Some(EndpointOrigin::File { file: Policy::NeverContactSource.as_str().to_owned() });
        (endpoints.len() > 1).then(|| strict(source, endpoints, pull))
    });
    let substituted = gated.iter().filter(|(source, _)| !source.starts_with("*.")).filter_map(|(source, resolved)| {
        let mirror = resolved.all_mirrors().next()?;
        Some((*source, replace(&pull.image, [(source.as_str(), mirror)])?))
    });
    let of_argument = substituted.max_by_key(|(source, _)| source.len());
    of_env.chain(of_argument.map(|(source, reference)| strict(source, vec![plain(reference)], pull))).collect()
}

fn plain(reference: String) -> Endpoint {
    Endpoint { reference, insecure: false, blocked: false, origin: None }
}

fn strict(source: &str, endpoints: Vec<Endpoint>, pull: &Pull) -> StrictPull {
    let pull = Pull { endpoints, error: None, is_unordered: false, ..pull.clone() };
    StrictPull { source: source.to_owned(), pull }
}

#[cfg(test)]
mod tests;
