//! Objects that are used only if another object references them. Others are not validated.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt as _;

use super::decode::{decode, is_there_twice, require_namespace};
use super::kinds::Kind;
use super::unread::Unread;
use super::{Input, Repetition};
use crate::documents::Document;
use crate::hosted::catalogs::IMAGE_STREAM;
use crate::hosted::pool_config::PoolConfig;
use hypermirror_api::ClusterKey;

/// Documents that are not decoded yet.
#[derive(Default)]
pub struct Referable {
    config_maps: Vec<Document>,
    deployments: Vec<Document>,
    image_streams: Vec<Document>,
}

impl Referable {
    /// Adds a document.
    pub fn add(&mut self, kind: Kind, document: Document, unread: &mut Unread) {
        match kind {
            Kind::ConfigMap => {
                unread.config_map(&document);
                self.config_maps.push(document);
            }
            // All Deployments are part of the output of `render control-plane`.
            Kind::Deployment => {
                unread.found();
                self.deployments.push(document);
            }
            _ if document.text_at("/metadata/name") == Some(IMAGE_STREAM) => {
                unread.found();
                self.image_streams.push(document);
            }
            _ => unread.skip(&document),
        }
    }

    /// Adds the referenced objects to the input.
    pub fn resolve(self, input: &mut Input, unread: &mut Unread, repetition: Repetition) -> Result<()> {
        let names = input.references();
        for (namespace, name) in &names {
            self.config_map(input, (namespace, name), repetition)?;
        }
        unread.refer(&names);
        let namespaces: BTreeSet<String> =
            input.clusters.iter().map(|cluster| ClusterKey::of(cluster).control_plane_namespace()).collect();
        let needed = |document: &&Document| {
            document.text_at("/metadata/namespace").is_some_and(|namespace| namespaces.contains(namespace))
        };
        unique(self.deployments.iter().filter(needed))?;
        for document in self.deployments.iter().filter(needed) {
            // Decoded only to report errors. The output has the original document.
            decode::<Deployment>(document)?;
        }
        unique(self.image_streams.iter().filter(needed))?;
        input.deployments.extend(self.deployments.into_iter().map(|document| document.value));
        input.image_streams.extend(self.image_streams.into_iter().map(|document| document.value));
        Ok(())
    }

    /// Adds the ConfigMap of this name. Two identical ones are allowed.
    fn config_map(&self, input: &mut Input, name: (&str, &str), repetition: Repetition) -> Result<()> {
        let (namespace, name) = name;
        let named = || self.config_maps.iter().filter(|document| document.text_at("/metadata/name") == Some(name));
        let of_namespace = |document: &&Document| document.text_at("/metadata/namespace") == Some(namespace);
        let mut found = named().filter(of_namespace);
        let Some(first) = found.next() else {
            // A ConfigMap of this name without a namespace is probably the referenced one.
            let homeless = named().find(|document| document.text_at("/metadata/namespace").is_none_or(str::is_empty));
            return homeless.map_or(Ok(()), require_namespace);
        };
        if let Some(second) = found.find(|other| other.value != first.value)
            && repetition == Repetition::Refused
        {
            return Err(is_there_twice(second, &first.place));
        }
        input.config_maps.push(decode(first)?);
        Ok(())
    }
}

/// Returns an error if an object occurs twice.
fn unique<'d>(documents: impl Iterator<Item = &'d Document>) -> Result<()> {
    let mut seen = BTreeMap::new();
    for document in documents {
        let id = ["/metadata/namespace", "/metadata/name"].map(|pointer| document.text_at(pointer));
        if let Some(first) = seen.insert(id, document) {
            return Err(is_there_twice(document, &first.place));
        }
    }
    Ok(())
}

impl Input {
    /// Namespace and name of the ConfigMaps that HostedClusters and NodePools of the input reference.
    pub(super) fn references(&self) -> BTreeSet<(String, String)> {
        let of_clusters = self
            .clusters
            .iter()
            .filter_map(|cluster| Some((cluster.namespace().unwrap_or_default(), self.reference(cluster).0?.name)));
        let of_pools = self.pools.iter().flat_map(|pool| {
            let namespace = pool.namespace().unwrap_or_default();
            let config = PoolConfig::of(pool);
            let names: Vec<String> = config.config_maps().cloned().collect();
            names.into_iter().map(move |name| (namespace.clone(), name))
        });
        of_clusters.chain(of_pools).collect()
    }
}
