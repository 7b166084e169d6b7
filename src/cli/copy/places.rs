//! What is copied, and where it goes: the arguments of `copy`. Pure.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::super::Usage;
use crate::mirrors::ImageReference;
use crate::registry::layout::index::Entry;
use crate::registry::layout::{Form, LayoutPath};
use crate::registry::{Reference, RegistryAddress, Repository};

/// An argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// An image in a registry.
    Image(ImageReference),
    /// A layout, or an image in it.
    Layout(LayoutPath),
}

/// Where something comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A repository.
    Registry(Repository),
    /// A layout, and the repository in it.
    Layout(LayoutPath, String),
}

/// Where an image goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Goal {
    /// A repository, and a tag; without a tag it gets an anchor.
    Registry(Repository, Option<String>),
    /// A layout, the repository in it, the name of the image, and what it is carried for.
    Layout { path: LayoutPath, repository: String, name: String, carried_for: BTreeSet<String> },
}

/// An image to copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// As people know it.
    pub name: String,
    /// Where it may come from, in order.
    pub origins: Vec<Origin>,
    /// Which manifest.
    pub reference: Reference,
    /// Where it goes to.
    pub goals: Vec<Goal>,
}

/// The last argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// One image.
    Image(ImageReference),
    /// A registry, or a path in it, below which each image has the path that it has in its own registry.
    Prefix(RegistryAddress, String),
    /// A layout.
    Layout(LayoutPath),
}

const WITHOUT_REGISTRY: &str = "give the registry, too, as in mirror.corp:5000/team/app or docker.io/team/app";

fn usage(text: &str, error: &dyn std::fmt::Display) -> anyhow::Error {
    Usage::error(format!("{text}: {error}"))
}

/// Reads a source.
pub fn source(text: &str) -> Result<Place> {
    let text = text.trim();
    match LayoutPath::parse(text) {
        Some(path) => Ok(Place::Layout(path.map_err(|error| usage(text, &error))?)),
        None => Ok(Place::Image(image(text)?)),
    }
}

fn image(text: &str) -> Result<ImageReference> {
    // `oci:bundle` would be the tag `bundle` of an image of Docker Hub.
    if LayoutPath::parse(text).is_some() {
        return Err(usage(
            text,
            &"a list names images in registries; a layout is the destination, or is named with --from",
        ));
    }
    let name = text.strip_prefix("docker://").unwrap_or(text);
    ImageReference::parse(name).map_err(|error| usage(text, &error))
}

/// A destination of a list. A short name would be a repository of Docker Hub, where nobody pushes by mistake.
fn image_with_registry(text: &str) -> Result<ImageReference> {
    let name = text.strip_prefix("docker://").unwrap_or(text);
    let image = image(text)?;
    if name.split_once('/').is_some_and(|(host, _)| is_host(host)) {
        Ok(image)
    } else {
        Err(usage(text, &WITHOUT_REGISTRY))
    }
}

fn is_host(host: &str) -> bool {
    host.contains(['.', ':', '[']) || host == "localhost"
}

/// Reads the destination of one image (`HOST/REPOSITORY[:TAG]`) or of many (`HOST[/PATH]`). Short names of Docker Hub are
/// refused: nobody pushes there by mistake.
pub fn destination(text: &str, is_for_many: bool) -> Result<Destination> {
    let text = text.trim();
    if let Some(path) = LayoutPath::parse(text) {
        let path = path.map_err(|error| usage(text, &error))?;
        if is_for_many && path.name.is_some() {
            return Err(usage(text, &"several images need a layout without the name of an image"));
        }
        return Ok(Destination::Layout(path));
    }
    let name = text.strip_prefix("docker://").unwrap_or(text);
    let (host, path) = name.split_once('/').unwrap_or((name, ""));
    if !is_host(host) {
        return Err(usage(text, &WITHOUT_REGISTRY));
    }
    if path.is_empty() || name.ends_with('/') || is_for_many {
        let path = path.trim_end_matches('/');
        if path.contains(['@', ':']) {
            return Err(usage(text, &"several images need a registry or a path in it, without tag and digest"));
        }
        let registry = RegistryAddress::parse(host).map_err(|error| usage(text, &error))?;
        if !path.is_empty() {
            Repository::new(registry.clone(), path).map_err(|error| usage(text, &error))?;
        }
        return Ok(Destination::Prefix(registry, path.to_owned()));
    }
    let image = image(name)?;
    if image.digest.is_some() {
        return Err(usage(text, &"a destination has a tag or none; its digest is that of the source"));
    }
    Ok(Destination::Image(image))
}

