//! Parses the annotations of a HostedCluster for its catalogs like stock HyperShift (`v2/olm/catalogs/deployment.go`,
//! `support/catalogs/images.go`), and reports problems that stock HyperShift ignores.

use std::collections::BTreeMap;

use hypermirror_api::hypershift::HostedCluster;
use hypermirror_api::{Reason, annotations};
use kube::ResourceExt;

use super::Catalog;
use crate::mirrors::ImageReference;
use crate::mirrors::finding::Severity;
use crate::mirrors::validate::invalid_mirror;

/// The two sources of `olm-catalogs-is-registry-overrides` that have an effect (`computeCatalogImages`).
pub const NAMESPACE_KEY: &str = "registry.redhat.io/redhat";
const REGISTRY_KEY: &str = "registry.redhat.io";

/// Upstream's messages (`checkCatalogImageOverides`).
const BY_DIGEST_ONLY: &str = "images for OLM catalogs should be referenced only by digest";
const ALL_OR_NOTHING: &str =
    "if OLM catalog images are overridden, all the values for the 3 default catalogs should be provided";

/// The desired state of the catalogs. `Nothing` if it is not certain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Wanted {
    /// That of stock HyperShift.
    #[default]
    Nothing,
    /// These images, by digest.
    Images(BTreeMap<Catalog, String>),
    /// Images in one of these registries, `host[:port][/path]`. The first one is preferred.
    Registries(Vec<String>),
    /// Stock images at mirrors of the management cluster that are proven to hold them, by stock image.
    Proven(BTreeMap<String, String>),
}

/// A finding about one annotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogFinding {
    /// `Error` if the annotation does not have the intended effect, `Warning` if it has no effect and is not needed.
    pub severity: Severity,
    /// `CatalogInvalid`, `CatalogAmbiguous` or `CatalogIneffective`.
    pub reason: Reason,
    /// The annotation.
    pub annotation: &'static str,
    /// The value, or the affected part of it.
    pub value: String,
    /// What is wrong and how to fix it.
    pub message: String,
}

/// The desired state, and findings about the annotations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestedCatalogs {
    /// For the catalogs of the control plane.
    pub wanted: Wanted,
    /// By annotation.
    pub findings: Vec<CatalogFinding>,
}

/// Parses the annotations. `None` if there is none about catalogs. As upstream, an empty value counts as absent.
pub fn requested(cluster: &HostedCluster) -> Option<RequestedCatalogs> {
    let value = |key: &str| cluster.annotations().get(key).map(String::as_str).filter(|value| !value.is_empty());
    let from_mirrors = value(annotations::CATALOGS_FROM_MIRRORS);
    let is_stock = annotations::OF_CATALOGS.iter().any(|key| value(key).is_some());
    if !is_stock && from_mirrors.is_none() {
        return None;
    }
    let mut requested = RequestedCatalogs::default();
    let in_guest = cluster.spec.olm_catalog_placement.as_deref() == Some("guest");
    let disabled = cluster.spec.configuration.as_ref().and_then(|configuration| configuration.operatorhub.as_ref());
    let disabled = disabled.is_some_and(|hub| hub.disable_all_default_sources);

    let images: BTreeMap<Catalog, &str> =
        Catalog::ALL.into_iter().filter_map(|catalog| Some((catalog, value(catalog.annotation())?))).collect();
    if in_guest {
        for (catalog, image) in &images {
            let message = "no effect: spec.olmCatalogPlacement is guest, and the annotation applies only to management";
            requested.find(Severity::Error, Reason::CatalogIneffective, catalog.annotation(), image, message);
        }
    } else {
        requested.read_images(&images);
    }
    let is_overridden = !in_guest && !images.is_empty();
    if let Some(text) = value(annotations::CATALOG_REGISTRY_OVERRIDES) {
        let registries = requested.read_overrides(text);
        if is_overridden {
            let message = "no effect: annotations for the images of the catalogs take precedence";
            let key = annotations::CATALOG_REGISTRY_OVERRIDES;
            requested.find(Severity::Warning, Reason::CatalogIneffective, key, text, message);
        } else if let Some(registries) = registries.filter(|_| !in_guest) {
            requested.wanted = Wanted::Registries(registries);
        }
    }
    if let Some(image) = value(annotations::MARKETPLACE_CATALOG_IMAGE) {
        let message = "no effect: HyperShift no longer has this catalog";
        let key = annotations::MARKETPLACE_CATALOG_IMAGE;
        requested.find(Severity::Warning, Reason::CatalogIneffective, key, image, message);
    }
    requested.read_from_mirrors(from_mirrors.unwrap_or("false"), is_stock, in_guest);
    if disabled && !in_guest {
        requested.wanted = Wanted::Nothing;
        let mut keys = annotations::OF_CATALOGS.into_iter().chain([annotations::CATALOGS_FROM_MIRRORS]);
        let key = keys.find(|key| value(key).is_some()).unwrap_or_default();
        let message = "no effect: spec.configuration.operatorhub.disableAllDefaultSources is true, so there are no \
                       catalogs";
        requested.find(Severity::Warning, Reason::CatalogIneffective, key, value(key).unwrap_or_default(), message);
    }
    Some(requested)
}

