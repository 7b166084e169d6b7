//! Who pulls images for a hosted cluster, and from where: the same rules as the manager and the agents. Pure.

use hypermirror_api::ClusterKey;
use hypermirror_api::hypershift::HostedCluster;
use jiff::Timestamp;
use kube::ResourceExt as _;

use super::super::input::Input;
use crate::guest::node_rules::node_rules;
use crate::hosted::delivery::Delivery;
use crate::hosted::guest::node_entries;
use crate::hosted::pool_config::PoolSources;
use crate::hosted::settings::settings;
use crate::hosted::sources::{ManagementLayer, OwnSources, cluster_map};
use crate::mirrors::registries::{Endpoint, EndpointOrigin};
use crate::mirrors::{Resolved, hypershift};
use crate::registry::coverage::demand::{NodeRules, Rules};
use crate::registry::coverage::needs::Consumer;

/// A consumer, and the rules by which it resolves images, or why they are not known.
pub struct Puller {
    pub consumer: Consumer,
    pub rules: Result<Rules, String>,
}

/// Where a consumer pulls an image from.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// Who.
    pub consumer: String,
    /// The source or prefix whose mirrors come first.
    pub prefix: Option<String>,
    /// In the order in which they are tried.
    pub endpoints: Vec<Endpoint>,
    /// Why none of them is tried.
    pub error: Option<String>,
    /// What else to know.
    pub notes: Vec<String>,
}

/// The override map of a control plane, as it is declared.
///
/// # Errors
/// Why a part of it is not known.
pub fn override_map(input: &Input, cluster: &HostedCluster) -> Result<Resolved, String> {
    map_of(input, cluster, &input.own_sources(cluster))
}

fn map_of(input: &Input, cluster: &HostedCluster, own: &OwnSources) -> Result<Resolved, String> {
    if own.is_lost {
        let causes: Vec<&str> = own.problems.iter().map(|trouble| trouble.message.as_str()).collect();
        return Err(causes.join("; "));
    }
    let (settings, _) = settings(cluster, Timestamp::UNIX_EPOCH);
    let management = ManagementLayer::new(&input.mirror_entries());
    Ok(cluster_map(&management, own, settings.use_management).map.resolved.clone())
}

/// The consumers of a hosted cluster: look-ups, pods of the control plane, the nodes of each NodePool.
pub fn of_cluster(input: &Input, cluster: &HostedCluster) -> Vec<Puller> {
    let own = input.own_sources(cluster);
    let map = map_of(input, cluster, &own);
    let lost = map.as_ref().err().cloned();
    let pods = NodeRules::of_management(&input.mirror_entries()).map_err(|error| error.to_string());
    let (entries, _) = node_entries(own.entries.iter());
    let delivery = Delivery::of(cluster);
    let nodes = |name: Option<&String>, delivery, declared: &PoolSources| {
        let lost =
            lost.clone().or_else(|| declared.lost.first().map(|name| format!("ConfigMap {name} cannot be used")));
        let rules = lost.map_or_else(|| node_rules(&entries, name, delivery, declared), Err);
        Puller { consumer: Consumer::Nodes(name.cloned()), rules: rules.map(|rules| Rules::Node(Box::new(rules))) }
    };
    let mut pullers = vec![
        Puller { consumer: Consumer::LookUps, rules: map.map(Rules::LookUps) },
        Puller { consumer: Consumer::Pods, rules: pods.map(|rules| Rules::Node(Box::new(rules))) },
    ];
    let pools = input.pools_of(&ClusterKey::of(cluster));
    for pool in &pools {
        let delivery = Delivery::of_pool(delivery, Delivery::requested(*pool).0);
        pullers.push(nodes(Some(&pool.name_any()), delivery, &input.pool_sources(pool)));
    }
    if pools.is_empty() {
        pullers.push(nodes(None, delivery, &PoolSources::default()));
    }
    pullers
}

/// The nodes that mirror objects without a hosted cluster are for.
pub fn of_nodes(input: &Input) -> Vec<Puller> {
    let entries = input.mirror_sets.iter().chain(&input.node_sets).filter(|object| object.foreign_to_nodes.is_none());
    let rules = NodeRules::of_management(entries.flat_map(|object| &object.entries)).map_err(|error| error.to_string());
    vec![Puller { consumer: Consumer::Nodes(None), rules: rules.map(|rules| Rules::Node(Box::new(rules))) }]
}

impl Puller {
    /// Where this consumer pulls an image from. HyperShift's operators look release images up by other rules.
    pub fn answer(&self, image: &str, is_release: bool) -> Answer {
        let consumer = self.consumer.name().to_owned();
        let empty = Answer { consumer, prefix: None, endpoints: Vec::new(), error: None, notes: Vec::new() };
        match &self.rules {
            Err(why) => Answer { error: Some(why.clone()), ..empty },
            Ok(Rules::Node(rules)) => {
                let found = rules.explain(image);
                Answer { prefix: found.prefix, endpoints: found.endpoints, error: found.error, ..empty }
            }
            Ok(Rules::LookUps(map)) => look_up(map, image, is_release, empty),
        }
    }
}

fn look_up(map: &Resolved, image: &str, is_release: bool, empty: Answer) -> Answer {
    let found = hypershift::explain(map, image);
    let mut notes: Vec<String> = found
        .skipped
        .iter()
        .map(|skipped| format!("Skips mirror {} of {}: {}", skipped.mirror, skipped.source, skipped.reason))
        .collect();
    if found.unordered {
        notes.push("Several sources match: HyperShift tries their mirrors in no particular order".to_owned());
    }
    let references: Vec<&str> = found.endpoints.iter().map(|endpoint| endpoint.reference.as_str()).collect();
    let differs = references != found.release;
    if differs && !is_release {
        notes.push(format!("If it is a release image: {}", found.release.join(", then ")));
    }
    let endpoints = if differs && is_release {
        // A source is replaced wherever it is in the text: no entry alone declares the result.
        let plain = |reference| Endpoint { reference, insecure: false, blocked: false, origin: None };
        found.release.into_iter().map(plain).collect()
    } else {
        found.endpoints
    };
    Answer { prefix: found.prefix, endpoints, error: found.error, notes, ..empty }
}

/// The object or file that declares an endpoint.
pub fn origin_of(endpoint: &Endpoint) -> String {
    match &endpoint.origin {
        Some(EndpointOrigin::Object(origin)) => origin.to_string(),
        Some(EndpointOrigin::File { file }) => file.clone(),
        None => String::new(),
    }
}
