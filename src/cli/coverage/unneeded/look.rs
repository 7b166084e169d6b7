//! Reads what repositories of mirrors hold.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use futures::stream::{self, StreamExt as _};

use super::super::super::Usage;
use super::super::super::console;
use super::super::super::progress::Bar;
use super::super::super::registry::{Access, ReachArgs};
use super::Needed;
use crate::registry::coverage::unneeded::{ManifestLinks, RegistryLook, RepositoryFacts, RepositoryLook};
use crate::registry::{Digest, Reason, Reference, RegistryAddress, RegistryError, Repository, Target};

/// Repositories at once, and tags of each. The client paces each registry.
const REPOSITORIES: usize = 4;
const TAGS: usize = 16;
/// How deep indexes may be nested.
const MAX_DEPTH: usize = 8;

/// Looks with the credentials of the user: pull secrets are for nodes.
pub struct Look {
    access: Access,
    is_plain: bool,
    needed: Needed,
}

/// A mirror: a registry and a path in it, which may be empty.
struct Mirror {
    registry: RegistryAddress,
    path: String,
}

impl Mirror {
    fn parse(location: &str) -> Result<Self> {
        let (host, path) = location.split_once('/').unwrap_or((location, ""));
        let registry = RegistryAddress::parse(host).map_err(|error| Usage::error(format!("{location}: {error}")))?;
        Ok(Self { registry, path: path.trim_end_matches('/').to_owned() })
    }

    fn covers(&self, path: &str) -> bool {
        let is_below = |rest: &str| rest.is_empty() || rest.starts_with('/');
        self.path.is_empty() || path.strip_prefix(&self.path).is_some_and(is_below)
    }
}

impl Look {
    /// Nothing is asked yet.
    pub fn new(reach: &ReachArgs, needed: Needed) -> Result<Self> {
        Ok(Self { access: reach.access()?, is_plain: reach.plain_http, needed })
    }

    /// Looks at all mirrors.
    pub async fn at(&self, locations: &BTreeSet<String>) -> Result<Vec<RegistryLook>> {
        let mut registries: BTreeMap<RegistryAddress, Vec<(String, Mirror)>> = BTreeMap::new();
        for location in locations {
            let mirror = Mirror::parse(location)?;
            registries.entry(mirror.registry.clone()).or_default().push((location.clone(), mirror));
        }
        let mut looks = Vec::new();
        for (registry, mirrors) in registries {
            looks.push(self.registry(&registry, &mirrors).await?);
        }
        self.access.client.take_notices().iter().for_each(console::warning);
        Ok(looks)
    }

    async fn registry(&self, registry: &RegistryAddress, mirrors: &[(String, Mirror)]) -> Result<RegistryLook> {
        let is_covered = |path: &str| mirrors.iter().any(|(_, mirror)| mirror.covers(path));
        let own = self.needed.keys().filter(|repository| repository.registry == *registry);
        let mut paths: BTreeSet<String> =
            own.map(|repository| repository.path().to_owned()).filter(|path| is_covered(path)).collect();
        let mut look = RegistryLook { registry: registry.name().to_owned(), ..RegistryLook::default() };
        look.mirrors = mirrors.iter().map(|(location, _)| location.clone()).collect();
        match self.catalog(registry).await {
            Ok(names) => paths.extend(names.into_iter().filter(|path| is_covered(path))),
            Err(error) => look.catalog_error = Some(error),
        }
        let bar = Bar::new();
        let (all, mut done) = (paths.len(), 0);
        let repositories = paths.iter().map(|path| self.repository(registry, path));
        let mut repositories = stream::iter(repositories).buffered(REPOSITORIES);
        while let Some(found) = repositories.next().await {
            done += 1;
            bar.count("repositories looked at", done, all);
            look.repositories.extend(found);
        }
        bar.end();
        Ok(look)
    }

    fn address(&self, registry: &RegistryAddress) -> RegistryAddress {
        if self.is_plain { registry.clone().over_http() } else { registry.clone() }
    }

    async fn catalog(&self, registry: &RegistryAddress) -> Result<BTreeSet<String>, String> {
        // Credentials are looked up by repository; those of a registry are for all of it.
        let any = Repository::new(registry.clone(), "catalog").map_err(|error| error.to_string())?;
        let credential = self.access.keychain.credential(&any).await.map_err(|error| error.to_string())?;
        let names = self.access.client.repositories(&self.address(registry), &credential).await;
        names.map_err(|error| error.to_string())
    }

