//! Findings about ConfigMaps that HostedClusters and NodePools reference, and notes about edits that replace nodes.

use hypermirror_api::hypershift::{HostedCluster, NodePool};
use hypermirror_api::{Reason, annotations};

use super::super::input::Input;
use super::{Row, entry_row, plain_row};
use crate::hosted::condition_state::SourceTrouble;
use crate::hosted::delivery::Delivery;
use crate::hosted::pool_config::{PoolConfig, PoolSources, findings, node_files};
use crate::mirrors::PullBy;
use crate::mirrors::entry::MirrorEntries;
use crate::mirrors::finding::Severity;
use crate::mirrors::layers::resolve;
use crate::mirrors::registries::{Note, render};
use hypermirror_api::ClusterKey;

/// Objects that a note names. Large fleets have hundreds, and a few show which kind is affected.
const SHOWN: usize = 5;

/// The findings about one HostedCluster and its NodePools.
pub fn rows(input: &Input, cluster: &HostedCluster) -> Vec<Row> {
    let key = ClusterKey::of(cluster);
    let object = format!("HostedCluster/{key}");
    let own = input.own_sources(cluster);
    let mut rows: Vec<Row> = own.problems.iter().map(|trouble| trouble_row(trouble, &object, "ControlPlane")).collect();
    rows.extend(own.findings.iter().map(|finding| entry_row(finding, Some(&key.to_string()))));
    for pool in input.pools_of(&key) {
        rows.extend(pool_rows(input, pool, &own.entries));
    }
    for row in &mut rows {
        row.hosted_cluster = Some(key.to_string());
    }
    rows
}

fn trouble_row(trouble: &SourceTrouble, object: &str, consumer: &'static str) -> Row {
    let row = plain_row(Severity::Error, trouble.reason, object.to_owned(), trouble.message.clone());
    Row { consumers: vec![consumer], ..row }
}

fn pool_rows(input: &Input, pool: &NodePool, of_cluster: &MirrorEntries) -> Vec<Row> {
    let object = format!("NodePool/{}", ClusterKey::of(pool));
    let sources = input.pool_sources(pool);
    let mut rows: Vec<Row> = sources.problems.iter().map(|trouble| trouble_row(trouble, &object, "Node")).collect();
    let of_nodes = |finding| Row { consumers: vec!["Node"], ..entry_row(finding, None) };
    rows.extend(findings(&sources).iter().map(of_nodes));
    let config = PoolConfig::of(pool);
    let tags = config.stock.iter().filter(|name| has_tag_mirrors(&sources, name));
    rows.extend(tags.map(|name| {
        let message = format!(
            "stock HyperShift rejects tag mirrors in ConfigMap {name}, and with them every change of spec.config; move them \
                         to a ConfigMap that annotation {} references",
            annotations::CONFIG
        );
        let row = plain_row(Severity::Warning, Reason::RefusedByHyperShift, object.clone(), message);
        Row { field: "spec.config".to_owned(), value: (*name).clone(), consumers: vec!["Node"], ..row }
    }));
    rows.extend(file_rows(&object, of_cluster, &sources));
    rows
}

/// Findings about files that the pool's `MachineConfig`s write to nodes.
fn file_rows(object: &str, of_cluster: &MirrorEntries, sources: &PoolSources) -> Vec<Row> {
    if sources.files.is_empty() {
        return Vec::new();
    }
    // Files that a node rejects are already reported.
    let Some(files) = node_files::config(None, &sources.files) else { return Vec::new() };
    let (set, _) = resolve(of_cluster.iter().chain(sources.entries.iter()));
    let notes = render(&set, &files).map(|rendered| rendered.notes).unwrap_or_default();
    let row = |note: &Note| {
        let writer = sources.files.iter().find(|file| note.subject.ends_with(&file.path));
        let writer = writer.map(|file| format!(" (written by ConfigMap {})", file.config_map)).unwrap_or_default();
        Row {
            severity: Severity::Warning,
            reason: note.reason.as_str(),
            hosted_cluster: None,
            object: object.to_owned(),
            field: "spec.config".to_owned(),
            value: note.prefix.clone(),
            consumers: vec!["Node"],
            message: format!("{note}{writer}"),
            cure: String::new(),
            origin: None,
        }
    };
    notes.iter().map(row).collect()
}

fn has_tag_mirrors(sources: &PoolSources, config_map: &str) -> bool {
    let of_tags = sources.entries.iter().filter(|entry| entry.pull_by == PullBy::Tag);
    of_tags.into_iter().any(|entry| entry.origin.name == config_map)
}

/// Notes about edits that make stock HyperShift replace nodes, and alternatives: one line for each kind of edit.
pub fn replacing_edits(input: &Input) -> Vec<String> {
    let (mut lists, mut configs, mut rollouts) = (Vec::new(), Vec::new(), Vec::new());
    for cluster in &input.clusters {
        let key = ClusterKey::of(cluster);
        if !cluster.spec.image_content_sources.is_empty() {
            lists.push(key.to_string());
        }
        for pool in input.pools_of(&key) {
            let name = ClusterKey::of(pool);
            let replacing = input.pool_sources(pool).replacing.join(", ");
            if !replacing.is_empty() {
                configs.push(format!("{name} ({replacing})"));
            }
            if Delivery::of_pool(Delivery::of(cluster), Delivery::requested(pool).0).is_by_rollout() {
                rollouts.push(name.to_string());
            }
        }
    }
    let note = |objects: &[String], edit: &str, instead: &str| {
        let shown = objects.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
        let more = objects.len().saturating_sub(SHOWN);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        (!objects.is_empty())
            .then(|| format!("{edit} makes stock HyperShift replace nodes: {shown}{more}; {instead} does not"))
    };
    let reference = format!("a ConfigMap that annotation {} references", annotations::IMAGE_MIRROR_CONFIG_REF);
    let config = format!("a ConfigMap that annotation {} references", annotations::CONFIG);
    let notes = [
        note(&lists, "an edit of spec.imageContentSources of a HostedCluster", &format!("an edit of {reference}")),
        note(
            &configs,
            "an edit of mirrors in the ConfigMaps of a NodePool's spec.config",
            &format!("an edit of {config}"),
        ),
        note(
            &rollouts,
            "any edit of the mirrors of a NodePool with delivery Rollout or AgentAndRollout",
            "delivery Agent",
        ),
    ];
    notes.into_iter().flatten().collect()
}
