use hypermirror_api::hypershift::{
    HostedClusterSpec, ImageContentSource, LocalObjectReference, NodePool, NodePoolSpec,
};
use hypermirror_api::{Reason, annotations};
use kube::ResourceExt as _;

use super::*;
use crate::hosted::limits::{CLUSTER_MIRRORS, NAMESPACE_MIRRORS};
use crate::hosted::mirror_config;
use crate::hosted::pool_config::KEY;
use crate::management::index::config_maps::ConfigMapState;
use crate::management::index::guests::SeenPool;

fn cluster(name: &str, config_map: &str) -> HostedCluster {
    let reference = Some(LocalObjectReference { name: config_map.to_owned() });
    let mut cluster = HostedCluster::new(
        name,
        HostedClusterSpec { image_mirror_config_ref: reference, ..HostedClusterSpec::default() },
    );
    cluster.metadata.namespace = Some("clusters".to_owned());
    cluster.metadata.uid = Some(name.to_owned());
    cluster.metadata.generation = Some(1);
    cluster.annotations_mut().insert(annotations::MANAGEMENT_MIRRORS.to_owned(), "Ignore".to_owned());
    cluster
}

fn set(mirrors: usize) -> String {
    let entries: Vec<String> =
        (0..mirrors).map(|n| format!("  - {{source: s.io/{n}, mirrors: [m.io/{n}]}}\n")).collect();
    let list = if entries.is_empty() { " []".to_owned() } else { format!("\n{}", entries.concat()) };
    format!("apiVersion: config.openshift.io/v1\nkind: ImageDigestMirrorSet\nspec:\n  imageDigestMirrors:{list}\n")
}

struct Stage {
    index: Index,
    versions: usize,
}

impl Stage {
    fn new(clusters: &[(&str, &str)]) -> Self {
        let mut index = Index::new(1);
        let clusters: Vec<_> = clusters.iter().map(|(name, config_map)| cluster(name, config_map)).collect();
        index.replace_clusters(clusters, &BTreeSet::new());
        index.config_maps.replace("clusters", Vec::new());
        Self { index, versions: 0 }
    }

    fn load(&mut self, name: &str, text: &str) {
        self.load_as(mirror_config::KEY_NAMES[0], name, text);
    }

    fn load_as(&mut self, key: &str, name: &str, text: &str) {
        self.versions += 1;
        let version = self.versions.to_string();
        let data = [(key.to_owned(), text.to_owned())].into();
        let content = LoadedConfigMap::read("clusters", name, version, &data);
        let before = self.index.config_maps.version("clusters", name);
        self.index.load_config_map(content, before.as_deref());
    }

    fn resolve(&mut self, name: &str) -> Sources {
        let key = key(name);
        let declaration = self.index.declaration(&key).unwrap();
        let sources = declaration.resolve();
        self.index.keep_in_force(&key, &declaration, &sources);
        sources
    }

    fn wants_none(&self, name: &str) -> bool {
        let members = self.index.members(&kube::core::Selector::default(), jiff::Timestamp::UNIX_EPOCH);
        members.into_iter().find(|member| member.key == format!("clusters/{name}")).unwrap().wants_none
    }
}

fn key(name: &str) -> ClusterKey {
    ClusterKey { namespace: "clusters".to_owned(), name: name.to_owned() }
}

fn reasons(problems: &[SourceTrouble]) -> Vec<Reason> {
    problems.iter().map(|trouble| trouble.reason).collect()
}

#[test]
fn thirty_hosted_clusters_share_the_entries_of_one_config_map() {
    let names: Vec<String> = (0..30).map(|n| format!("a{n}")).collect();
    let clusters: Vec<_> = names.iter().map(|name| (name.as_str(), "mirrors")).collect();
    let mut stage = Stage::new(&clusters);
    stage.load("mirrors", &set(100));
    let entries: Vec<_> = names.iter().map(|name| stage.resolve(name).own.entries.parts()[0].as_ptr()).collect();
    assert!(entries.windows(2).all(|two| two[0] == two[1]));
}

#[test]
fn what_exceeds_the_budget_of_a_hosted_cluster_is_told_and_the_last_good_set_stays() {
    let mut stage = Stage::new(&[("a", "mirrors")]);
    stage.load("mirrors", &set(5));
    assert_eq!(stage.resolve("a").own.entries.len(), 5);
    stage.load("mirrors", &set(CLUSTER_MIRRORS + 1));
    let own = stage.resolve("a").own;
    assert_eq!((own.entries.len(), own.is_lost, reasons(&own.problems)), (5, false, vec![Reason::BudgetExceeded]));
    assert!(own.problems[0].message.starts_with("ConfigMap clusters/mirrors is not used: its 20001 mirrors"));
    assert!(own.problems[0].message.contains("20000"), "{}", own.problems[0].message);
    stage.load("mirrors", &set(CLUSTER_MIRRORS));
    assert_eq!(stage.resolve("a").own.entries.len(), CLUSTER_MIRRORS);
    // After a restart nobody knows the last good set: nothing is taken for removed.
    let mut stage = Stage::new(&[("a", "mirrors")]);
    stage.load("mirrors", &set(CLUSTER_MIRRORS + 1));
    assert!(stage.resolve("a").own.is_lost);
    assert!(!stage.wants_none("a"));
}

