//! The objects of the registry-manager, and the rollouts of control planes.

use anyhow::Result;
use hypermirror_api::{Image, ImageBuilder, ImportRule, Registry};
use k8s_openapi::api::apps::v1::ReplicaSet;
use kube::core::PartialObjectMeta;

use super::decode::decode;
use crate::documents::Document;

/// What the registry-manager works on.
#[derive(Clone, Debug, Default)]
pub struct Plane {
    pub registries: Vec<Registry>,
    pub images: Vec<Image>,
    pub builders: Vec<ImageBuilder>,
    pub import_rules: Vec<ImportRule>,
    /// ReplicaSets of manifests. Those of a live cluster are read for one control plane at a time.
    pub replica_sets: Vec<PartialObjectMeta<ReplicaSet>>,
    /// Kinds that the user may not list.
    pub forbidden: Vec<&'static str>,
}

impl Plane {
    /// Adds a document, if it is of one of these kinds.
    pub(super) fn add(&mut self, document: &Document) -> Result<bool> {
        let text = |pointer| document.text_at(pointer).unwrap_or_default();
        match (text("/apiVersion"), text("/kind")) {
            ("registry.kubecontroller.io/v1alpha1", "Registry") => self.registries.push(decode(document)?),
            ("skopeo.io/v1alpha1", "Image") => self.images.push(decode(document)?),
            ("buildah.io/v1alpha1", "ImageBuilder") => self.builders.push(decode(document)?),
            ("hypermirror.dev/v1alpha1", "ImportRule") => self.import_rules.push(decode(document)?),
            ("apps/v1", "ReplicaSet") => self.replica_sets.push(decode(document)?),
            _ => return Ok(false),
        }
        Ok(true)
    }
}
