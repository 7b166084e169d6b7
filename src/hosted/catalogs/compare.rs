//! Compares the objects of the catalogs with the desired images, and creates the patches.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use hypermirror_api::annotations;
use serde_json::{Value, json};

use super::requested::{NAMESPACE_KEY, Wanted};
use super::{Catalog, IMAGE_STREAM};

/// The containers of a catalog's pod with the catalog's image, and their lists.
const CONTAINERS: [(&str, &str); 2] = [("containers", "registry"), ("initContainers", "extract-content")];

/// The objects of the catalogs in a control-plane namespace.
#[derive(Clone, Debug, Default)]
pub struct CatalogObjects {
    /// The Deployments that exist.
    pub deployments: Vec<(Catalog, Value)>,
    /// The ImageStream `catalogs`, if there is one.
    pub image_stream: Option<Value>,
}

/// An object of the catalogs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CatalogObject {
    /// The catalog's Deployment.
    Deployment(Catalog),
    /// The ImageStream of all catalogs.
    ImageStream,
}

impl CatalogObject {
    /// Its kind.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Deployment(_) => "Deployment",
            Self::ImageStream => "ImageStream",
        }
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deployment(catalog) => catalog.deployment(),
            Self::ImageStream => IMAGE_STREAM,
        }
    }
}

/// An image that differs from the desired one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageChange {
    /// The container, or the tag of the ImageStream.
    pub place: String,
    /// The current image.
    pub before: String,
    /// The desired image. `None` if another client set the current one, which is not changed.
    pub after: Option<String>,
}

/// An object that differs from the desired state.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The object.
    pub object: CatalogObject,
    /// The images that differ.
    pub images: Vec<ImageChange>,
    /// Whether its image follows an ImageStream although the annotations set images.
    pub is_triggered: bool,
    /// The patch, guarded by `test`s. `None` if nothing is changed.
    pub patch: Option<json_patch::Patch>,
}

impl fmt::Display for Difference {
    /// `Deployment x: container registry has a, not b`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}:", self.object.kind(), self.object.name())?;
        for (place, change) in self.images.iter().enumerate() {
            let comma = if place > 0 { "," } else { "" };
            write!(f, "{comma} {} has {}", change.place, change.before)?;
            match &change.after {
                Some(after) => write!(f, ", not {after}")?,
                None if is_stock(&change.before) => {
                    f.write_str(", which no mirror of the management cluster is proven to hold")?;
                }
                None => f.write_str(
                    ", which is neither the stock image nor that of the annotation, and is not \
                                     changed",
                )?,
            }
        }
        if self.is_triggered {
            write!(f, "; annotation {} makes an ImageStream select the image", annotations::IMAGE_TRIGGERS)?;
        }
        Ok(())
    }
}

/// All differences.
///
/// Annotated images are compared with the Deployments. Registries are compared with the ImageStream, which the Deployments
/// follow, or with the Deployments if there is no ImageStream.
pub fn compare(wanted: &Wanted, objects: &CatalogObjects) -> Vec<Difference> {
    let deployments = objects.deployments.iter();
    match (wanted, &objects.image_stream) {
        (Wanted::Nothing, _) => Vec::new(),
        (Wanted::Images(images), _) => {
            let pairs = deployments.filter_map(|(catalog, object)| Some((*catalog, object, images.get(catalog)?)));
            pairs
                .filter_map(|(catalog, object, image)| deployment(catalog, object, &|_| Some(image.clone()), true))
                .collect()
        }
        (Wanted::Registries(registries), Some(stream)) => {
            image_stream(stream, &|image| from_registries(image, registries)).into_iter().collect()
        }
        (Wanted::Registries(registries), None) => {
            let wish = |image: &str| from_registries(image, registries);
            deployments.filter_map(|(catalog, object)| deployment(*catalog, object, &wish, false)).collect()
        }
        (Wanted::Proven(mirrors), Some(stream)) => {
            image_stream(stream, &|image| from_mirrors(image, mirrors)).into_iter().collect()
        }
        (Wanted::Proven(mirrors), None) => {
            let wish = |image: &str| from_mirrors(image, mirrors);
            deployments.filter_map(|(catalog, object)| deployment(*catalog, object, &wish, false)).collect()
        }
    }
}

/// Whether an image is one that stock HyperShift chooses without annotations.
fn is_stock(image: &str) -> bool {
    image.strip_prefix(NAMESPACE_KEY).is_some_and(|rest| rest.starts_with('/'))
}

/// The desired image: a stock image at its proven mirror, `None` without one; any other image as it is, because it was moved already
/// or is somebody else's choice.
fn from_mirrors(image: &str, mirrors: &BTreeMap<String, String>) -> Option<String> {
    if is_stock(image) { mirrors.get(image).cloned() } else { Some(image.to_owned()) }
}

