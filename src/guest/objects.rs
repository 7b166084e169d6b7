//! The objects that are applied in a guest cluster, as JSON values. Equal inputs result in equal objects. Pure.

mod agent;
mod identity;
mod sets;

use hypermirror_api::names::MANAGED_LABEL;
use hypermirror_api::{NodeMirrorSet, NodeMirrorStatus};
use kube::CustomResourceExt as _;
use serde_json::{Value, json};

pub use agent::{AgentPorts, AgentSpec, daemon_set};
pub use sets::{SetInput, mirror_objects, node_mirror_sets};

use crate::mirrors::MirrorEntry;

/// The namespace of the agent.
pub const NAMESPACE: &str = "hypermirror-system";
/// The name of the agent's objects.
pub const AGENT: &str = "hypermirror-agent";

/// Optional kinds in a guest cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "the kinds are independent of each other")]
pub struct GuestKinds {
    /// `ImageDigestMirrorSet`, `config.openshift.io/v1`.
    pub digest_mirror_sets: bool,
    /// `ImageTagMirrorSet`, `config.openshift.io/v1`.
    pub tag_mirror_sets: bool,
    /// `ImageContentSourcePolicy`, `operator.openshift.io/v1alpha1`.
    pub content_source_policies: bool,
    /// `SecurityContextConstraints`, `security.openshift.io/v1`.
    pub security_context_constraints: bool,
    /// `ValidatingAdmissionPolicy`, `admissionregistration.k8s.io/v1`.
    pub admission_policies: bool,
}

impl GuestKinds {
    /// The kinds of OpenShift.
    pub const OPENSHIFT: Self = Self {
        digest_mirror_sets: true,
        tag_mirror_sets: true,
        content_source_policies: true,
        security_context_constraints: true,
        admission_policies: true,
    };
}

/// The inputs of a guest cluster's objects.
#[derive(Clone, Debug)]
pub struct GuestInput<'a> {
    /// The hosted-cluster layer, valid for nodes.
    pub entries: &'a [MirrorEntry],
    /// The node pools.
    pub pools: &'a [SetInput],
    /// The agent, unless it is installed by other means.
    pub agent: Option<&'a AgentSpec>,
    /// The optional kinds that are served.
    pub kinds: GuestKinds,
}

/// The objects of a guest cluster, in the order in which they are applied.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GuestObjects {
    /// The CRDs of the sets and statuses.
    pub crds: Vec<Value>,
    /// The agent's namespace and permissions.
    pub foundations: Vec<Value>,
    /// The mirrors.
    pub sets: Vec<Value>,
    /// The agent itself.
    pub workloads: Vec<Value>,
}

impl GuestObjects {
    /// Creates the objects.
    pub fn new(input: &GuestInput<'_>) -> Self {
        let mut foundations = Vec::new();
        let mut workloads = Vec::new();
        if let Some(agent) = input.agent {
            foundations.extend(identity::objects(agent, input.kinds));
            workloads.push(daemon_set(agent));
        } else if input.kinds.admission_policies {
            foundations.extend(identity::admission());
        }
        let mut sets = node_mirror_sets(input.entries, input.pools);
        sets.extend(mirror_objects(input.entries, input.kinds));
        Self { crds: crds(), foundations, sets, workloads }
    }

    /// All objects, in order.
    pub fn all(&self) -> impl Iterator<Item = &Value> {
        self.crds.iter().chain(&self.foundations).chain(&self.sets).chain(&self.workloads)
    }
}

/// The CRDs for guest clusters.
pub fn crds() -> Vec<Value> {
    let crds = [NodeMirrorSet::crd(), NodeMirrorStatus::crd()];
    let values = crds.into_iter().map(|crd| {
        let mut crd = serde_json::to_value(crd).unwrap_or_default();
        crd["metadata"]["labels"] = labels();
        crd
    });
    values.collect()
}

/// The labels of all objects.
fn labels() -> Value {
    json!({
        MANAGED_LABEL: "true",
        "app.kubernetes.io/name": "hypermirror",
        "app.kubernetes.io/component": "agent",
        "app.kubernetes.io/managed-by": "hypermirror",
    })
}

#[cfg(test)]
mod tests;
