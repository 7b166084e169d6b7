//! The changes of one hosted cluster: the values before and after.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use hypermirror_api::annotations;
use serde::Serialize;
use serde_json::Value;

use super::super::input::Input;
use super::super::planning::ClusterPlan;
use crate::hosted::catalogs::compare::{Difference, ImageChange};
use crate::hosted::entries::Entries;
use crate::hosted::observed::ObservedTarget;
use crate::hosted::proof::held::{HeldSource, HeldSources};
use crate::hosted::target::TargetSpec;
use crate::mirrors::overrides::ordered_mirrors;

/// The changes of one hosted cluster.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterChanges {
    /// `namespace/name`.
    pub hosted_cluster: String,
    /// Why the manager does not make the changes now. Null if it does.
    pub held: Option<String>,
    /// The sources without a fallback that do not go live now, because their mirrors are not proven.
    pub unproven: Vec<UnprovenChange>,
    /// The value of `hypermirror.dev/mirrors-observed` that the HostedCluster would get.
    pub mirrors_observed: Option<String>,
    /// The Deployments that would change.
    pub targets: Vec<TargetChanges>,
    /// The OLM catalogs that would change unless stock HyperShift changes them first.
    pub catalogs: Vec<CatalogChanges>,
}

/// A source that is held because its mirrors are not proven.
#[derive(Debug, Serialize)]
pub struct UnprovenChange {
    /// The source.
    pub source: String,
    /// The mirrors that stay in use. Empty if the source is not live.
    pub before: Vec<String>,
    /// The declared mirrors.
    pub after: Vec<String>,
    /// Why they are not proven.
    pub why: String,
}

/// The changes of one object of the OLM catalogs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CatalogChanges {
    /// Deployment or ImageStream.
    pub kind: &'static str,
    /// The control-plane namespace.
    pub namespace: String,
    /// Its name.
    pub name: &'static str,
    /// The images.
    pub images: Vec<CatalogImage>,
    /// The JSON patch.
    pub patch: Option<json_patch::Patch>,
}

/// One image of a catalog.
#[derive(Debug, Serialize)]
pub struct CatalogImage {
    /// The container or the tag.
    pub place: String,
    /// The current image.
    pub before: String,
    /// The new image.
    pub after: String,
}

impl CatalogChanges {
    /// The changes for a difference, without images that the manager does not change.
    pub fn new(namespace: String, difference: Difference) -> Self {
        let image = |change: ImageChange| {
            Some(CatalogImage { place: change.place, before: change.before, after: change.after? })
        };
        Self {
            kind: difference.object.kind(),
            namespace,
            name: difference.object.name(),
            images: difference.images.into_iter().filter_map(image).collect(),
            patch: difference.patch,
        }
    }
}

/// The changes of one Deployment.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetChanges {
    /// The Deployment's namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Whether its pods restart.
    pub restarts: bool,
    /// Changed sources of the effective `OPENSHIFT_IMG_OVERRIDES`.
    pub overrides: Vec<SourceChange>,
    /// Changed sources of the effective `--registry-overrides`.
    pub argument: Vec<SourceChange>,
    /// Changed annotations of hypermirror.
    pub annotations: Vec<AnnotationChange>,
    /// The JSON patch.
    pub patch: Option<json_patch::Patch>,
}

/// One source whose mirrors change.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct SourceChange {
    /// The source.
    pub source: String,
    /// Its current mirrors.
    pub before: Vec<String>,
    /// Its new mirrors.
    pub after: Vec<String>,
}

/// One annotation that is set, changed or removed.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct AnnotationChange {
    /// The key.
    pub key: &'static str,
    /// The current value.
    pub before: Option<String>,
    /// The new value.
    pub after: Option<String>,
}

impl ClusterChanges {
    /// Compares the current Deployments with the patched ones.
    pub fn new(input: &Input, plan: &ClusterPlan, is_held: bool) -> Result<Self> {
        let removal = is_held.then(|| "waiting for approval: too many maps would become empty at once".to_owned());
        let paused = plan.settings.paused.as_ref().map(|why| format!("paused: {why}"));
        let mut targets = Vec::new();
        for (target, _, after) in plan.patched(&input.deployments)? {
            let (Some(before), Some(change)) = (&target.observed, &target.plan) else { continue };
            let changes = TargetChanges::new(&target.spec, before, &after);
            let namespace = plan.key.control_plane_namespace();
            targets.push(TargetChanges {
                namespace,
                restarts: change.restarts,
                patch: change.patch.clone(),
                ..changes
            });
        }
        Ok(Self {
            hosted_cluster: plan.key.to_string(),
            held: paused.or(removal),
            unproven: unproven(&plan.held),
            mirrors_observed: plan.plan.touch.clone(),
            targets,
            catalogs: Vec::new(),
        })
    }