/// The stock images in use: of the ImageStream, which the Deployments follow, or else of the Deployments. Ascending.
pub fn stock_images(objects: &CatalogObjects) -> Vec<String> {
    let of_stream =
        objects.image_stream.iter().flat_map(|stream| stream["spec"]["tags"].as_array().into_iter().flatten());
    let of_stream = of_stream.map(|tag| &tag["from"]["name"]);
    let of_deployments =
        objects.deployments.iter().filter(|_| objects.image_stream.is_none()).flat_map(|(_, object)| {
            let list = |list: &str| object["spec"]["template"]["spec"][list].as_array().into_iter().flatten();
            CONTAINERS.iter().flat_map(move |(lists, name)| {
                list(lists).filter(move |container| container["name"] == *name).map(|container| &container["image"])
            })
        });
    let images = of_stream.chain(of_deployments).filter_map(Value::as_str).filter(|image| is_stock(image));
    images.map(str::to_owned).collect::<BTreeSet<_>>().into_iter().collect()
}

/// The desired image: the current one if it is in one of the registries; the same name, tag and digest in the first registry
/// if it is the stock image; `None` for other images.
fn from_registries(image: &str, registries: &[String]) -> Option<String> {
    let below = |registry: &str| image.strip_prefix(registry).and_then(|rest| rest.strip_prefix('/'));
    if registries.iter().any(|registry| below(registry).is_some()) {
        return Some(image.to_owned());
    }
    Some(format!("{}/{}", registries.first()?, below(NAMESPACE_KEY)?))
}

fn deployment(
    catalog: Catalog,
    object: &Value,
    wish: &dyn Fn(&str) -> Option<String>,
    is_named: bool,
) -> Option<Difference> {
    let mut change = Change::new(object);
    let pod = "/spec/template/spec";
    for (list, name) in CONTAINERS {
        let containers = object.pointer(&format!("{pod}/{list}")).and_then(Value::as_array);
        let found = containers.into_iter().flatten().enumerate().find(|(_, container)| container["name"] == name);
        let Some((index, container)) = found else { continue };
        let path = format!("{pod}/{list}/{index}");
        let image = container["image"].as_str().unwrap_or_default();
        change.image(format!("container {name}"), image, wish(image), &path, "image");
    }
    let triggers = object["metadata"]["annotations"][annotations::IMAGE_TRIGGERS].as_str();
    let is_triggered = is_named && triggers.is_some();
    if is_triggered {
        let path = format!("/metadata/annotations/{}", annotations::IMAGE_TRIGGERS.replace('/', "~1"));
        change.operations.push(json!({"op": "test", "path": path, "value": triggers}));
        change.operations.push(json!({"op": "remove", "path": path}));
    }
    change.into_difference(CatalogObject::Deployment(catalog), is_triggered)
}

fn image_stream(object: &Value, wish: &dyn Fn(&str) -> Option<String>) -> Option<Difference> {
    let mut change = Change::new(object);
    let tags = object.pointer("/spec/tags").and_then(Value::as_array);
    for (index, tag) in tags.into_iter().flatten().enumerate() {
        if tag["from"]["kind"] != "DockerImage" {
            continue;
        }
        let name = tag["name"].as_str().unwrap_or_default();
        let image = tag["from"]["name"].as_str().unwrap_or_default();
        let path = format!("/spec/tags/{index}");
        change.image(format!("tag {name}"), image, wish(image), &path, "from/name");
    }
    change.into_difference(CatalogObject::ImageStream, false)
}

/// Builds a difference.
struct Change<'a> {
    object: &'a Value,
    images: Vec<ImageChange>,
    operations: Vec<Value>,
}

impl<'a> Change<'a> {
    fn new(object: &'a Value) -> Self {
        Self { object, images: Vec::new(), operations: Vec::new() }
    }

    /// Compares the image at `path/field` of an element with a name at `path/name`.
    fn image(&mut self, place: String, before: &str, after: Option<String>, path: &str, field: &str) {
        if after.as_deref() == Some(before) {
            return;
        }
        if let Some(after) = &after {
            let name = self.object.pointer(&format!("{path}/name"));
            self.operations.push(json!({"op": "test", "path": format!("{path}/name"), "value": name}));
            self.operations.push(json!({"op": "test", "path": format!("{path}/{field}"), "value": before}));
            self.operations.push(json!({"op": "replace", "path": format!("{path}/{field}"), "value": after}));
        }
        self.images.push(ImageChange { place, before: before.to_owned(), after });
    }

    fn into_difference(self, object: CatalogObject, is_triggered: bool) -> Option<Difference> {
        if self.images.is_empty() && !is_triggered {
            return None;
        }
        let uid = self.object["metadata"]["uid"].as_str();
        let guard = uid.map(|uid| json!({"op": "test", "path": "/metadata/uid", "value": uid}));
        let operations: Vec<Value> = guard.into_iter().chain(self.operations.iter().cloned()).collect();
        let patch =
            (!self.operations.is_empty()).then(|| serde_json::from_value(Value::Array(operations)).ok()).flatten();
        Some(Difference { object, images: self.images, is_triggered, patch })
    }
}

#[cfg(test)]
mod tests;
