//! Manifests: each document is for us, of another kind, or an error that says where it is and what to do.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Result, anyhow, bail};
use hypermirror_api::mirror_sets::{
    ImageContentSourcePolicy, ImageDigestMirrorSet, ImageMirrorDigestSet, ImageTagMirrorSet,
};
use kube::Resource;
use serde::de::DeserializeOwned;

use super::files::{self, Named};
use super::kinds::{Kind, kind_of};
use super::lists::{self, ListOfSources};
use super::referable::Referable;
use super::unread::Unread;
use super::{Input, MirrorObject, Repetition};
use crate::documents::{self, Document, Place};
use crate::mirrors::entry::{MirrorSpec, foreign_to_nodes, of_object};
use crate::mirrors::{Layer, Origin, fields};

/// Reads everything that is named.
pub fn load(names: &[PathBuf], repetition: Repetition) -> Result<Input> {
    let mut loader = Loader { repetition, ..Loader::default() };
    for named in files::read(names)? {
        loader.read(&named)?;
    }
    loader.finish()
}

/// The mirror objects of a text that the program itself printed.
pub fn of_documents(text: &str) -> Result<Vec<MirrorObject>> {
    let mut loader = Loader { repetition: Repetition::Kept, ..Loader::default() };
    for document in documents::read("the output", text)? {
        loader.take(document)?;
    }
    Ok(loader.input.mirror_sets)
}

#[derive(Default)]
struct Loader {
    input: Input,
    /// The place of each object that is read.
    seen: BTreeMap<String, Place>,
    /// What counts only if something refers to it.
    referable: Referable,
    unread: Unread,
    repetition: Repetition,
}

impl Loader {
    fn read(&mut self, named: &Named) -> Result<()> {
        self.unread.begin(&named.name);
        for text in &named.texts {
            let documents = documents::read(&text.file, &text.content);
            for document in documents.map_err(|error| anyhow!("{error}; correct the file"))? {
                self.take(document)?;
            }
        }
        Ok(())
    }

    /// Decides about everything that depends on what else is in the input.
    fn finish(self) -> Result<Input> {
        let Self { mut input, referable, mut unread, repetition, .. } = self;
        referable.resolve(&mut input, &mut unread, repetition)?;
        unread.judge()?;
        unread.tell();
        Ok(input)
    }

    /// Takes one document in.
    fn take(&mut self, document: Document) -> Result<()> {
        if let Some(list) = lists::of(&document)? {
            self.unread.found();
            self.list_of_sources(list);
            return Ok(());
        }
        let Some(kind) = kind_of(&document)? else {
            self.unread.skip(&document);
            return Ok(());
        };
        if matches!(kind, Kind::ConfigMap | Kind::Deployment | Kind::ImageStream) {
            self.referable.add(kind, document, &mut self.unread);
            return Ok(());
        }
        self.unread.found();
        self.check_identity(kind, &document)?;
        self.notice(&document);
        match kind {
            Kind::HostedCluster => self.input.clusters.push(decode(&document)?),
            Kind::Icsp => self.mirror_set::<ImageContentSourcePolicy, _>(&document, |object| &object.spec)?,
            Kind::Idms => self.mirror_set::<ImageDigestMirrorSet, _>(&document, |object| &object.spec)?,
            Kind::Itms => self.mirror_set::<ImageTagMirrorSet, _>(&document, |object| &object.spec)?,
            Kind::ImageMirrorDigestSet => {
                let object = decode::<ImageMirrorDigestSet>(&document)?;
                self.input.node_sets.push(mirror_object(&object, &object.spec));
            }
            Kind::HostedClusterMirrors => self.input.reports.push(decode(&document)?),
            Kind::NodePool => self.input.pools.push(decode(&document)?),
            Kind::HostedControlPlane => self.input.control_planes.push(decode(&document)?),
            Kind::ConfigMap | Kind::Deployment | Kind::ImageStream => {}
        }
        Ok(())
    }

    fn list_of_sources(&mut self, list: ListOfSources) {
        self.input.noticed.extend(list.findings);
        self.input.mirror_sets.push(list.object);
    }

