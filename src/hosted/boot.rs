//! The file that nodes boot with, and the ConfigMap with which stock HyperShift uses it without an edit of the NodePool.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hypermirror_api::{Reason, names};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::condition_state::{ConditionState, SourceTrouble};
use super::delivery::Delivery;
use super::facts::ClusterFacts;
use super::pool_config::{NodeFile, PoolSources, node_files};
use super::proof::held::{HeldSource, HeldSources};
use super::proof::nodes::{NodeSet, Unproven, unproven};
use super::proof::proofs::Proofs;
use super::sources::OwnSources;
use crate::digest::short_digest;
use crate::mirrors::layers::resolve;
use crate::mirrors::registries::{RegistriesConfig, RenderError, render};
use crate::mirrors::{MirrorEntry, Resolved};

/// The file's name, which sorts before that of the agent's file, whose tables replace those of this file.
pub const BOOT_FILE: &str = "40-hypermirror-boot.conf";
/// The directory of drop-ins on nodes.
const DIRECTORY: &str = "/etc/containers/registries.conf.d";
/// Labels of ConfigMaps in a control-plane namespace that stock HyperShift reads
/// (`hypershift-operator/controllers/nodepool/nto.go`; measured on the real operator).
const TUNING_LABEL: &str = "hypershift.openshift.io/nto-generated-machine-config";

/// The ConfigMap's name for a NodePool.
pub fn config_map_name(pool: &str) -> String {
    format!("hypermirror-boot-{pool}")
}

/// The file for the nodes of a NodePool. `None` if there are no mirrors.
///
/// It is merged with the mirrors that stock HyperShift writes to these nodes. It has no origins, because a change of an origin
/// must not replace nodes.
///
/// # Errors
/// [`RenderError`] if nodes would reject the file.
pub fn of_pool(cluster: &OwnSources, pool: &PoolSources) -> Result<Option<String>, RenderError> {
    let of_cluster = cluster.entries.iter().filter(|entry| entry.is_image_content_source());
    let entries = cluster.entries.iter().chain(pool.entries.iter());
    drop_in(entries, of_cluster.chain(pool.stock()), &pool.files)
}

/// The desired boot file of one NodePool.
#[derive(Clone, Debug, PartialEq)]
pub struct BootWish {
    /// The NodePool.
    pub pool: String,
    /// The ConfigMap, `None` if there should be none, or why it is not written.
    pub config_map: Result<Option<Value>, SourceTrouble>,
}

/// The desired boot files of all NodePools that have or may have had one. NodePools whose mirrors cannot be read are omitted, so
/// that their files are not changed.
pub fn wishes(facts: &ClusterFacts, now: Timestamp) -> Vec<BootWish> {
    let proofs = Proofs::of(facts, now);
    let namespace = facts.key.control_plane_namespace();
    let is_by_rollout = |pool: &str| facts.delivery_of_pool(pool).is_some_and(Delivery::is_by_rollout);
    let reported = facts.report.iter().flat_map(|report| &report.boot).map(|boot| &boot.node_pool);
    let delivered = facts.pools.keys().filter(|pool| is_by_rollout(pool));
    let concerned: BTreeSet<&String> = delivered.chain(reported).chain(facts.memory.boots.keys()).collect();
    let nothing = PoolSources::default();
    let wish = |pool: &String| {
        let sources = facts.pool_sources.get(pool).unwrap_or(&nothing);
        let config_map = if facts.leaves() || !is_by_rollout(pool) {
            Ok(None)
        } else if facts.own.is_lost || !sources.lost.is_empty() {
            return None;
        } else {
            of_pool(&facts.own, sources)
                .map(|text| text.map(|text| config_map(&namespace, pool, &text)))
                .map_err(|error| {
                    let message = format!("failed to write the file that nodes boot with: {error}");
                    SourceTrouble { reason: Reason::InvalidEntries, message }
                })
                .and_then(|config_map| proven(facts, &proofs, pool, config_map))
        };
        Some(BootWish { pool: pool.clone(), config_map })
    };
    concerned.into_iter().filter_map(wish).collect()
}

