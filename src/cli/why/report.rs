//! What was found about a pod, for people and for programs.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::Serialize;

use super::super::answer::UNKNOWN;
use super::super::console::{BAD, GOOD, HEADING, WARNING, styled};
use super::super::hops::{Proof, ProvenEndpoint};
use super::cause::{Cause, Shown};
use super::pod::{ContainerKind, PullState};
use crate::printable;
use crate::registry::coverage::matrix::Verdict;

/// A place from which the node pulls an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Hop {
    /// The image as it is asked for there.
    pub reference: String,
    /// Whether certificates are not verified there.
    pub insecure: bool,
    /// The object or file that declares the place; absent for the source of an image without mirrors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub declared_by: Option<String>,
    /// The Secret with which it was asked; absent if without credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<String>,
    /// What it answered.
    pub proof: Proof,
}

impl Hop {
    /// Of a place that was asked.
    pub fn new(hop: &ProvenEndpoint, shown: &Shown) -> Self {
        Self {
            reference: hop.endpoint.reference.clone(),
            insecure: hop.endpoint.insecure,
            declared_by: hop.endpoint.origin.as_ref().map(super::origin),
            credentials: shown.secret.clone(),
            proof: hop.proof.clone(),
        }
    }
}

/// A container of the pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContainerReport {
    /// Its name.
    pub name: String,
    /// Its list in the pod.
    pub kind: ContainerKind,
    /// Its image as the pod has it.
    pub image: String,
    /// How far the kubelet is.
    pub pull: PullState,
    /// The places from which the node pulls it, in order.
    pub hops: Vec<Hop>,
    /// Why none of them is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What follows from the answers.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Why it cannot be pulled.
    pub causes: Vec<Cause>,
}

/// Everything about one pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(title = "hypermirror why")]
pub struct WhyReport {
    /// Its name.
    pub pod: String,
    /// Its namespace.
    pub namespace: String,
    /// The hosted cluster in whose guest cluster it is; absent for the management cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hosted_cluster: Option<String>,
    /// Its node; absent if it is not scheduled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Its containers, in the order in which they start.
    pub containers: Vec<ContainerReport>,
}

impl WhyReport {
    /// Exit codes: 0 nothing prevents the pulls, 1 a cause was found, 3 no cause was found or something is unknown.
    pub fn exit_code(&self) -> u8 {
        let causes = || self.containers.iter().flat_map(|container| &container.causes);
        if causes().any(|cause| cause.kind.is_certain()) {
            return 1;
        }
        if causes().next().is_some() || self.node.is_none() { UNKNOWN } else { 0 }
    }

    /// For people.
    pub fn text(&self) -> String {
        let cluster = self.hosted_cluster.as_ref().map(|key| format!(" in the guest cluster of {key}"));
        let node = match &self.node {
            Some(node) => format!("on node {node}"),
            None => "not scheduled: no node has tried to pull its images".to_owned(),
        };
        let title = format!("Pod {}/{}{}, {node}", self.namespace, self.pod, cluster.unwrap_or_default());
        let mut text = styled(HEADING, title) + "\n";
        for container in &self.containers {
            container.write(&mut text);
        }
        text
    }
}

impl ContainerReport {
    fn write(&self, text: &mut String) {
        let kind = match self.kind {
            ContainerKind::Init => "init container",
            ContainerKind::Container => "container",
            ContainerKind::Ephemeral => "ephemeral container",
        };
        let state = match &self.pull {
            PullState::Pulled => styled(GOOD, "the node has the image"),
            PullState::NotTried => styled(WARNING, "not pulled yet"),
            PullState::Failing { waiting_reason, .. } => styled(BAD, waiting_reason),
        };
        let _ = writeln!(text, "\n{kind} {}: {state}", printable::line(&self.name));
        if let PullState::Failing { waiting_message, .. } = &self.pull
            && !waiting_message.is_empty()
        {
            let _ = writeln!(text, "  kubelet: {}", printable::line(waiting_message));
        }
        let _ = writeln!(text, "  {}", printable::line(&self.image));
        for (place, hop) in self.hops.iter().enumerate() {
            hop.write(place + 1, text);
        }
        for cause in &self.causes {
            let hop = cause.hop.map(|hop| format!(" (place {hop})")).unwrap_or_default();
            let _ = writeln!(text, "  {}{hop}: {}", styled(BAD, "cause"), printable::line(&cause.message));
            for (place, cure) in cause.cures.iter().enumerate() {
                let word = if place == 0 { "cure" } else { "  or" };
                let _ = writeln!(text, "    {word}: {}", printable::line(cure));
            }
        }
    }
}

impl Hop {
    fn write(&self, place: usize, text: &mut String) {
        let by = self.declared_by.as_ref().map(|by| format!("   {}", printable::line(by))).unwrap_or_default();
        let _ = writeln!(text, "  {place}. {}{by}", printable::line(&self.reference));
        for line in self.proof.lines() {
            let _ = writeln!(text, "     {line}");
        }
        if let Some(secret) = &self.credentials {
            let _ = writeln!(text, "     asked with {}", printable::line(secret));
        }
    }
}
