//! What is given back to a write of somebody else's: our entry to a target Deployment, a field to a HostedCluster.
//!
//! A pure function of one request to the API server, for a webhook. `manifests/overlays/admission-policy` says the same in
//! CEL.

use std::collections::BTreeSet;

use hypermirror_api::names;
use serde_json::{Value, json};

use super::argument;
use super::observed::{ObservedContainer, ObservedTarget};
use super::patch::PatchBuilder;
use super::target::TargetSpec;
use super::value;

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

/// One write, before it is stored.
#[derive(Clone, Copy, Debug)]
pub struct Write<'a> {
    /// The API group of the resource.
    pub group: &'a str,
    /// The resource's plural name.
    pub resource: &'a str,
    /// Who writes.
    pub user: &'a str,
    /// The object as it is to be stored.
    pub object: &'a Value,
    /// The object as it stands; none if it is created.
    pub before: Option<&'a Value>,
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
    pub fn review(&self, write: &Write<'_>) -> Option<json_patch::Patch> {
        if !write.object["metadata"]["deletionTimestamp"].is_null() {
            return None;
        }
        match Self::rule(write)? {
            Rule::Target => self.target(write),
            Rule::HostedCluster => self.hosted_cluster(write),
        }
    }

    /// Our env var and our argument, as the annotations remember them, in a write that changes the pod template anyway.
    ///
    /// A write that leaves the template alone restarts nothing and must not begin to: annotations that the manager writes
    /// ahead of the change (see [`super::plan::TargetPlan::announce`]) are one.
    fn target(&self, write: &Write<'_>) -> Option<json_patch::Patch> {
        let template = &write.object["spec"]["template"];
        if write.before.is_some_and(|before| before["spec"]["template"] == *template) {
            return None;
        }
        let name = write.object["metadata"]["name"].as_str()?;
        let spec = self.targets.iter().find(|spec| spec.deployment == name)?;
        let target = ObservedTarget::read(write.object, spec);
        let container = target.container.as_ref()?;
        let mut patch = PatchBuilder::new(&target, container);
        if let Some(overrides) = target.overrides.as_deref().filter(|overrides| lacks(container, overrides)) {
            patch.append_env(overrides);
        }
        if let Some(value) = target.argument.as_deref()
            && argument::ours(&target, container).is_none()
        {
            patch.append_argument(argument::form(spec, container), value);
        }
        patch.unguarded()
    }

    /// The reference to the mirrors, in an update by somebody whose types do not have the field.
    fn hosted_cluster(&self, write: &Write<'_>) -> Option<json_patch::Patch> {
        if !self.field_unaware_users.contains(write.user) {
            return None;
        }
        let field = names::IMAGE_MIRROR_CONFIG_REF_FIELD;
        let lost = write.before?["spec"].get(field).filter(|value| !value.is_null())?;
        let spec = write.object["spec"].as_object()?;
        if spec.get(field).is_some_and(|value| !value.is_null()) {
            return None;
        }
        let patch = json!([{"op": "add", "path": format!("/spec/{field}"), "value": lost}]);
        serde_json::from_value(patch).ok()
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
