//! Manifests: each document is for us, of another kind, or an error that says where it is and what to do.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Result, anyhow, bail};
use hypermirror_api::mirror_sets::{
    ImageContentSourcePolicy, ImageDigestMirrorSet, ImageMirrorDigestSet, ImageTagMirrorSet,
};
use kube::Resource;
use serde::de::DeserializeOwned;

use super::super::console;
use super::config_maps::is_for_us;
use super::files::{self, Named};
use super::kinds::{Kind, kind_of};
use super::{Input, MirrorObject, Repetition};
use crate::documents::{self, Document, Place};
use crate::fleet::catalogs::IMAGE_STREAM;
use crate::mirrors::Layer;
use crate::mirrors::entry::{MirrorSpec, foreign_to_nodes, of_object};
use crate::mirrors::fields;

/// Reads everything that is named.
pub fn load(names: &[PathBuf], repetition: Repetition) -> Result<Input> {
    let mut loader = Loader { repetition, ..Loader::default() };
    for named in files::read(names)? {
        loader.read(&named)?;
    }
    loader.tell_skipped();
    Ok(loader.input)
}

/// The mirror objects of a text that the program itself printed.
pub fn of_documents(text: &str) -> Result<Vec<MirrorObject>> {
    let mut loader = Loader { repetition: Repetition::Kept, ..Loader::default() };
    for document in documents::read("the output", text)? {
        loader.take(document, false)?;
    }
    Ok(loader.input.mirror_sets)
}

#[derive(Default)]
struct Loader {
    input: Input,
    /// Where each object stands.
    seen: BTreeMap<String, Place>,
    skipped: BTreeMap<String, usize>,
    repetition: Repetition,
}

impl Loader {
    fn read(&mut self, named: &Named) -> Result<()> {
        let mut found = false;
        for text in &named.texts {
            let documents = documents::read(&text.file, &text.content);
            for document in documents.map_err(|error| anyhow!("{error}; correct the file"))? {
                found |= self.take(document, named.is_directory)?;
            }
        }
        if !found {
            bail!(
                "{} has no object that is read: a HostedCluster, NodePool, HostedControlPlane, ImageDigestMirrorSet, \
                 ImageTagMirrorSet, ImageContentSourcePolicy, ImageMirrorDigestSet, ConfigMap, Deployment or \
                 HostedClusterMirrors; \
                 check the path",
                named.name
            );
        }
        Ok(())
    }

    /// Takes one document in; false if it is not for us.
    fn take(&mut self, document: Document, may_be_anything: bool) -> Result<bool> {
        if !document.value.is_object() || document.text_at("/kind").is_none() {
            if !may_be_anything {
                bail!("{}: this is no Kubernetes object: it has no kind; correct it or leave it out", document.place);
            }
            self.skip("no kind");
            return Ok(false);
        }
        let Some(kind) = kind_of(&document)? else {
            self.skip(document.text_at("/kind").unwrap_or_default());
            return Ok(false);
        };
        self.check_identity(kind, &document)?;
        for field in fields::unknown(document.text_at("/kind").unwrap_or_default(), &document.value) {
            console::warning(format!("{}: {field} is no field of this kind and is not read", describe(&document)));
        }
        match kind {
            Kind::HostedCluster => self.input.clusters.push(decode(&document)?),
            Kind::Icsp => self.mirror_set::<ImageContentSourcePolicy, _>(&document, |object| &object.spec)?,
            Kind::Idms => self.mirror_set::<ImageDigestMirrorSet, _>(&document, |object| &object.spec)?,
            Kind::Itms => self.mirror_set::<ImageTagMirrorSet, _>(&document, |object| &object.spec)?,
            Kind::ImageMirrorDigestSet => {
                let object = decode::<ImageMirrorDigestSet>(&document)?;
                self.input.node_sets.push(mirror_object(&object, &object.spec));
            }
            Kind::Deployment => {
                // Decoded for its errors alone: it is written as it was read.
                decode::<k8s_openapi::api::apps::v1::Deployment>(&document)?;
                self.input.deployments.push(document.value);
            }
            Kind::ImageStream if document.text_at("/metadata/name") == Some(IMAGE_STREAM) => {
                self.input.image_streams.push(document.value);
            }
            Kind::ImageStream => self.skip("ImageStream"),
            Kind::HostedClusterMirrors => self.input.reports.push(decode(&document)?),
            Kind::NodePool => self.input.pools.push(decode(&document)?),
            Kind::HostedControlPlane => self.input.control_planes.push(decode(&document)?),
            Kind::ConfigMap => {
                let config_map = decode(&document)?;
                if !is_for_us(&config_map) {
                    self.skip("ConfigMap");
                }
                self.input.config_maps.push(config_map);
            }
        }
        Ok(true)
    }

