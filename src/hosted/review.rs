//! Restores hypermirror's entry in writes of other clients to target Deployments, and a field in writes to HostedClusters.
//!
//! A pure function of one request to the API server, for a webhook. `manifests/components/admission-policy` has the same
//! rules in CEL.

use std::collections::BTreeSet;

use hypermirror_api::{annotations, names};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use self::object::{DeploymentSpec, HostedClusterSpec, Object};
use super::argument;
use super::entries::Entries;
use super::observed::{ObservedContainer, ObservedTarget};
use super::patch::PatchBuilder;
use super::target::TargetSpec;
use super::value;

mod carry;
mod object;

/// Maximum size of the reference to a ConfigMap, with space for future fields. This is the only value that is copied without
/// validation.
const MAX_REFERENCE: usize = 4096;

/// The rule for a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Restore the entry of a target Deployment.
    Target,
    /// Restore the reference in a HostedCluster.
    HostedCluster,
}

impl Rule {
    /// The label in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Target => "target",
            Self::HostedCluster => "hosted_cluster",
        }
    }
}

/// One write, before it is stored. The texts are those of an `AdmissionReview` and not trusted: any client that reaches the
/// webhook can send one.
#[derive(Clone, Copy, Debug)]
pub struct Write<'a> {
    /// The API group of the resource.
    pub group: &'a str,
    /// The resource's plural name.
    pub resource: &'a str,
    /// The user who writes.
    pub user: &'a str,
    /// The new object.
    pub object: &'a RawValue,
    /// The stored object. `None` for a create.
    pub before: Option<&'a RawValue>,
}

/// The configuration of the rules.
#[derive(Clone, Debug)]
pub struct Reviewer {
    /// The target Deployments.
    pub targets: Vec<TargetSpec>,
    /// Users whose updates unintentionally drop fields that their types do not have.
    pub field_unaware_users: BTreeSet<String>,
}

impl Reviewer {
    /// The rule for a write of this resource, if any.
    pub fn rule(write: &Write<'_>) -> Option<Rule> {
        match (write.group, write.resource) {
            ("apps", "deployments") => Some(Rule::Target),
            ("hypershift.openshift.io", "hostedclusters") => Some(Rule::HostedCluster),
            _ => None,
        }
    }

    /// The patch for the write. `None` if it removes nothing. Writes are never rejected.
    ///
    /// Objects that are being deleted are not patched, nor is a write that removes the annotation and the entry: it is from the
    /// manager, or intended.
    ///
    /// # Errors
    /// If a text is not an object of its kind.
    pub fn review(&self, write: &Write<'_>) -> serde_json::Result<Option<json_patch::Patch>> {
        match Self::rule(write) {
            Some(Rule::Target) => self.target(write),
            Some(Rule::HostedCluster) => self.hosted_cluster(write),
            None => Ok(None),
        }
    }

    /// Restores the environment variable and the argument in the annotations, in a write that changes the pod template.
    ///
    /// A write that does not change the template restarts nothing, and the patch must not change that. The manager writes
    /// annotations before the template (see [`super::plan::TargetPlan::announce`]).
    fn target(&self, write: &Write<'_>) -> serde_json::Result<Option<json_patch::Patch>> {
        let object: Object<DeploymentSpec<'_>> = serde_json::from_str(write.object.get())?;
        let metadata = object.metadata.unwrap_or_default();
        let template = object.spec.and_then(|spec| spec.template);
        let spec = self.targets.iter().find(|spec| metadata.name.as_deref() == Some(&spec.deployment));
        let (Some(spec), Some(template), None) = (spec, template, metadata.deletion_timestamp) else { return Ok(None) };
        let before: Option<Object<DeploymentSpec<'_>>> =
            write.before.map(|before| serde_json::from_str(before.get())).transpose()?;
        let before = before.and_then(|before| before.spec?.template);
        if before.is_some_and(|before| before.get() == template.get()) {
            return Ok(None);
        }
        let Some(annotations) = metadata.annotations else { return Ok(None) };
        let Some(container) = object::container(template, &spec.container)? else { return Ok(None) };
        let target = ObservedTarget {
            has_annotations: true,
            overrides: annotations.overrides.map(Into::into),
            argument: annotations.argument.map(Into::into),
            ..ObservedTarget::default()
        };
        let before = before.map(|before| object::container(before, &spec.container)).transpose()?.flatten();
        let mut patch = PatchBuilder::new(&target, &container);
        if let Some(overrides) = &target.overrides {
            restore_env(&mut patch, &target, overrides, before.as_ref(), &container);
        }
        if let Some(value) = &target.argument
            && argument::ours(&target, &container).is_none()
        {
            patch.append_argument(argument::form(spec, &container), value);
        }
        Ok(patch.unguarded())
    }

    /// Restores the reference to the mirrors in an update by a client whose types do not have the field.
    fn hosted_cluster(&self, write: &Write<'_>) -> serde_json::Result<Option<json_patch::Patch>> {
        let Some(before) = write.before.filter(|_| self.field_unaware_users.contains(write.user)) else {
            return Ok(None);
        };
        let object: Object<HostedClusterSpec<'_>> = serde_json::from_str(write.object.get())?;
        let stays = object.metadata.unwrap_or_default().deletion_timestamp.is_none();
        let Some(spec) = object.spec.filter(|_| stays) else { return Ok(None) };
        let before: Object<HostedClusterSpec<'_>> = serde_json::from_str(before.get())?;
        let lost = before.spec.and_then(|spec| spec.reference).filter(|lost| lost.get().len() <= MAX_REFERENCE);
        let (Some(lost), None) = (lost, spec.reference) else { return Ok(None) };
        let path = format!("/spec/{}", names::IMAGE_MIRROR_CONFIG_REF_FIELD);
        let lost: Value = serde_json::from_str(lost.get())?;
        Ok(serde_json::from_value(json!([{"op": "add", "path": path, "value": lost}])).ok())
    }
}

/// Appends the environment variable if it is missing: the value in the annotation, updated for entries of other managers
/// that the write adds or removes. The annotation is updated, too, because it identifies the entry.
fn restore_env(
    patch: &mut PatchBuilder<'_>,
    target: &ObservedTarget,
    overrides: &Entries,
    before: Option<&ObservedContainer>,
    after: &ObservedContainer,
) {
    if after.env.len() > 1 {
        return;
    }
    let argument = target.argument.as_ref();
    let carried = before.and_then(|before| carry::carried(overrides, argument, before, after));
    let wanted = carried.as_ref().unwrap_or(overrides);
    patch.annotation(annotations::OVERRIDES, Some(overrides.as_str()), Some(wanted.as_str()));
    if lacks(after, wanted) {
        patch.append_env(wanted);
    }
}

/// Whether the appended environment variable is missing and the stock one has a different value. A second one of that name is
/// reconciled by the manager.
fn lacks(container: &ObservedContainer, overrides: &Entries) -> bool {
    match container.env.as_slice() {
        [] => !value::has_map(None, overrides),
        [stock] => !value::has_map(Some(&stock.value), overrides),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