/// The ConfigMap, unless it is new and has sources without a fallback that are not proven. The file is held as a whole, because each
/// of its changes replaces nodes.
fn proven(
    facts: &ClusterFacts,
    proofs: &Proofs<'_>,
    pool: &str,
    wanted: Option<Value>,
) -> Result<Option<Value>, SourceTrouble> {
    let sources = facts.pool_sources.get(pool);
    let of_pool: Vec<MirrorEntry> = sources.iter().flat_map(|sources| sources.entries.iter()).cloned().collect();
    let of_cluster: Vec<MirrorEntry> = facts.own.entries.iter().cloned().collect();
    let entries = [of_cluster, of_pool].concat();
    let unproven = unproven(proofs, &[NodeSet { pool: Some(pool), entries: &entries }]);
    let (Some(config_map), Some(enforcement), Some(_)) = (&wanted, &facts.enforcement, unproven.first()) else {
        return Ok(wanted);
    };
    let content = digest(config_map);
    let reported = facts.report.iter().flat_map(|report| &report.boot);
    let is_reported = reported.clone().any(|boot| boot.node_pool == pool && boot.digest == content);
    let known = facts.memory.boots.get(pool).and_then(|boot| boot.current.clone());
    if is_reported || known == Some(Some(content)) {
        return Ok(wanted);
    }
    // The condition names the NodePool already.
    let of_source = |unproven: &Unproven| HeldSource { pool: None, ..unproven.held(&entries, &[]) };
    let cause = proofs.cause.as_ref().map(ToString::to_string);
    let held = HeldSources { sources: unproven.iter().map(of_source).collect(), cause };
    let ConditionState { reason, message, .. } = held.condition(&facts.key, &enforcement.token);
    Err(SourceTrouble { reason, message: format!("the file that nodes boot with is not changed: {message}") })
}

/// A digest of the content of a ConfigMap.
pub fn digest(config_map: &Value) -> String {
    short_digest(&format!("{}{}", config_map["data"]["config"], config_map["metadata"]["labels"]))
}

fn drop_in<'e>(
    entries: impl Iterator<Item = &'e MirrorEntry>,
    stock: impl Iterator<Item = &'e MirrorEntry>,
    files: &[NodeFile],
) -> Result<Option<String>, RenderError> {
    let base = render(&anonymous(stock), &RegistriesConfig::default())?;
    let main = base.text.as_deref().map(|text| ("registries.conf", text.as_bytes()));
    // All of them were parsed when they were rendered, or when their ConfigMap was read.
    let base = node_files::config(main, files).unwrap_or_default();
    Ok(render(&anonymous(entries), &base)?.text)
}

fn anonymous<'e>(entries: impl Iterator<Item = &'e MirrorEntry>) -> Resolved {
    let (mut set, _) = resolve(entries);
    for source in set.sources.values_mut() {
        source.origins.clear();
    }
    set
}

