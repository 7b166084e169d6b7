//! Reads manifests. Documents of other kinds are skipped; an error names the document and how to fix it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Result, anyhow, bail};
use hypermirror_api::mirror_sets::{
    ImageContentSourcePolicy, ImageDigestMirrorSet, ImageMirrorDigestSet, ImageTagMirrorSet,
};
use kube::Resource;
use serde::de::DeserializeOwned;

use super::decode::{decode, is_there_twice, object_name, require_namespace};
use super::files::{self, Named};
use super::kinds::{Kind, kind_of};
use super::lists::{self, ListOfSources};
use super::referable::Referable;
use super::unread::Unread;
use super::{Input, MirrorObject, Repetition};
use crate::documents::{self, Document, Place};
use crate::mirrors::entry::{MirrorSpec, foreign_to_nodes, of_object};
use crate::mirrors::signature_policy::SignaturePolicy;
use crate::mirrors::{Layer, Origin, fields};

/// Reads the files of all arguments. `reads_plane` also reads objects of the registry-manager, and reports nothing: who asks for
/// them reads the files again and again.
pub fn load(names: &[PathBuf], repetition: Repetition, reads_plane: bool) -> Result<Input> {
    let mut loader = Loader { repetition, reads_plane, ..Loader::default() };
    for named in files::read(names)? {
        loader.read(&named)?;
    }
    loader.finish()
}

/// The mirror objects in the output of this program.
pub fn of_documents(text: &str) -> Result<Vec<MirrorObject>> {
    let mut loader = Loader { repetition: Repetition::Kept, ..Loader::default() };
    for document in documents::read("the output", text)? {
        loader.add(document)?;
    }
    Ok(loader.input.mirror_sets)
}

#[derive(Default)]
struct Loader {
    input: Input,
    /// The position of each object.
    seen: BTreeMap<String, Place>,
    /// Objects that are used only if another object references them.
    referable: Referable,
    unread: Unread,
    repetition: Repetition,
    /// Whether objects of the registry-manager are read.
    reads_plane: bool,
}

impl Loader {
    fn read(&mut self, named: &Named) -> Result<()> {
        self.unread.begin(&named.name);
        for text in &named.texts {
            let documents = documents::read(&text.file, &text.content);
            for document in documents.map_err(|error| anyhow!("failed to read {error}"))? {
                self.add(document)?;
            }
        }
        Ok(())
    }

    /// Resolves references and reports skipped documents, when the whole input is known.
    fn finish(self) -> Result<Input> {
        let Self { mut input, referable, mut unread, repetition, reads_plane, .. } = self;
        referable.resolve(&mut input, &mut unread, repetition)?;
        unread.judge()?;
        if !reads_plane {
            unread.report();
        }
        Ok(input)
    }

    /// Adds one document.
    fn add(&mut self, document: Document) -> Result<()> {
        if let Some(list) = lists::of(&document)? {
            self.unread.found();
            self.list_of_sources(list);
            return Ok(());
        }
        if self.reads_plane && self.input.plane.add(&document)? {
            self.unread.found();
            return Ok(());
        }
        let policy = SignaturePolicy::of(&document.value);
        if let Some(policy) = policy.map_err(|error| anyhow!("{}: spec.scopes: {error}", document.place))? {
            self.unread.found();
            self.input.signature_policies.push(policy);
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
            Kind::MirrorCoverage => self.input.coverages.push(decode(&document)?),
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

    /// Records findings about unknown fields.
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

    /// Requires a name, a namespace for objects of a hosted cluster, and that the object is not in the input already.
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
            Kind::HostedCluster
                | Kind::HostedClusterMirrors
                | Kind::MirrorCoverage
                | Kind::NodePool
                | Kind::HostedControlPlane
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

/// A mirror object with its entries. The layer of the entries may change when the whole input is known.
pub fn mirror_object<S: MirrorSpec>(object: &impl Resource, spec: &S) -> MirrorObject {
    let name = object.meta().name.clone().unwrap_or_default();
    let foreign_to_nodes = foreign_to_nodes(&name, object.meta().labels.as_ref());
    let labels = object.meta().labels.clone().unwrap_or_default();
    MirrorObject { kind: S::KIND, entries: of_object(&name, spec, Layer::Management), name, labels, foreign_to_nodes }
}