    /// Whether anything changes, now or after a proof.
    pub fn is_any(&self) -> bool {
        self.has_writes() || !self.unproven.is_empty()
    }

    /// Whether anything is written.
    pub fn has_writes(&self) -> bool {
        self.mirrors_observed.is_some() || !self.targets.is_empty() || !self.catalogs.is_empty()
    }
}

fn unproven(held: &HeldSources) -> Vec<UnprovenChange> {
    let cause = held.cause.as_deref().unwrap_or_default();
    let change = |held: &HeldSource| UnprovenChange {
        source: held.source.clone(),
        before: held.live.clone(),
        after: held.mirrors.clone(),
        why: held.why.clone().unwrap_or_else(|| cause.to_owned()),
    };
    held.sources.iter().map(change).collect()
}

impl TargetChanges {
    fn new(spec: &TargetSpec, before: &ObservedTarget, after: &Value) -> Self {
        let after = ObservedTarget::read(after, spec);
        let annotation = |key, before: &Option<Entries>, after: &Option<Entries>| {
            let text = |value: &Option<Entries>| value.as_ref().map(ToString::to_string);
            (before != after).then(|| AnnotationChange { key, before: text(before), after: text(after) })
        };
        Self {
            namespace: String::new(),
            name: spec.deployment.clone(),
            restarts: false,
            overrides: compare(effective(before), effective(&after)),
            argument: compare(arguments(before), arguments(&after)),
            annotations: [
                annotation(annotations::OVERRIDES, &before.overrides, &after.overrides),
                annotation(annotations::RETIRED, &before.retired, &after.retired),
                annotation(annotations::APPENDED_ARGUMENT, &before.argument, &after.argument),
            ]
            .into_iter()
            .flatten()
            .collect(),
            patch: None,
        }
    }
}

/// The value that the process uses: the last variable of this name.
fn effective(target: &ObservedTarget) -> impl Iterator<Item = (&str, &str)> {
    let last = target.container.as_ref().and_then(|container| container.env.last());
    last.into_iter().flat_map(|entry| entry.value.pairs())
}

/// The combined values of all occurrences of the argument, as the process combines them.
fn arguments(target: &ObservedTarget) -> impl Iterator<Item = (&str, &str)> {
    let arguments = target.container.iter().flat_map(|container| &container.arguments);
    arguments.flat_map(|entry| entry.value.pairs())
}

fn compare<'a>(
    before: impl Iterator<Item = (&'a str, &'a str)>,
    after: impl Iterator<Item = (&'a str, &'a str)>,
) -> Vec<SourceChange> {
    let (before, after) = (ordered_mirrors(before), ordered_mirrors(after));
    let sources: BTreeSet<&str> = before.keys().chain(after.keys()).copied().collect();
    let mirrors = |of: &BTreeMap<&str, Vec<&str>>, source: &str| {
        of.get(source).into_iter().flatten().map(|&mirror| mirror.to_owned()).collect::<Vec<String>>()
    };
    let changes = sources.into_iter().map(|source| SourceChange {
        source: source.to_owned(),
        before: mirrors(&before, source),
        after: mirrors(&after, source),
    });
    changes.filter(|change| change.before != change.after).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_compared_with_the_order_of_their_mirrors() {
        let (before, after) = (Entries::from("=,a=1,a=2,b=1,c=1"), Entries::from("c=1,b=2,b=1,d=4,a=1,a=2"));
        let changes = compare(before.pairs(), after.pairs());
        let change = |source: &str, before: &[&str], after: &[&str]| SourceChange {
            source: source.to_owned(),
            before: before.iter().map(|&mirror| mirror.to_owned()).collect(),
            after: after.iter().map(|&mirror| mirror.to_owned()).collect(),
        };
        assert_eq!(changes, [change("b", &["1"], &["2", "1"]), change("d", &[], &["4"])]);
    }
}