    /// Nothing, if the repository is not there: it is needed, and the mirror lacks it.
    async fn repository(&self, registry: &RegistryAddress, path: &str) -> Option<RepositoryLook> {
        let name = format!("{registry}/{path}");
        let failed = |error: String| {
            Some(RepositoryLook { repository: name.clone(), error: Some(error), ..RepositoryLook::default() })
        };
        let named = match Repository::new(registry.clone(), path) {
            Ok(repository) => repository,
            Err(error) => return failed(error.to_string()),
        };
        let wanted = self.needed.get(&named).cloned().unwrap_or_default();
        match self.facts(&named, &wanted).await {
            Ok(Some(facts)) => Some(RepositoryLook {
                repository: name,
                error: None,
                is_needed: !wanted.is_empty(),
                tags: facts.tags.len(),
                unneeded: facts.unneeded(),
            }),
            Ok(None) => None,
            Err(error) => failed(error),
        }
    }

    async fn facts(&self, named: &Repository, wanted: &BTreeSet<Reference>) -> Result<Option<RepositoryFacts>, String> {
        let credential = self.access.keychain.credential(named).await.map_err(|error| error.to_string())?;
        let repository =
            Repository::new(self.address(&named.registry), named.path()).map_err(|error| error.to_string())?;
        let target = Target { repository: &repository, credential: &credential };
        let client = &self.access.client;
        let Some(tags) = or_absent(client.tags(target, |_| {}).await)? else { return Ok(None) };
        let mut facts = RepositoryFacts::default();
        let heads = stream::iter(tags.tags).map(|tag| async move {
            let head = or_absent(client.head_manifest(target, &Reference::Tag(tag.clone())).await);
            (tag, head)
        });
        let mut heads = heads.buffer_unordered(TAGS);
        while let Some((tag, head)) = heads.next().await {
            if let Some(head) = head? {
                facts.tags.insert(tag, head.digest);
            }
        }
        drop(heads);
        for reference in wanted {
            match reference {
                Reference::Digest(digest) => _ = facts.roots.insert(digest.clone()),
                Reference::Tag(tag) => facts.roots.extend(facts.tags.get(tag).cloned()),
            }
        }
        // What nobody needs has no part that somebody needs.
        if !facts.roots.is_empty() {
            self.read_manifests(target, &mut facts).await?;
        }
        Ok(Some(facts))
    }

    /// Reads what is needed or has a tag, and indexes in these.
    async fn read_manifests(&self, target: Target<'_>, facts: &mut RepositoryFacts) -> Result<(), String> {
        let client = &self.access.client;
        let mut open: BTreeSet<Digest> = facts.roots.iter().chain(facts.tags.values()).cloned().collect();
        for _ in 0..=MAX_DEPTH {
            let reads = std::mem::take(&mut open).into_iter();
            let reads = reads.filter(|digest| !facts.manifests.contains_key(digest)).collect::<Vec<_>>();
            let reads = stream::iter(reads).map(|digest| async move {
                let read = or_absent(client.manifest(target, &Reference::Digest(digest.clone())).await);
                (digest, read)
            });
            let mut reads = reads.buffer_unordered(TAGS);
            while let Some((digest, read)) = reads.next().await {
                // A needed image that the mirror lacks has no parts here.
                let Some(fetched) = read? else { continue };
                let children = &fetched.manifest.children;
                open.extend(
                    children
                        .iter()
                        .filter(|it| it.media_type.contains("index") || it.media_type.contains("list"))
                        .map(|it| it.digest.clone()),
                );
                let links = ManifestLinks {
                    children: children.iter().map(|child| child.digest.clone()).collect(),
                    subject: fetched.manifest.subject.as_ref().map(|subject| subject.digest.clone()),
                };
                facts.manifests.insert(digest, links);
            }
            drop(reads);
            if open.is_empty() {
                return Ok(());
            }
        }
        Err(format!("indexes are nested more than {MAX_DEPTH} deep"))
    }
}

fn or_absent<T>(found: Result<T, RegistryError>) -> Result<Option<T>, String> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.reason() == Reason::NotFound => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_covers_what_is_at_or_below_its_path() {
        let covers = |location: &str, path: &str| Mirror::parse(location).unwrap().covers(path);
        assert!(covers("m.corp:5000", "any/thing"));
        assert!(covers("m.corp/ocp", "ocp") && covers("m.corp/ocp/", "ocp/release"));
        assert!(!covers("m.corp/ocp", "ocp2") && !covers("m.corp/ocp", "other/ocp"));
        assert!(Mirror::parse("a b/c").is_err());
    }
}