#[test]
fn the_own_list_of_a_hosted_cluster_is_held_to_its_budget_too() {
    let source = |n: usize| ImageContentSource { source: format!("s.io/{n}"), mirrors: vec!["m.io".to_owned()] };
    let mut large = cluster("a", "");
    large.spec.image_content_sources = (0..=CLUSTER_MIRRORS).map(source).collect();
    let mut index = Index::new(1);
    index.replace_clusters(vec![large], &BTreeSet::new());
    let own = index.declaration(&key("a")).unwrap().resolve().own;
    assert_eq!((own.entries.len(), own.is_lost, reasons(&own.problems)), (0, true, vec![Reason::BudgetExceeded]));
}

#[test]
fn each_node_pool_counts_and_those_that_fit_are_used() {
    let mut stage = Stage::new(&[("a", "")]);
    let pool = |name: &str, config_map: &str| {
        let spec = NodePoolSpec { cluster_name: "a".to_owned(), ..NodePoolSpec::default() };
        let mut pool = NodePool::new(name, spec);
        pool.metadata.namespace = Some("clusters".to_owned());
        pool.annotations_mut().insert(annotations::CONFIG.to_owned(), config_map.to_owned());
        pool
    };
    let pools = [pool("p", "large"), pool("q", "large"), pool("r", "small")];
    stage.index.guests.replace_pools(pools.iter().map(SeenPool::from).collect(), &[]);
    stage.load_as(KEY, "large", &set(12_000));
    stage.load_as(KEY, "small", &set(10));
    let sources = stage.resolve("a");
    let of = |name: &str| (sources.pools[name].entries.len(), reasons(&sources.pools[name].problems));
    assert_eq!(of("p"), (12_000, vec![]));
    assert_eq!(of("q"), (0, vec![Reason::BudgetExceeded]));
    assert_eq!(of("r"), (10, vec![]));
    assert!(sources.pools["q"].lost.contains("large"));
    assert_eq!(sources.mirrors(), 12_010);
}

#[test]
fn a_namespace_has_a_budget_and_what_is_remembered_counts_in_it() {
    let names: Vec<String> = (0..=NAMESPACE_MIRRORS / CLUSTER_MIRRORS).map(|n| format!("a{n:02}")).collect();
    let clusters: Vec<_> = names.iter().map(|name| (name.as_str(), name.as_str())).collect();
    let mut stage = Stage::new(&clusters);
    for name in &names {
        stage.load(name, &set(CLUSTER_MIRRORS));
        stage.resolve(name);
    }
    let (last, others) = names.split_last().unwrap();
    let refused = stage.resolve(last).own;
    assert_eq!(reasons(&refused.problems), [Reason::BudgetExceeded]);
    assert!(refused.problems[0].message.contains("the ConfigMaps of one namespace"));
    // One that is broken gives nothing back as long as its last good set is in force.
    stage.load(&others[0], "kind: A");
    assert_eq!(stage.resolve(&others[0]).own.entries.len(), CLUSTER_MIRRORS);
    stage.load(last, &set(CLUSTER_MIRRORS));
    assert_eq!(reasons(&stage.resolve(last).own.problems), [Reason::BudgetExceeded]);
    let known = stage.index.config_maps.state("clusters", last);
    let ConfigMapState::Loaded(content) = known else { panic!("it was read") };
    assert!(!stage.index.has_room(&content));
    // One that is smaller does.
    stage.load(&others[0], &set(1));
    stage.resolve(&others[0]);
    assert!(!stage.index.has_room(&content), "19,999 are free");
    stage.load(&others[1], &set(1));
    stage.resolve(&others[1]);
    assert!(stage.index.has_room(&content));
    stage.load(last, &set(CLUSTER_MIRRORS));
    assert_eq!(stage.resolve(last).own.entries.len(), CLUSTER_MIRRORS);
}

#[test]
fn the_gate_knows_of_every_hosted_cluster_whether_its_map_is_empty() {
    let mut stage = Stage::new(&[("a", "mirrors"), ("b", "mirrors")]);
    assert!(!stage.wants_none("a"), "nobody knows yet whether there is one");
    stage.load("mirrors", &set(3));
    assert!(!stage.wants_none("a"));
    stage.load("mirrors", &set(0));
    assert!(stage.wants_none("a") && stage.wants_none("b"), "before anybody looked at them");
    stage.load("mirrors", &set(1).replace("s.io/0", "no source"));
    assert!(stage.wants_none("a"), "its only entry is left out");
    stage.load("mirrors", &set(3));
    stage.resolve("a");
    stage.load("mirrors", "kind: A");
    assert!(!stage.wants_none("a"), "the last good set is in force");
    assert!(!stage.wants_none("b"), "nobody knows what it said");
}