/// The ConfigMap with a MachineConfig that writes the file.
pub fn config_map(namespace: &str, pool: &str, drop_in: &str) -> Value {
    let source = format!("data:text/plain;charset=utf-8;base64,{}", STANDARD.encode(drop_in));
    let machine_config = json!({
        "apiVersion": "machineconfiguration.openshift.io/v1",
        "kind": "MachineConfig",
        "metadata": {"labels": {"machineconfiguration.openshift.io/role": "worker"}, "name": "40-hypermirror-boot"},
        "spec": {"config": {
            "ignition": {"version": "3.2.0"},
            "storage": {"files": [{
                "contents": {"source": source}, "mode": 0o644, "overwrite": true,
                "path": format!("{DIRECTORY}/{BOOT_FILE}")
            }]}
        }}
    });
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": config_map_name(pool),
            "namespace": namespace,
            "labels": {TUNING_LABEL: "true", names::NODE_POOL_LABEL: pool, names::MANAGED_LABEL: "true"}
        },
        // JSON is valid YAML, and its serialization is deterministic.
        "data": {"config": machine_config.to_string()}
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mirrors::registries::RegistriesFile;
    use crate::mirrors::{Layer, Origin, PullBy};

    fn entry(source: &str, mirror: &str, pull_by: PullBy, layer: Layer, index: usize) -> MirrorEntry {
        MirrorEntry {
            pull_by,
            source: source.into(),
            mirrors: vec![mirror.into()],
            policy: None,
            insecure: false,
            list: "spec.imageTagMirrors",
            origin: Origin {
                kind: "ConfigMap".into(),
                namespace: Some("clusters".into()),
                name: "tags".into(),
                key: Some("config".into()),
                document: Some(index),
                index,
                layer,
            },
        }
    }

    #[test]
    fn mirrors_of_a_node_pool_come_first_and_those_of_stock_hypershift_are_kept() {
        let own = entry("a.example", "pool.example/a", PullBy::Tag, Layer::NodePool, 0);
        let stock = entry("a.example", "cluster.example/a", PullBy::Digest, Layer::HostedCluster, 0);
        let text = drop_in([&own, &stock].into_iter(), [&stock].into_iter(), &[]).unwrap().unwrap();
        let file = RegistriesFile::parse(text.as_bytes(), crate::mirrors::registries::Role::DropIn).unwrap();
        let mirrors: Vec<&str> = file.tables[0].mirrors.iter().map(|mirror| mirror.location.as_str()).collect();
        assert_eq!((file.tables.len(), mirrors), (1, vec!["cluster.example/a", "pool.example/a"]));
    }

    #[test]
    fn files_that_the_pools_own_machine_config_writes_are_folded_in() {
        let own = entry("a.example", "pool.example/a", PullBy::Tag, Layer::NodePool, 0);
        let file = NodeFile {
            path: "/etc/containers/registries.conf.d/30-team.conf".into(),
            content: b"[[registry]]\nlocation = 'a.example'\n[[registry.mirror]]\nlocation = 'team.example/a'\n"
                .as_slice()
                .into(),
            machine_config: "99-team".into(),
            config_map: "team".into(),
        };
        let text = drop_in([&own].into_iter(), std::iter::empty(), &[file]).unwrap().unwrap();
        assert!(text.contains("team.example/a") && text.contains("pool.example/a"), "{text}");
    }

    #[test]
    fn only_a_change_of_the_set_changes_the_bytes() {
        fn alone<const N: usize>(entries: [&MirrorEntry; N]) -> Option<String> {
            drop_in(entries.into_iter(), std::iter::empty(), &[]).unwrap()
        }
        let one = entry("a.example", "m.example/a", PullBy::Tag, Layer::NodePool, 0);
        let mut elsewhere = one.clone();
        elsewhere.origin = Origin { name: "other".into(), document: Some(7), index: 3, ..elsewhere.origin };
        assert_eq!(alone([&one]), alone([&elsewhere, &one]));
        assert_eq!(alone([]), None);
    }

    #[test]
    fn the_machine_config_writes_the_file_where_nodes_read_it() {
        let object = config_map("clusters-west", "edge", "x = 1\n");
        assert_eq!(object["metadata"]["labels"]["hypershift.openshift.io/nodePool"], "edge");
        let machine: Value = serde_json::from_str(object["data"]["config"].as_str().unwrap()).unwrap();
        let file = &machine["spec"]["config"]["storage"]["files"][0];
        assert_eq!(file["path"], "/etc/containers/registries.conf.d/40-hypermirror-boot.conf");
        assert_eq!(file["contents"]["source"], "data:text/plain;charset=utf-8;base64,eCA9IDEK");
        let data = [("config".to_owned(), object["data"]["config"].as_str().unwrap().to_owned())].into();
        let problems = crate::hosted::pool_config::read("clusters-west", "hypermirror-boot-edge", &data).problems;
        assert_eq!(problems.len(), 1, "only that the file is one of hypermirror: {problems:?}");
    }
}
