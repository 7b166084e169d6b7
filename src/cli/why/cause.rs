//! Why an image cannot be pulled, and what cures it. Pure.

use schemars::JsonSchema;
use serde::Serialize;

use super::super::hops::{ProvenEndpoint, ProvenImage, State};
use super::pod::{NEVER_PULLED, PullState, SIGNATURE_REFUSED};
use crate::mirrors::ImageReference;
use crate::registry::coverage::matrix::Verdict;
use crate::registry::error::Reason;

/// The kind of a cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub enum CauseKind {
    /// The name of the image is invalid, or becomes invalid at a mirror.
    InvalidImage,
    /// `imagePullPolicy` is Never, and the node does not have the image.
    NeverPulled,
    /// No place has the image.
    ImageMissing,
    /// No mirror has the image, and its source may not be contacted.
    SourceBlocked,
    /// The first place that has the image lacks a part of it.
    IncompleteMirror,
    /// The node's signature policy does not accept the image.
    SignatureRefused,
    /// A registry refuses the credentials, or there are none for it.
    Unauthorized,
    /// The certificate of a registry is not trusted.
    UntrustedCertificate,
    /// The node has not applied the mirrors that are declared for it.
    MirrorsNotApplied,
    /// A registry cannot be judged from here: unreachable, broken, limited.
    RegistryUnavailable,
    /// A Secret of the pod's `imagePullSecrets` cannot be used.
    PullSecretUnusable,
    /// Everything answers from here.
    NotReproduced,
}

impl CauseKind {
    /// Whether it is a cause, and not only what is not known.
    pub const fn is_certain(self) -> bool {
        !matches!(self, Self::RegistryUnavailable | Self::NotReproduced)
    }
}

/// A cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cause {
    /// Its kind.
    pub kind: CauseKind,
    /// Which of the places fails, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hop: Option<usize>,
    /// The cause.
    pub message: String,
    /// What cures it: each is enough.
    pub cures: Vec<String>,
}

/// Who pulls, as far as it decides what cures a failure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// The hosted cluster, if the pod is in its guest cluster.
    pub hosted_cluster: Option<String>,
    /// The namespace of the pod.
    pub namespace: String,
    /// The name of the node.
    pub node: String,
    /// Why the node's mirrors are not in force.
    pub mirrors_behind: Option<String>,
    /// Secrets of the pod that cannot be used, and why.
    pub unusable_secrets: Vec<(String, String)>,
}

/// What a place was asked with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// The Secret with the credentials, if there are any.
    pub secret: Option<String>,
    /// A Secret of the pod with credentials for this place that nodes do not show to it, because it is a mirror.
    pub withheld: Option<String>,
}

/// Why the image of a container cannot be pulled. `shown` has one for each place.
pub fn causes(pull: &PullState, image: &ProvenImage, shown: &[Shown], around: &Surroundings) -> Vec<Cause> {
    if *pull == PullState::Pulled {
        return Vec::new();
    }
    if matches!(pull, PullState::Failing { waiting_reason, .. } if waiting_reason == NEVER_PULLED) {
        let message = format!("imagePullPolicy is Never, and node {} does not have the image", around.node);
        let cures = vec!["set imagePullPolicy to IfNotPresent".to_owned()];
        return vec![Cause { kind: CauseKind::NeverPulled, hop: None, message, cures }];
    }
    let is_failing = matches!(pull, PullState::Failing { .. });
    let mut found = Vec::new();
    if let Some(error) = &image.error {
        let message = format!("the pull fails before any registry is asked: {error}");
        let cures = vec!["correct the name of the image, or the mirror that rewrites it".to_owned()];
        return vec![Cause { kind: CauseKind::InvalidImage, hop: None, message, cures }];
    }
    match &image.verdict {
        Verdict::Held { .. } => {}
        Verdict::Missing { .. } => found.push(missing(image, around)),
        Verdict::Unknown { reference, .. } => found.extend(unknown(image, reference, shown, around)),
    }
    if let Some(why) = &around.mirrors_behind {
        found.push(behind(why, around));
    }
    if let PullState::Failing { waiting_reason, waiting_message } = pull
        && waiting_reason == SIGNATURE_REFUSED
    {
        found.push(signature(waiting_message, around));
    }
    if is_failing {
        found.extend(around.unusable_secrets.iter().map(|(name, why)| unusable(name, why, around)));
    }
    if found.is_empty() && is_failing {
        found.push(not_reproduced(around));
    }
    found
}

