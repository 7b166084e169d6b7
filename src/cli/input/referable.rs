//! Objects that matter only if something in the input refers to them. Others are not validated.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt as _;

use super::kinds::Kind;
use super::manifests::{decode, is_there_twice, require_namespace};
use super::unread::Unread;
use super::{Input, Repetition};
use crate::documents::Document;
use crate::hosted::catalogs::IMAGE_STREAM;
use crate::hosted::pool_config::PoolConfig;
use hypermirror_api::ClusterKey;

/// `ConfigMap`s, Deployments and `ImageStream`s of the input, not decoded yet.
#[derive(Default)]
pub struct Referable {
    config_maps: Vec<Document>,
    deployments: Vec<Document>,
    image_streams: Vec<Document>,
}

impl Referable {
    /// Keeps a document until everything else is known.
    pub fn add(&mut self, kind: Kind, document: Document, unread: &mut Unread) {
        match kind {
            Kind::ConfigMap => {
                unread.config_map(&document);
                self.config_maps.push(document);
            }
            // It is printed again, whoever it belongs to.
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

    /// Takes in what is referred to.
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
            // Decoded for its errors alone: it is written as it was read.
            decode::<Deployment>(document)?;
        }
        unique(self.image_streams.iter().filter(needed))?;
        input.deployments.extend(self.deployments.into_iter().map(|document| document.value));
        input.image_streams.extend(self.image_streams.into_iter().map(|document| document.value));
        Ok(())
    }

    /// The one ConfigMap of a name; two that say the same are one.
    fn config_map(&self, input: &mut Input, name: (&str, &str), repetition: Repetition) -> Result<()> {
        let (namespace, name) = name;
        let named = || self.config_maps.iter().filter(|document| document.text_at("/metadata/name") == Some(name));
        let of_namespace = |document: &&Document| document.text_at("/metadata/namespace") == Some(namespace);
        let mut found = named().filter(of_namespace);
        let Some(first) = found.next() else {
            // Probably the object that the reference names; without a namespace it cannot be found.
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
    /// The ConfigMaps that HostedClusters and NodePools of the input refer to: namespace and name.
    pub(super) fn references(&self) -> BTreeSet<(String, String)> {
        let of_clusters = self
            .clusters
            .iter()
            .filter_map(|cluster| Some((cluster.namespace().unwrap_or_default(), self.reference(cluster).0?.name)));
        let of_pools = self.pools.iter().flat_map(|pool| {
            let namespace = pool.namespace().unwrap_or_default();
            PoolConfig::of(pool).names().map(move |name| (namespace.clone(), name))
        });
        of_clusters.chain(of_pools).collect()
    }
}
