//! `imageContentSources` as the ConfigMap of `imageMirrorConfigRef`.

use anyhow::Result;
use hypermirror_api::annotations;
use kube::ResourceExt as _;
use serde_json::{Value, json};

use super::super::input::{Input, of_documents};
use super::super::{Usage, console, yaml};
use super::prove;
use crate::hosted::sources::hosted_cluster_entries;
use crate::mirrors::PullBy;
use crate::mirrors::migrate::{Migration, SourceObject, migrate};
use hypermirror_api::ClusterKey;

/// The ConfigMap as YAML. Empty if the HostedCluster has no sources.
pub fn convert(
    input: &Input,
    wanted: Option<&ClusterKey>,
    name: Option<&str>,
    tags: bool,
) -> Result<(Migration, String)> {
    let Some(cluster) = input.select(wanted)? else {
        return Err(Usage::error("the input has no HostedCluster, which --to-config-map requires"));
    };
    let key = ClusterKey::of(cluster);
    let entries = hosted_cluster_entries(cluster);
    let labels = std::collections::BTreeMap::new();
    let object = SourceObject { kind: "HostedCluster", name: &key.name, labels: &labels, entries: &entries };
    let migration = migrate(&[object], tags);
    if migration.sets.is_empty() {
        console::warning(format!("HostedCluster/{key} has no imageContentSources that can be converted"));
        return Ok((migration, String::new()));
    }
    let name = name.map_or_else(|| format!("{}-mirrors", cluster.name_any()), str::to_owned);
    let mut data = Vec::new();
    for set in &migration.sets {
        let file = if set.pull_by == PullBy::Digest { "idms.yaml" } else { "itms.yaml" };
        data.push((file, yaml::print(&set.to_value()?)?));
    }
    let head = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": key.namespace}
    });
    let text = yaml::print_with_texts(&head, "data", &data)?;
    let mut printed = Vec::new();
    let read: Value = serde_yaml::from_str(&text)?;
    for document in read["data"].as_object().into_iter().flat_map(|data| data.values()) {
        let objects = of_documents(document.as_str().unwrap_or_default())?;
        printed.extend(objects.into_iter().flat_map(|object| object.entries));
    }
    prove(&migration, &printed)?;
    console::note(format!(
        "to use the ConfigMap: kubectl annotate hostedcluster -n {} {} {}={name}\nremove the entries of \
                 spec.imageContentSources in a maintenance window: stock HyperShift replaces nodes when the field is edited",
        key.namespace,
        key.name,
        annotations::IMAGE_MIRROR_CONFIG_REF
    ));
    Ok((migration, text))
}