fn hop_of(image: &ProvenImage, wanted: impl Fn(&ProvenEndpoint) -> bool) -> Option<(usize, &ProvenEndpoint)> {
    image.endpoints.iter().enumerate().find(|(_, hop)| wanted(hop)).map(|(place, hop)| (place + 1, hop))
}

/// No place has it, or the first that has it lacks a part.
fn missing(image: &ProvenImage, around: &Surroundings) -> Cause {
    let fill = fill(image, around);
    if let Some((place, hop)) = hop_of(image, |hop| hop.proof.is_first && hop.proof.state == State::Incomplete) {
        let parts: Vec<String> = hop.proof.lacking.iter().map(ToString::to_string).collect();
        let message = format!("{} has the manifest, and lacks a part: {}", hop.endpoint.reference, parts.join("; "));
        return Cause { kind: CauseKind::IncompleteMirror, hop: Some(place), message, cures: fill };
    }
    let last = image.endpoints.len();
    let Some(source) = image.endpoints.last() else {
        let message = "there is no place to pull it from".to_owned();
        return Cause { kind: CauseKind::ImageMissing, hop: None, message, cures: Vec::new() };
    };
    if source.proof.state == State::Blocked {
        let by = source.endpoint.origin.as_ref().map(super::origin).unwrap_or_default();
        let message = if last == 1 {
            format!("{} is blocked by {by}, and it has no mirror", source.endpoint.reference)
        } else {
            format!("no mirror has it, and {} is never contacted because of {by}", source.endpoint.reference)
        };
        let mut cures = fill;
        cures.push(format!("allow the source: set mirrorSourcePolicy to AllowContactingSource in {by}"));
        return Cause { kind: CauseKind::SourceBlocked, hop: Some(last), message, cures };
    }
    let message = format!("none of the {last} places has {}", image.image);
    let cures =
        vec![format!("correct the name, the tag or the digest, or push the image to {}", source.endpoint.reference)];
    Cause { kind: CauseKind::ImageMissing, hop: Some(last), message, cures }
}

/// Commands that copy the image to the first mirror that may be asked.
fn fill(image: &ProvenImage, around: &Surroundings) -> Vec<String> {
    let Some((source, mirrors)) = image.endpoints.split_last() else { return Vec::new() };
    let lacks = |hop: &&ProvenEndpoint| matches!(hop.proof.state, State::Incomplete | State::Absent);
    let incomplete = mirrors.iter().find(|hop| hop.proof.state == State::Incomplete);
    let Some(mirror) = incomplete.or_else(|| mirrors.iter().find(lacks)) else { return Vec::new() };
    let (from, to) =
        (ImageReference::parse(&source.endpoint.reference), ImageReference::parse(&mirror.endpoint.reference));
    let (Ok(from), Ok(to)) = (from, to) else { return Vec::new() };
    // A copy by digest is found by its digest; the tag that keeps it is chosen by the command.
    let tag = to.tag.as_ref().filter(|_| to.digest.is_none()).map(|tag| format!(":{tag}")).unwrap_or_default();
    let mut cures = vec![format!("hypermirror copy {from} {}{tag} --thorough", to.name())];
    if let Some(cluster) = &around.hosted_cluster {
        cures.push(format!("hypermirror coverage --hosted-cluster {cluster} --image {from} --fill"));
    }
    cures
}

