//! What a proof is made for: the declared mirrors of a hosted cluster and what it needs. The registry-manager and the manager
//! compute it by the same code from the same objects, so that a proof for other mirrors does not count.

use std::collections::{BTreeMap, BTreeSet};

use crate::digest::short_digest;
use crate::hosted::delivery::Delivery;
use crate::hosted::pool_config::{KnownPool, PoolSources};
use crate::hosted::sources::OwnSources;
use crate::mirrors::{Mirror, MirrorEntry, Policy, Resolved};

/// The declared mirrors of a hosted cluster, live or not.
#[derive(Clone, Copy, Debug)]
pub struct Declared<'a> {
    /// The map of its control plane.
    pub map: &'a Resolved,
    /// Its own mirrors.
    pub own: &'a OwnSources,
    /// Its NodePools, by name.
    pub pools: &'a BTreeMap<String, KnownPool>,
    /// The mirrors of its NodePools, by name.
    pub sources: &'a BTreeMap<String, PoolSources>,
}

impl Declared<'_> {
    /// The sources without a fallback, of the control plane or of nodes.
    pub fn gated(&self) -> BTreeSet<&str> {
        let of_map = self.map.sources.iter().filter(|(_, source)| source.policy == Policy::NeverContactSource);
        let of_nodes = self.entries().map(|(_, entry)| entry).filter(|entry| has_no_fallback(entry));
        of_map.map(|(source, _)| source.as_str()).chain(of_nodes.map(|entry| entry.source.as_str())).collect()
    }

    /// All entries for nodes, with the NodePool that they are for.
    fn entries(&self) -> impl Iterator<Item = (&str, &MirrorEntry)> {
        let of_pools = self
            .sources
            .iter()
            .flat_map(|(pool, sources)| sources.entries.iter().map(move |entry| (pool.as_str(), entry)));
        self.own.entries.iter().map(|entry| ("", entry)).chain(of_pools)
    }

    /// A line for each source of the control plane that is `wanted`.
    fn map_lines(&self, wanted: impl Fn(&str) -> bool) -> impl Iterator<Item = String> {
        let sources = self.map.sources.iter().filter(move |(name, _)| wanted(name));
        sources.map(|(name, source)| {
            let (digest, tag) = (locations(&source.digest_mirrors), locations(&source.tag_mirrors));
            format!("map {name} {} {digest} | {tag}", source.policy.as_str())
        })
    }

    /// A line for each entry for nodes that is `wanted`, without its origin.
    fn node_lines(&self, wanted: impl Fn(&str) -> bool) -> BTreeSet<String> {
        let entries = self.entries().filter(|(_, entry)| wanted(&entry.source));
        let line = |(pool, entry): (&str, &MirrorEntry)| {
            let MirrorEntry { pull_by, source, mirrors, insecure, .. } = entry;
            let stock = if entry.is_image_content_source() { "stock" } else { "" };
            format!(
                "node {pool} {stock} {pull_by:?} {source} {} {insecure} {}",
                entry.policy().as_str(),
                mirrors.join(",")
            )
        };
        entries.map(line).collect()
    }
}

/// Whether the source of an entry may not be contacted.
pub fn has_no_fallback(entry: &MirrorEntry) -> bool {
    entry.policy() == Policy::NeverContactSource
}

fn locations(mirrors: &[Mirror]) -> String {
    let one = |mirror: &Mirror| format!("{}{}", mirror.location, if mirror.insecure { "!" } else { "" });
    mirrors.iter().map(one).collect::<Vec<_>>().join(",")
}

/// The digest of everything that decides whether mirrors hold what is needed. `needs` is a digest of the needs.
pub fn subject(declared: &Declared<'_>, delivery: Delivery, needs: &str) -> String {
    let mut lines: Vec<String> = declared.map_lines(|_| true).collect();
    lines.extend(declared.node_lines(|_| true));
    for (name, pool) in declared.pools {
        let delivery = Delivery::of_pool(delivery, pool.delivery).as_str();
        lines.push(format!("pool {name} {delivery}"));
        let files = declared.sources.get(name).map(|sources| sources.files.as_slice()).unwrap_or_default();
        lines.extend(files.iter().map(|file| {
            let content = short_digest(&String::from_utf8_lossy(&file.content));
            format!("file {name} {} {content}", file.path)
        }));
    }
    lines.push(format!("delivery {}", delivery.as_str()));
    lines.push(format!("needs {needs}"));
    short_digest(&lines.join("\n"))
}

/// The value that lets the current sources without a fallback through. It changes with their mirrors, but not with other sources,
/// and not when some of them go live.
pub fn token(declared: &Declared<'_>) -> String {
    let gated = declared.gated();
    let mut lines: Vec<String> = declared.map_lines(|name| gated.contains(name)).collect();
    lines.extend(declared.node_lines(|name| gated.contains(name)));
    short_digest(&lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hosted::fixtures::idms;
    use crate::mirrors::merge::merge_layer;

    type Source<'a> = (&'a str, &'a [&'a str], bool);

    /// The subject and the token of a map, entries of nodes and needs.
    fn of(map: &[Source<'_>], nodes: &[Source<'_>], needs: &str) -> (String, String) {
        let (map, own) = (merge_layer(&idms(map)), OwnSources { entries: idms(nodes).into(), ..OwnSources::default() });
        let (pools, sources) = (BTreeMap::new(), BTreeMap::new());
        let declared = Declared { map: &map, own: &own, pools: &pools, sources: &sources };
        (subject(&declared, Delivery::Agent, needs), token(&declared))
    }

    #[test]
    fn a_proof_is_for_all_mirrors_and_needs_and_an_approval_for_the_sources_without_a_fallback() {
        let never: Source<'_> = ("a.example", &["m.example"], true);
        let (subject, token) = of(&[never], &[], "n");
        for (what, map, nodes, needs, same_subject, same_token) in [
            ("the same", vec![never], vec![], "n", true, true),
            ("other mirrors", vec![("a.example", &["n.example"] as &[&str], true)], vec![], "n", false, false),
            ("a longer prefix", vec![never, ("a.example/b", &["x.example"], false)], vec![], "n", false, true),
            ("nodes", vec![never], vec![never], "n", false, false),
            (
                "nodes with a fallback",
                vec![never],
                vec![("b.example", &["m.example"] as &[&str], false)],
                "n",
                false,
                true,
            ),
            ("a new release", vec![never], vec![], "other", false, true),
        ] {
            let (other_subject, other_token) = of(&map, &nodes, needs);
            assert_eq!((other_subject == subject, other_token == token), (same_subject, same_token), "{what}");
        }
    }

    #[test]
    fn the_order_of_entries_does_not_matter() {
        let (a, b): (Source<'_>, Source<'_>) =
            (("a.example", &["m.example"], true), ("b.example", &["m.example"], false));
        assert_eq!(of(&[], &[a, b], "n"), of(&[], &[b, a], "n"));
    }
}
