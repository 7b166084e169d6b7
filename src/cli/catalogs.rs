//! Compares the OLM catalogs in the input with the annotations of HostedClusters.

use anyhow::{Context as _, Result};
use hypermirror_api::hypershift::HostedCluster;
use jiff::Timestamp;
use kube::core::SelectorExt as _;
use kube::{Client, ResourceExt as _};
use serde_json::Value;

use super::input::Input;
use crate::hosted::catalogs::compare::{CatalogObject, CatalogObjects, Difference, compare};
use crate::hosted::catalogs::mirrored::declared;
use crate::hosted::catalogs::requested::{Wanted, requested};
use crate::hosted::catalogs::{Catalog, IMAGE_STREAM};
use crate::hosted::coverage::KnownCoverage;
use crate::hosted::sources::ManagementLayer;
use crate::management::apply::catalogs::get as request;
use crate::manager::options::{OlmCatalogs, PlanOptions};
use hypermirror_api::ClusterKey;

/// The catalogs of one hosted cluster that differ from its annotations.
pub fn differences(input: &Input, cluster: &HostedCluster) -> Vec<Difference> {
    let Some(mut requested) = requested(cluster).filter(|requested| requested.wanted != Wanted::Nothing) else {
        return Vec::new();
    };
    let key = ClusterKey::of(cluster);
    if let Wanted::Proven(mirrors) = &mut requested.wanted {
        let coverage = input.coverages.iter().find(|coverage| ClusterKey::of(*coverage) == key);
        let known = coverage.and_then(|coverage| KnownCoverage::of(coverage.status.as_ref()?));
        let proven = known.map(|known| known.catalogs(Timestamp::now())).unwrap_or_default();
        *mirrors = declared(&ManagementLayer::new(&input.mirror_entries()).map.resolved, proven);
    }
    if input.claims.refusal(&key).is_some() {
        return Vec::new(); // the namespace belongs to another HostedCluster
    }
    let namespace = key.control_plane_namespace();
    let deployment = |catalog: Catalog| {
        let found = input.deployments.iter().find(|object| is_named(object, &namespace, catalog.deployment()))?;
        Some((catalog, found.clone()))
    };
    let stream = input.image_streams.iter().find(|object| is_named(object, &namespace, IMAGE_STREAM));
    let deployments = Catalog::ALL.into_iter().filter_map(deployment).collect();
    compare(&requested.wanted, &CatalogObjects { deployments, image_stream: stream.cloned() })
}

/// The differences that the manager corrects if stock HyperShift does not.
pub fn written(input: &Input, cluster: &HostedCluster, options: &PlanOptions) -> Vec<Difference> {
    let is_ours =
        options.olm_catalogs == OlmCatalogs::Apply && options.hosted_cluster_selector.matches(cluster.labels());
    let all = if is_ours { differences(input, cluster) } else { Vec::new() };
    all.into_iter().filter(|difference| difference.patch.is_some()).collect()
}

/// Applies the patches to the Deployments of the input.
pub fn patch(deployments: &mut [Value], cluster: &HostedCluster, written: &[Difference]) -> Result<()> {
    let namespace = ClusterKey::of(cluster).control_plane_namespace();
    for difference in written {
        let (CatalogObject::Deployment(catalog), Some(patch)) = (difference.object, &difference.patch) else {
            continue;
        };
        let is_it = |object: &&mut Value| is_named(object, &namespace, catalog.deployment());
        let Some(object) = deployments.iter_mut().find(is_it) else { continue };
        json_patch::patch(object, patch).context("failed to apply the patch for a catalog")?;
    }
    Ok(())
}

/// Reads the catalogs of a live cluster.
pub async fn read(client: &Client, input: &mut Input) -> Result<()> {
    for cluster in &input.clusters {
        let Some(requested) = requested(cluster).filter(|requested| requested.wanted != Wanted::Nothing) else {
            continue;
        };
        let namespace = ClusterKey::of(cluster).control_plane_namespace();
        for catalog in Catalog::ALL {
            input.deployments.extend(get(client, &namespace, CatalogObject::Deployment(catalog)).await?);
        }
        if matches!(requested.wanted, Wanted::Registries(_) | Wanted::Proven(_)) {
            input.image_streams.extend(get(client, &namespace, CatalogObject::ImageStream).await?);
        }
    }
    Ok(())
}

async fn get(client: &Client, namespace: &str, object: CatalogObject) -> Result<Option<Value>> {
    match client.request::<Value>(request(namespace, object)?).await {
        Ok(value) => Ok(Some(value)),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        Err(error) => {
            Err(error).with_context(|| format!("failed to read {} {namespace}/{}", object.kind(), object.name()))
        }
    }
}

fn is_named(object: &Value, namespace: &str, name: &str) -> bool {
    object["metadata"]["namespace"] == namespace && object["metadata"]["name"] == name
}
