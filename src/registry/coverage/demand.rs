//! Demands from what `crate::mirrors` answers about a pull. Pure.

use std::collections::BTreeSet;

use hypermirror_api::annotations;
use hypermirror_api::hypershift::HostedCluster;
use kube::ResourceExt as _;

use super::super::credentials::CredentialId;
use super::matrix::{Demand, Endpoint, Level, Question, TrustId};
use super::needs::{Consumer, Need};
use crate::mirrors::hypershift::{self, ControlPlaneExplanation};
use crate::mirrors::registries::{
    self, DROP_IN, EndpointOrigin, Explanation, RegistriesConfig, attribute, explain_name,
};
use crate::mirrors::signature_policy::{SignaturePolicy, demand_signature};
use crate::mirrors::{ImageReference, Resolved};

/// Where nodes pull images from.
#[derive(Clone, Debug, Default)]
pub struct NodeRules {
    /// All files of the node.
    pub config: RegistriesConfig,
    /// Whether no file of the node is missing, so that what is in none of them is not there.
    pub is_whole: bool,
    /// What our file on the node was written from, and the node's other files.
    pub own: Option<(Resolved, RegistriesConfig)>,
}

impl NodeRules {
    /// The endpoints of an image, in order, with the objects that declare them.
    pub fn explain(&self, image: &str) -> Explanation {
        let one = |name: &str| {
            let mut explanation = registries::explain(&self.config, name);
            if let Some((set, foreign)) = &self.own {
                attribute(&mut explanation, DROP_IN, set, foreign);
            }
            explanation
        };
        explain_name(&self.config, image, self.is_whole, one)
    }
}

/// The rules by which a consumer resolves images.
#[derive(Clone, Debug)]
pub enum Rules {
    /// Of a node.
    Node(Box<NodeRules>),
    /// Of HyperShift's operators: the override map.
    LookUps(Resolved),
}

/// Somebody who pulls images.
#[derive(Clone, Debug)]
pub struct Puller {
    /// The hosted cluster, `namespace/name`. Empty if there is none.
    pub cluster: String,
    /// Who.
    pub consumer: Consumer,
    /// How it resolves images.
    pub rules: Rules,
    /// The policies in force where it runs.
    pub policies: Vec<SignaturePolicy>,
}

/// A pull that is planned and not asked about yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pull {
    /// The image as it is declared.
    pub image: String,
    /// What it is a part of, for people: `release 4.19.1`.
    pub group: String,
    /// Its name in that.
    pub name: String,
    /// The hosted cluster of whoever pulls it.
    pub cluster: String,
    /// Who pulls it, for people.
    pub consumer: String,
    /// From where, in order.
    pub endpoints: Vec<registries::Endpoint>,
    /// Why it fails before any of them is asked.
    pub error: Option<String>,
    /// Whether the endpoints before the last one have no order.
    pub is_unordered: bool,
    /// Whether a signature is demanded.
    pub is_signed: bool,
}

/// What a consumer shows a registry and whom it believes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Its credential for a repository.
    pub credential: CredentialId,
    /// Its authorities.
    pub trust: TrustId,
}

impl Puller {
    /// The pulls of needs that are its own.
    pub fn pulls(&self, needs: &[Need]) -> Vec<Pull> {
        needs.iter().filter(|need| need.consumers.contains(&self.consumer)).map(|need| self.pull(need)).collect()
    }

    fn pull(&self, need: &Need) -> Pull {
        let mut pull = Pull {
            image: need.image.clone(),
            group: need.group.clone(),
            name: need.name.clone(),
            cluster: self.cluster.clone(),
            consumer: self.consumer.name().to_owned(),
            endpoints: Vec::new(),
            error: None,
            is_unordered: false,
            is_signed: false,
        };
        match &self.rules {
            Rules::Node(rules) => {
                let Explanation { endpoints, error, .. } = rules.explain(&need.image);
                (pull.endpoints, pull.error) = (endpoints, error);
                pull.is_signed = demand_signature(&self.policies, &need.image);
            }
            Rules::LookUps(map) => pull.look_up(need, hypershift::explain(map, &need.image)),
        }
        pull
    }
}

impl Pull {
    /// Look-ups of HyperShift's operators verify no signatures.
    fn look_up(&mut self, need: &Need, explanation: ControlPlaneExplanation) {
        let plain =
            |reference: String| registries::Endpoint { reference, insecure: false, blocked: false, origin: None };
        self.endpoints = if need.is_release {
            // A source is replaced wherever it is in the text: no entry alone declares the result.
            explanation.release.into_iter().map(plain).collect()
        } else {
            explanation.endpoints
        };
        self.error = explanation.error;
        self.is_unordered = explanation.unordered && self.endpoints.len() > 2;
    }

    /// What has to be asked for it. `shown` finds what the consumer shows the registry of a reference.
    ///
    /// A pull that fails before any place is asked, such as one whose rewritten name is no reference, demands nothing that could
    /// be held: it is missing, with the reason.
    pub fn demand(&self, closeness: &Closeness, shown: impl Fn(&str) -> Shown) -> Demand {
        let endpoint = |endpoint: &registries::Endpoint| {
            let Shown { credential, trust } = shown(&endpoint.reference);
            Endpoint {
                question: Question {
                    reference: endpoint.reference.clone(),
                    credential,
                    trust,
                    level: closeness.of(&endpoint.reference),
                    is_insecure: endpoint.insecure,
                },
                is_blocked: endpoint.blocked,
                origin: endpoint.origin.as_ref().map(origin).unwrap_or_default(),
            }
        };
        Demand {
            image: self.image.clone(),
            group: self.group.clone(),
            name: self.name.clone(),
            cluster: self.cluster.clone(),
            consumer: self.consumer.clone(),
            endpoints: self.endpoints.iter().map(endpoint).collect(),
            error: self.error.clone(),
            is_unordered: self.is_unordered,
            is_signed: self.is_signed,
        }
    }
}

/// How closely places are looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Closeness {
    /// Of registries that hold what was pushed to them.
    pub level: Level,
    /// Registries, `host[:port]`, that fetch what they are asked for from elsewhere: each question may cost them a download, and
    /// a blob that they lack may come when a node asks. They are asked for the manifest alone.
    pub pull_through: BTreeSet<String>,
}

impl Closeness {
    /// With the pull-through registries that somebody names, and those in the annotation of a hosted cluster.
    pub fn new(level: Level, pull_through: &[String], cluster: Option<&HostedCluster>) -> Self {
        let annotated = cluster.and_then(|cluster| cluster.annotations().get(annotations::PULL_THROUGH));
        let annotated = annotated.into_iter().flat_map(|hosts| hosts.split(',')).map(str::trim);
        let hosts = pull_through.iter().map(String::as_str).chain(annotated).filter(|host| !host.is_empty());
        Self { level, pull_through: hosts.map(str::to_ascii_lowercase).collect() }
    }

    fn of(&self, reference: &str) -> Level {
        let registry = ImageReference::parse(reference).map(|image| image.registry.to_ascii_lowercase());
        let is_light = registry.is_ok_and(|registry| self.pull_through.contains(&registry));
        if is_light { Level::L0 } else { self.level }
    }
}

fn origin(origin: &EndpointOrigin) -> String {
    match origin {
        EndpointOrigin::File { file } => file.clone(),
        EndpointOrigin::Object(origin) => origin.to_string(),
    }
}

#[cfg(test)]
mod tests;