impl RequestedCatalogs {
    fn find(&mut self, severity: Severity, reason: Reason, annotation: &'static str, value: &str, message: &str) {
        let (value, message) = (value.to_owned(), message.to_owned());
        self.findings.push(CatalogFinding { severity, reason, annotation, value, message });
    }

    /// Stock images move to mirrors unless HyperShift's own annotations say where catalogs come from.
    fn read_from_mirrors(&mut self, value: &str, is_stock: bool, in_guest: bool) {
        let key = annotations::CATALOGS_FROM_MIRRORS;
        match value {
            "false" => {}
            "true" if in_guest => {
                let message = "no effect: spec.olmCatalogPlacement is guest, and the operator in the guest cluster manages \
                               catalogs";
                self.find(Severity::Error, Reason::CatalogIneffective, key, value, message);
            }
            "true" if is_stock => {
                let message = "no effect: HyperShift's annotations for catalogs take precedence";
                self.find(Severity::Warning, Reason::CatalogIneffective, key, value, message);
            }
            "true" => self.wanted = Wanted::Proven(BTreeMap::new()),
            _ => {
                let message = format!("{value:?} is neither true nor false and is ignored");
                self.find(Severity::Error, Reason::CatalogInvalid, key, value, &message);
            }
        }
    }

    /// The three images: all by digest, or none (`checkCatalogImageOverides`). Unlike upstream, which only searches for
    /// `@sha256:`, each must be a valid image reference.
    fn read_images(&mut self, images: &BTreeMap<Catalog, &str>) {
        if images.is_empty() {
            return;
        }
        let before = self.findings.len();
        for (catalog, image) in images {
            if !image.contains("@sha256:") {
                self.find(Severity::Error, Reason::CatalogInvalid, catalog.annotation(), image, BY_DIGEST_ONLY);
            } else if let Err(error) = ImageReference::parse(image) {
                let message = format!("{image:?} is not a valid image reference: {error}");
                self.find(Severity::Error, Reason::CatalogInvalid, catalog.annotation(), image, &message);
            }
        }
        for catalog in Catalog::ALL.into_iter().filter(|catalog| !images.contains_key(catalog)) {
            self.find(Severity::Error, Reason::CatalogInvalid, catalog.annotation(), "", ALL_OR_NOTHING);
        }
        if self.findings.len() == before {
            let images = images.iter().map(|(catalog, image)| (*catalog, (*image).to_owned()));
            self.wanted = Wanted::Images(images.collect());
        }
    }

    /// The registries of the overrides, in upstream's order. `None` if they are not certain.
    fn read_overrides(&mut self, text: &str) -> Option<Vec<String>> {
        let (mut of_namespace, mut of_registry) = (Vec::new(), Vec::new());
        let mut is_certain = true;
        // HyperShift prints an empty map as `=`, which is therefore no reason for a warning.
        for part in text.split(',').filter(|part| *part != "=") {
            let Some((source, mirror)) =
                part.split_once('=').filter(|(source, mirror)| !source.is_empty() && !mirror.is_empty())
            else {
                self.find_override(
                    Reason::CatalogInvalid,
                    part,
                    &format!("{part:?} is not SOURCE=MIRROR and is ignored"),
                );
                continue;
            };
            match source {
                NAMESPACE_KEY => of_namespace.push(mirror.to_owned()),
                REGISTRY_KEY if mirror.contains('/') => of_registry.push(mirror.to_owned()),
                REGISTRY_KEY => of_registry.push(format!("{mirror}/redhat")),
                _ => {
                    let space = if source.trim() == source { "" } else { "; white space is significant" };
                    let message = format!(
                        "source {source:?} has no effect: only {NAMESPACE_KEY} and {REGISTRY_KEY} are \
                                 used{space}"
                    );
                    self.find_override(Reason::CatalogIneffective, part, &message);
                    continue;
                }
            }
            if let Some(message) = invalid_mirror(mirror) {
                is_certain = false;
                self.find_override(Reason::CatalogInvalid, part, &message);
            }
        }
        if !of_namespace.is_empty() && !of_registry.is_empty() {
            is_certain = false;
            let message = format!(
                "both {NAMESPACE_KEY} and {REGISTRY_KEY} are sources: HyperShift uses the mirrors of the latter at \
                 random"
            );
            self.find_override(Reason::CatalogAmbiguous, text, &message);
        }
        let registries = [of_namespace, of_registry].concat();
        (is_certain && !registries.is_empty()).then_some(registries)
    }

    fn find_override(&mut self, reason: Reason, value: &str, message: &str) {
        self.find(Severity::Error, reason, annotations::CATALOG_REGISTRY_OVERRIDES, value, message);
    }
}

#[cfg(test)]
mod tests;