/// The first place that may have it cannot be judged.
fn unknown(image: &ProvenImage, reference: &str, shown: &[Shown], around: &Surroundings) -> Option<Cause> {
    let (place, hop) = hop_of(image, |hop| hop.endpoint.reference == reference)?;
    let registry = ImageReference::parse(reference).map_or_else(|_| reference.to_owned(), |image| image.registry);
    let message = hop.proof.message.clone().unwrap_or_default();
    let shown = shown.get(place - 1).cloned().unwrap_or_default();
    let cause = |kind, message, cures| Some(Cause { kind, hop: Some(place), message, cures });
    match hop.proof.reason {
        Some(Reason::Unauthorized | Reason::Forbidden) => {
            let is_source = place == image.endpoints.len();
            let (text, cures) = credentials(&registry, &shown, is_source, around);
            cause(CauseKind::Unauthorized, format!("{text}: {message}"), cures)
        }
        Some(Reason::Unreachable) if message.contains("TLS") => {
            let cures = vec![authorities(around), format!("for a registry without TLS: mark {registry} as insecure")];
            cause(CauseKind::UntrustedCertificate, message, cures)
        }
        Some(Reason::Throttled) => {
            let cures = vec![
                format!("give the pull credentials with a higher limit at {registry}"),
                format!("mirror {registry}"),
                "wait".to_owned(),
            ];
            cause(CauseKind::RegistryUnavailable, message, cures)
        }
        _ => {
            let cures =
                vec![format!("make {registry} reachable from node {}; this command asked from here", around.node)];
            cause(CauseKind::RegistryUnavailable, message, cures)
        }
    }
}

/// Which credentials a registry refused, and where better ones belong.
fn credentials(registry: &str, shown: &Shown, is_source: bool, around: &Surroundings) -> (String, Vec<String>) {
    let text = match (&shown.secret, &shown.withheld) {
        (Some(secret), _) => format!("{registry} refuses the credentials of {secret}"),
        (None, Some(withheld)) => {
            format!(
                "{registry} is a mirror, and nodes do not show it the credentials of {withheld}, which belong to the pod"
            )
        }
        (None, None) => format!("{registry} wants credentials, and neither the node nor the pod has any for it"),
    };
    let of_nodes = match &around.hosted_cluster {
        Some(cluster) => format!("add {registry} to the pull secret of HostedCluster {cluster} (spec.pullSecret)"),
        None => format!("add {registry} to the pull secret of the nodes (openshift-config/pull-secret)"),
    };
    let mut cures = vec![of_nodes];
    if is_source {
        cures.push(format!(
            "kubectl create secret docker-registry NAME -n {} --docker-server={registry}, and name it in imagePullSecrets",
            around.namespace
        ));
    }
    (text, cures)
}

fn authorities(around: &Surroundings) -> String {
    match &around.hosted_cluster {
        Some(cluster) => {
            format!("add the registry's authority to spec.additionalTrustBundle of HostedCluster {cluster}")
        }
        None => "add the registry's authority to additionalTrustedCA of image.config.openshift.io/cluster".to_owned(),
    }
}

fn behind(why: &str, around: &Surroundings) -> Cause {
    let message = format!("node {} has not applied its mirrors: {why}", around.node);
    let cures = vec!["check the agent's pod on this node, and `hypermirror status`".to_owned()];
    Cause { kind: CauseKind::MirrorsNotApplied, hop: None, message, cures }
}

fn unusable(name: &str, why: &str, around: &Surroundings) -> Cause {
    let message = format!("Secret {}/{name} in imagePullSecrets cannot be used: {why}", around.namespace);
    let cures =
        vec![format!("create Secret {name} of type kubernetes.io/dockerconfigjson in namespace {}", around.namespace)];
    Cause { kind: CauseKind::PullSecretUnusable, hop: None, message, cures }
}

fn signature(message: &str, around: &Surroundings) -> Cause {
    let message = format!("the signature policy of node {} does not accept the image: {message}", around.node);
    let cures = vec!["sign the image, or correct the ClusterImagePolicy or ImagePolicy in force".to_owned()];
    Cause { kind: CauseKind::SignatureRefused, hop: None, message, cures }
}

fn not_reproduced(around: &Surroundings) -> Cause {
    let message = format!(
        "every place that node {} asks has the image and answers from here; the kubelet may not have tried again yet (at most 5 min)",
        around.node
    );
    let cures = vec![
        "wait, or delete the pod, which starts a new pull".to_owned(),
        format!("compare network, proxy, certificate authorities and registries.conf of node {}", around.node),
    ];
    Cause { kind: CauseKind::NotReproduced, hop: None, message, cures }
}

#[cfg(test)]
mod tests;