    fn mirror_set<K, S>(&mut self, document: &Document, spec: impl Fn(&K) -> &S) -> Result<()>
    where
        K: Resource<DynamicType = ()> + DeserializeOwned,
        S: MirrorSpec,
    {
        let object = decode::<K>(document)?;
        self.input.mirror_sets.push(mirror_object(&object, spec(&object)));
        Ok(())
    }

    /// Each object has a name, those of a hosted cluster a namespace, and none comes twice.
    fn check_identity(&mut self, kind: Kind, document: &Document) -> Result<()> {
        let place = &document.place;
        if document.text_at("/metadata/name").is_none_or(str::is_empty) {
            bail!("{place}: {} has no metadata.name; add it", document.text_at("/kind").unwrap_or_default());
        }
        let is_named_in_namespace =
            document.text_at("/metadata/namespace").is_some_and(|namespace| !namespace.is_empty());
        let is_part_of_a_cluster = matches!(
            kind,
            Kind::HostedCluster
                | Kind::HostedClusterMirrors
                | Kind::NodePool
                | Kind::HostedControlPlane
                | Kind::ConfigMap
        );
        if is_part_of_a_cluster && !is_named_in_namespace {
            bail!(
                "{place}: {} has no metadata.namespace, by which what belongs to one hosted cluster is found; add it",
                object_name(document)
            );
        }
        let may_repeat = self.repetition == Repetition::Kept
            && matches!(kind, Kind::Icsp | Kind::Idms | Kind::Itms | Kind::ConfigMap);
        match self.seen.insert(object_name(document), place.clone()) {
            Some(first) if !may_repeat => {
                bail!("{place}: {} is there already: {first}; leave one of them out", object_name(document))
            }
            _ => Ok(()),
        }
    }

    fn skip(&mut self, kind: &str) {
        *self.skipped.entry(kind.to_owned()).or_default() += 1;
    }

    fn tell_skipped(&self) {
        let count: usize = self.skipped.values().sum();
        if count == 0 {
            return;
        }
        let mut kinds: Vec<_> = self.skipped.iter().collect();
        kinds.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let kinds: Vec<String> = kinds.into_iter().map(|(kind, count)| format!("{kind} ({count})")).collect();
        let documents = if count == 1 { "document" } else { "documents" };
        console::note(format!("skipped {count} {documents} of kinds that are not read: {}", kinds.join(", ")));
    }
}

/// A mirror object with its entries; which layer they belong to depends on what else is in the input.
pub fn mirror_object<S: MirrorSpec>(object: &impl Resource, spec: &S) -> MirrorObject {
    let name = object.meta().name.clone().unwrap_or_default();
    let foreign_to_nodes = foreign_to_nodes(&name, object.meta().labels.as_ref());
    let labels = object.meta().labels.clone().unwrap_or_default();
    MirrorObject { kind: S::KIND, entries: of_object(&name, spec, Layer::Management), name, labels, foreign_to_nodes }
}

fn decode<T: DeserializeOwned>(document: &Document) -> Result<T> {
    let decoded = document.decode();
    decoded.map_err(|error| anyhow!("{}: {error}; correct the field, or leave the document out", describe(document)))
}

fn describe(document: &Document) -> String {
    format!("{}: {}", document.place, object_name(document))
}

/// `Kind [namespace/]name`.
fn object_name(document: &Document) -> String {
    let kind = document.text_at("/kind").unwrap_or_default();
    let name = document.text_at("/metadata/name").unwrap_or("without a name");
    match document.text_at("/metadata/namespace").filter(|namespace| !namespace.is_empty()) {
        Some(namespace) => format!("{kind} {namespace}/{name}"),
        None => format!("{kind} {name}"),
    }
}