/// A repository below a prefix.
fn below(registry: &RegistryAddress, prefix: &str, path: &str) -> Result<Repository> {
    let path = if prefix.is_empty() { path.to_owned() } else { format!("{prefix}/{path}") };
    Repository::new(registry.clone(), &path).map_err(|error| usage(&path, &error))
}

impl Destination {
    /// Where an image of a registry goes to.
    pub fn of_image(&self, image: &ImageReference) -> Result<Goal> {
        let pulled = image.as_pulled();
        // With a digest the tag is only a comment: nobody checked that it still names the image.
        let tag = pulled.tag.filter(|_| pulled.digest.is_none());
        match self {
            Self::Image(to) => {
                let repository = Repository::of(to).map_err(|error| usage(&to.to_string(), &error))?;
                Ok(Goal::Registry(repository, to.tag.clone().or(tag)))
            }
            Self::Prefix(registry, prefix) => Ok(Goal::Registry(below(registry, prefix, &image.path)?, tag)),
            Self::Layout(path) => Ok(in_layout(path, image, BTreeSet::new())),
        }
    }

    /// Where images of a layout go to. If some were carried for places below the destination, only these go, and exactly there.
    fn of_entries(&self, layout: &LayoutPath, entries: &[Entry]) -> Result<Vec<Item>> {
        let carried = |entry: &Entry| -> Vec<ImageReference> {
            let all = entry.destinations.iter().filter_map(|name| ImageReference::parse(name).ok());
            all.filter(|to| self.covers(to)).collect()
        };
        if let (Self::Image(to), 2..) = (self, entries.len()) {
            let message = format!("it has {} images, and {to} is the place of one", entries.len());
            return Err(usage(&layout.to_string(), &message));
        }
        let is_carried = entries.iter().any(|entry| !carried(entry).is_empty());
        let mut items = Vec::new();
        for entry in entries.iter().filter(|entry| entry.name.is_some() || entries.len() == 1) {
            let exact = carried(entry);
            if is_carried && exact.is_empty() {
                continue;
            }
            let name = entry.name.clone().unwrap_or_default();
            let full = full_name(&name);
            let goals = match (&full, self) {
                _ if !exact.is_empty() => exact.iter().map(exactly).collect::<Result<_>>()?,
                (Some(image), _) => vec![self.of_image(image)?],
                (None, _) => vec![self.of_short(layout, &name)?],
            };
            let repository =
                full.as_ref().map(|image| format!("{}/{}", image.registry, image.path)).unwrap_or_default();
            items.push(Item {
                name: if name.is_empty() { entry.digest.to_string() } else { name },
                origins: vec![Origin::Layout(layout.whole(), repository)],
                reference: Reference::Digest(entry.digest.clone()),
                goals,
            });
        }
        Ok(items)
    }

    /// Where an image of a layout goes to whose name there is a tag, or nothing.
    fn of_short(&self, layout: &LayoutPath, name: &str) -> Result<Goal> {
        match self {
            Self::Image(to) => {
                let repository = Repository::of(to).map_err(|error| usage(&to.to_string(), &error))?;
                let tag = to.tag.clone().or_else(|| Reference::tag(name).map(|tag| tag.to_string()));
                Ok(Goal::Registry(repository, tag))
            }
            Self::Layout(path) => {
                let name = path.name.clone().unwrap_or_else(|| name.to_owned());
                let (path, repository, carried_for) = (path.whole(), String::new(), BTreeSet::new());
                Ok(Goal::Layout { path, repository, name, carried_for })
            }
            Self::Prefix(..) => {
                let message =
                    format!("image {name:?} has no repository there: give HOST/REPOSITORY:TAG as destination");
                Err(usage(&layout.to_string(), &message))
            }
        }
    }

    /// Whether a place lies below it.
    fn covers(&self, to: &ImageReference) -> bool {
        let Self::Prefix(registry, prefix) = self else { return false };
        let is_below = || to.path.strip_prefix(prefix).is_some_and(|rest| prefix.is_empty() || rest.starts_with('/'));
        to.registry == registry.name() && is_below()
    }
}

/// The place that a list names: with its tag, or an anchor.
fn exactly(to: &ImageReference) -> Result<Goal> {
    let repository = Repository::of(to).map_err(|error| usage(&to.to_string(), &error))?;
    let pulled = to.as_pulled();
    Ok(Goal::Registry(repository, pulled.tag.filter(|_| pulled.digest.is_none())))
}

/// A name with a registry; `v1` is none.
fn full_name(name: &str) -> Option<ImageReference> {
    let (host, _) = name.split_once('/')?;
    host.contains(['.', ':']).then(|| ImageReference::parse(name).ok())?
}