    /// Keeps what is no error and may surprise.
    fn notice(&mut self, document: &Document) {
        let text = |pointer: &str| document.text_at(pointer).map(str::to_owned);
        let kind = text("/kind").unwrap_or_default();
        let place = Origin {
            kind: kind.clone(),
            namespace: text("/metadata/namespace").filter(|namespace| !namespace.is_empty()),
            name: text("/metadata/name").unwrap_or_default(),
            key: None,
            document: None,
            index: 0,
            layer: if kind == "HostedCluster" { Layer::HostedCluster } else { Layer::Management },
        };
        let file = document.place.to_string();
        self.input.noticed.extend(fields::findings(&kind, &document.value, &place, Some(&file)));
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

    /// Each object that is read has a name, those of a hosted cluster a namespace, and none comes twice.
    fn check_identity(&mut self, kind: Kind, document: &Document) -> Result<()> {
        let place = &document.place;
        if document.text_at("/metadata/name").is_none_or(str::is_empty) {
            let kind = document.text_at("/kind").unwrap_or_default();
            bail!(
                "{place}: {kind} has no metadata.name; {}",
                fields::misplaced(kind, &document.value).unwrap_or_else(|| "add it".to_owned())
            );
        }
        let is_part_of_a_cluster = matches!(
            kind,
            Kind::HostedCluster | Kind::HostedClusterMirrors | Kind::NodePool | Kind::HostedControlPlane
        );
        if is_part_of_a_cluster {
            require_namespace(document)?;
        }
        let may_repeat = self.repetition == Repetition::Kept && matches!(kind, Kind::Icsp | Kind::Idms | Kind::Itms);
        match self.seen.insert(object_name(document), place.clone()) {
            Some(first) if !may_repeat => Err(is_there_twice(document, &first)),
            _ => Ok(()),
        }
    }
}

/// A mirror object with its entries; which layer they belong to depends on what else is in the input.
pub fn mirror_object<S: MirrorSpec>(object: &impl Resource, spec: &S) -> MirrorObject {
    let name = object.meta().name.clone().unwrap_or_default();
    let foreign_to_nodes = foreign_to_nodes(&name, object.meta().labels.as_ref());
    let labels = object.meta().labels.clone().unwrap_or_default();
    MirrorObject { kind: S::KIND, entries: of_object(&name, spec, Layer::Management), name, labels, foreign_to_nodes }
}

/// An error if the object has no namespace.
pub(super) fn require_namespace(document: &Document) -> Result<()> {
    if document.text_at("/metadata/namespace").is_none_or(str::is_empty) {
        bail!(
            "{}: {} has no metadata.namespace, by which what belongs to one hosted cluster is found; add it",
            document.place,
            object_name(document)
        );
    }
    Ok(())
}

/// The error for an object that occurs in the input twice.
pub(super) fn is_there_twice(document: &Document, first: &Place) -> anyhow::Error {
    anyhow!("{}: {} is there already: {first}; leave one of them out", document.place, object_name(document))
}

/// Decodes an object. An error names its place and what to do.
pub(super) fn decode<T: DeserializeOwned>(document: &Document) -> Result<T> {
    let decoded = document.decode();
    decoded.map_err(|error| {
        let kind = document.text_at("/kind").unwrap_or_default();
        let cure = fields::misplaced(kind, &document.value);
        let cure = cure.unwrap_or_else(|| "correct the field, or leave the document out".to_owned());
        anyhow!("{}: {}: {error}; {cure}", document.place, object_name(document))
    })
}

/// `Kind [namespace/]name`.
pub(super) fn object_name(document: &Document) -> String {
    let kind = document.text_at("/kind").unwrap_or_default();
    let name = document.text_at("/metadata/name").unwrap_or("without a name");
    match document.text_at("/metadata/namespace").filter(|namespace| !namespace.is_empty()) {
        Some(namespace) => format!("{kind} {namespace}/{name}"),
        None => format!("{kind} {name}"),
    }
}
