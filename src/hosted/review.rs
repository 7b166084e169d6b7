//! What is given back to a write of somebody else's: our entry to a target Deployment, a field to a HostedCluster.
//!
//! A pure function of one request to the API server, for a webhook. `manifests/components/admission-policy` says the same in
//! CEL.

use std::collections::BTreeSet;

use hypermirror_api::{annotations, names};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use self::object::{DeploymentSpec, HostedClusterSpec, Object};
use super::argument;
use super::observed::{ObservedContainer, ObservedTarget};
use super::patch::PatchBuilder;
use super::target::TargetSpec;
use super::value;

mod carry;
mod object;

/// The reference to a ConfigMap: a name, and room for whatever may be added to it. It is the one value that is repeated as
/// it came.
const MAX_REFERENCE: usize = 4096;

/// Which rule a write falls under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// A Deployment that reads overrides.
    Target,
    /// A HostedCluster.
    HostedCluster,
}

impl Rule {
    /// The rule as a metric's label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Target => "target",
            Self::HostedCluster => "hosted_cluster",
        }
    }
}

/// One write, before it is stored. The texts are those of an `AdmissionReview`: whoever reaches the webhook may send any.
#[derive(Clone, Copy, Debug)]
pub struct Write<'a> {
    /// The API group of the resource.
    pub group: &'a str,
    /// The resource's plural name.
    pub resource: &'a str,
    /// Who writes.
    pub user: &'a str,
    /// The object as it is to be stored.
    pub object: &'a RawValue,
    /// The object as it stands; none if it is created.
    pub before: Option<&'a RawValue>,
}

/// What decides beside the request itself.
#[derive(Clone, Debug)]
pub struct Reviewer {
    /// The Deployments that read overrides.
    pub targets: Vec<TargetSpec>,
    /// Whose updates lose fields that their types do not have, without meaning it.
    pub field_unaware_users: BTreeSet<String>,
}

impl Reviewer {
    /// The rule that a write of this resource falls under, if any.
    pub fn rule(write: &Write<'_>) -> Option<Rule> {
        match (write.group, write.resource) {
            ("apps", "deployments") => Some(Rule::Target),
            ("hypershift.openshift.io", "hostedclusters") => Some(Rule::HostedCluster),
            _ => None,
        }
    }

    /// What the write has to be changed by; none if it takes nothing away. It is never refused.
    ///
    /// What is being deleted is left alone, and so is a write that takes the annotation away with our entry: that is the
    /// manager, or somebody who means it.
    ///
    /// # Errors
    /// If a text is no object of its kind.
    pub fn review(&self, write: &Write<'_>) -> serde_json::Result<Option<json_patch::Patch>> {
        match Self::rule(write) {
            Some(Rule::Target) => self.target(write),
            Some(Rule::HostedCluster) => self.hosted_cluster(write),
            None => Ok(None),
        }
    }

    /// Our env var and our argument, as the annotations remember them, in a write that changes the pod template anyway.
    ///
    /// A write that leaves the template alone restarts nothing and must not begin to: annotations that the manager writes
    /// ahead of the change (see [`super::plan::TargetPlan::announce`]) are one.
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
        if let Some(overrides) = target.overrides.as_deref() {
            restore_env(&mut patch, &target, overrides, before.as_ref(), &container);
        }
        if let Some(value) = target.argument.as_deref()
            && argument::ours(&target, &container).is_none()
        {
            patch.append_argument(argument::form(spec, &container), value);
        }
        Ok(patch.unguarded())
    }

    /// The reference to the mirrors, in an update by somebody whose types do not have the field.
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

/// Appends our env var where it is gone: what the annotation remembers, brought up to date where the write itself shows that
/// entries of somebody else's came or went. Then the annotation says so, too: ours is known by it.
fn restore_env(
    patch: &mut PatchBuilder<'_>,
    target: &ObservedTarget,
    overrides: &str,
    before: Option<&ObservedContainer>,
    after: &ObservedContainer,
) {
    if after.env.len() > 1 {
        return;
    }
    let argument = target.argument.as_deref();
    let carried = before.and_then(|before| carry::carried(overrides, argument, before, after));
    let wanted = carried.as_deref().unwrap_or(overrides);
    patch.annotation(annotations::OVERRIDES, Some(overrides), Some(wanted));
    if lacks(after, wanted) {
        patch.append_env(wanted);
    }
}

/// Whether our env var is gone and the stock one does not say the same. A second one of that name is ours or stands for
/// it: the manager sees to that.
fn lacks(container: &ObservedContainer, overrides: &str) -> bool {
    match container.env.as_slice() {
        [] => !value::says(None, overrides),
        [stock] => !value::says(Some(&stock.value), overrides),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