fn in_layout(path: &LayoutPath, image: &ImageReference, carried_for: BTreeSet<String>) -> Goal {
    let pulled = image.as_pulled();
    let repository = format!("{}/{}", pulled.registry, pulled.path);
    let name = path.name.clone().unwrap_or_else(|| pulled.to_string());
    Goal::Layout { path: path.whole(), repository, name, carried_for }
}

/// The items of one source.
pub fn items(source: &Place, entries: &[Entry], to: &Destination) -> Result<Vec<Item>> {
    match source {
        Place::Image(image) => Ok(vec![of_image(image, vec![to.of_image(image)?])?]),
        Place::Layout(path) => {
            let wanted = path.name.as_deref();
            let named = |entry: &&Entry| wanted.is_none_or(|name| entry.name.as_deref() == Some(name));
            let chosen: Vec<Entry> = entries.iter().filter(named).cloned().collect();
            let items = to.of_entries(path, &chosen)?;
            if items.is_empty() {
                return Err(usage(&path.to_string(), &"there is no such image in it"));
            }
            Ok(items)
        }
    }
}

fn of_image(image: &ImageReference, goals: Vec<Goal>) -> Result<Item> {
    let name = image.to_string();
    let repository = Repository::of(image).map_err(|error| usage(&name, &error))?;
    let reference = Reference::of(image).map_err(|error| usage(&name, &error))?;
    Ok(Item { name, origins: vec![Origin::Registry(repository)], reference, goals })
}

/// The items of a list of `SOURCE=DESTINATION`, as `coverage -o want` prints it. With a destination they go there instead of to
/// the places of the list; a layout notes these for the way back.
pub fn of_want(text: &str, to: Option<&Destination>) -> Result<Vec<Item>> {
    let mut places: BTreeMap<String, (ImageReference, BTreeSet<String>)> = BTreeMap::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let at = format!("line {}", number + 1);
        let (from, mirror) = line.split_once('=').ok_or_else(|| usage(&at, &"it is no SOURCE=DESTINATION"))?;
        let (from, mirror) = (image(from.trim()), image_with_registry(mirror.trim()));
        let (from, mirror) = (from.map_err(|error| usage(&at, &error))?, mirror.map_err(|error| usage(&at, &error))?);
        let (_, mirrors) = places.entry(from.to_string()).or_insert_with(|| (from, BTreeSet::new()));
        mirrors.insert(mirror.to_string());
    }
    let mut items = Vec::new();
    for (image, mirrors) in places.into_values() {
        let goals = match to {
            None => mirrors.iter().map(|name| exactly(&self::image(name)?)).collect::<Result<_>>()?,
            Some(Destination::Layout(path)) => vec![in_layout(path, &image, mirrors)],
            Some(to) => vec![to.of_image(&image)?],
        };
        items.push(of_image(&image, goals)?);
    }
    Ok(items)
}

/// Adds sources: layouts before the image's own registry, which may be out of reach, and registries after it.
pub fn add_sources(items: &mut [Item], from: &[String]) -> Result<()> {
    for text in from {
        let place = match LayoutPath::parse(text) {
            Some(path) => Destination::Layout(path.map_err(|error| usage(text, &error))?),
            None => destination(text, true)?,
        };
        for item in items.iter_mut() {
            let Some(own) = item.origins.iter().find_map(|origin| match origin {
                Origin::Registry(repository) => Some(repository.clone()),
                Origin::Layout(..) => None,
            }) else {
                continue;
            };
            match &place {
                Destination::Layout(path) => item.origins.insert(0, Origin::Layout(path.whole(), own.to_string())),
                Destination::Prefix(registry, prefix) => {
                    item.origins.push(Origin::Registry(below(registry, prefix, own.path())?));
                }
                Destination::Image(_) => {}
            }
        }
    }
    Ok(())
}

/// Whether a destination is for many images. A whole layout may have one: a tag says so.
pub fn is_for_many(sources: &[Place], destination: &str) -> bool {
    let has_tag = destination.rsplit_once('/').is_some_and(|(_, last)| last.contains(':'));
    let is_layout = || matches!(sources, [Place::Layout(path)] if path.name.is_none());
    sources.len() > 1 || is_layout() && !has_tag
}

/// Refuses to read what is written in the same run.
pub fn check_layouts(items: &[Item]) -> Result<()> {
    let read: BTreeSet<&LayoutPath> = items
        .iter()
        .flat_map(|item| &item.origins)
        .filter_map(|origin| match origin {
            Origin::Layout(path, _) => Some(path),
            Origin::Registry(_) => None,
        })
        .collect();
    for goal in items.iter().flat_map(|item| &item.goals) {
        if let Goal::Layout { path, .. } = goal
            && path.form == Form::Archive
            && read.contains(path)
        {
            return Err(usage(&path.to_string(), &"an archive cannot be the source and the destination"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
