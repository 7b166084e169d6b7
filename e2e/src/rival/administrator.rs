//! Simulates an administrator who edits mirrors and HostedClusters at random, and computes the expected value of each target.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::Random;
use super::values::FLAG;
use crate::Fleet;
use crate::fleet::objects;

/// The annotation with which a hosted cluster opts out.
pub const MANAGEMENT_MIRRORS: &str = "hypermirror.dev/management-mirrors";

/// Ordered mirrors of each source.
pub type Map = BTreeMap<String, Vec<String>>;

/// One entry of a set: source, mirrors, and whether its policy is NeverContactSource.
type Entry = (String, Vec<String>, bool);

/// Each object with its possible sources. Each source is in only one object of a pool, because other tests cover merging.
const OBJECTS: [(&str, &str, &[&str]); 4] = [
    ("idms", "one", &["a.example/one", "b.example/one", "c.example/one"]),
    ("idms", "two", &["a.example/two", "d.example"]),
    ("icsp", "old", &["e.example/old", "f.example/old"]),
    ("itms", "tags", &["a.example/one", "t.example/tags"]),
];

/// The current content of the mirror objects.
#[derive(Default)]
pub struct Administrator {
    sets: BTreeMap<usize, Vec<Entry>>,
}

impl Administrator {
    /// Changes one object at random: other mirrors, another order, other sources, or its deletion.
    ///
    /// # Errors
    ///
    /// If the API server rejects it.
    pub async fn edit(&mut self, fleet: &Fleet, random: &mut Random) -> Result<()> {
        let (place, (kind, name, sources)) = *random.one_of(&OBJECTS.iter().copied().enumerate().collect::<Vec<_>>());
        if self.sets.contains_key(&place) && random.percent(15) {
            self.sets.remove(&place);
            fleet.delete(&object(kind, name, &[])).await?;
            return Ok(());
        }
        let mut entries = Vec::new();
        for source in sources {
            if random.percent(30) {
                continue;
            }
            let strict = kind == "idms" && random.percent(15);
            entries.push(((*source).to_owned(), mirrors(source, random), strict));
        }
        fleet.apply(&object(kind, name, &entries)).await?;
        self.sets.insert(place, entries);
        Ok(())
    }

    /// Replaces the entries of one object, or deletes it if there are none.
    ///
    /// # Errors
    ///
    /// If there is no such object, or the server refuses it.
    pub async fn declare(&mut self, fleet: &Fleet, name: &str, list: &[(&str, &[&str])]) -> Result<()> {
        self.write(fleet, name, list, false).await
    }

    /// Like [`Self::declare`], with `NeverContactSource`.
    ///
    /// # Errors
    ///
    /// If there is no such object, or the server refuses it.
    pub async fn forbid(&mut self, fleet: &Fleet, name: &str, list: &[(&str, &[&str])]) -> Result<()> {
        self.write(fleet, name, list, true).await
    }

    async fn write(&mut self, fleet: &Fleet, name: &str, list: &[(&str, &[&str])], strict: bool) -> Result<()> {
        let objects = || OBJECTS.iter().enumerate();
        let (place, (kind, _, _)) = objects().find(|(_, object)| object.1 == name).context("no such object")?;
        let texts = |mirrors: &[&str]| mirrors.iter().map(|&mirror| mirror.to_owned()).collect();
        let entries: Vec<Entry> =
            list.iter().map(|(source, mirrors)| ((*source).to_owned(), texts(mirrors), strict)).collect();
        if entries.is_empty() {
            self.sets.remove(&place);
            return fleet.delete(&object(kind, name, &[])).await;
        }
        fleet.apply(&object(kind, name, &entries)).await?;
        self.sets.insert(place, entries);
        Ok(())
    }

    /// The map of a hosted cluster, and its sources with NeverContactSource.
    pub fn map(&self, member: &Member) -> (Map, BTreeSet<String>) {
        let mut map: Map = member.own_map();
        let mut strict = BTreeSet::new();
        if member.opted_out {
            return (map, strict);
        }
        let digests = self.sets.iter().filter(|(place, _)| OBJECTS[**place].0 != "itms");
        let tags = self.sets.iter().filter(|(place, _)| OBJECTS[**place].0 == "itms");
        for (source, mirrors, never) in digests.chain(tags).flat_map(|(_, entries)| entries) {
            let known = map.entry(source.clone()).or_default();
            let further: Vec<String> = mirrors.iter().filter(|mirror| !known.contains(mirror)).cloned().collect();
            known.extend(further);
            if *never {
                strict.insert(source.clone());
            }
        }
        (map, strict)
    }
}

/// One to three mirrors, in any order.
fn mirrors(source: &str, random: &mut Random) -> Vec<String> {
    let mut hosts = vec!["z", "m", "b"];
    let mut mirrors = Vec::new();
    for _ in 0..=random.below(3) {
        let place = usize::try_from(random.below(hosts.len() as u64)).unwrap_or_default();
        mirrors.push(format!("{}-mirror.example/{}", hosts.remove(place), source.replace('/', "-")));
    }
    mirrors
}

fn object(kind: &str, name: &str, entries: &[Entry]) -> Value {
    let texts: Vec<Vec<&str>> =
        entries.iter().map(|(_, mirrors, _)| mirrors.iter().map(String::as_str).collect()).collect();
    let entries: Vec<objects::Entry<'_>> = entries
        .iter()
        .zip(&texts)
        .map(|((source, _, strict), mirrors)| {
            (source.as_str(), mirrors.as_slice(), strict.then_some("NeverContactSource"))
        })
        .collect();
    match kind {
        "idms" => objects::idms(name, &entries),
        "itms" => objects::itms(name, &entries),
        _ => objects::icsp(name, &entries),
    }
}

/// A hosted cluster of the fleet.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Whether it opts out of the management mirrors.
    pub opted_out: bool,
    /// Whether it has its own mirrors.
    pub own: bool,
    /// The static flag of its hypershift operator, which only stock operators know.
    pub flag: &'static str,
}

/// The own mirrors of a member, if it has any. Stock operators lose the order of the first one.
pub const OWN: [objects::Entry<'_>; 2] = [
    ("own.example/x", &["z-mirror.example/own", "a-mirror.example/own"], None),
    ("b.example/one", &["own-mirror.example/b"], None),
];

impl Member {
    /// Its annotations.
    pub fn annotations(&self) -> Value {
        json!({ MANAGEMENT_MIRRORS: if self.opted_out { "Ignore" } else { "Use" } })
    }

    /// Its imageContentSources.
    pub fn sources(&self) -> &'static [objects::Entry<'static>] {
        if self.own { &OWN } else { &[] }
    }

    /// Toggles the opt-out.
    ///
    /// # Errors
    ///
    /// If the API server rejects it.
    pub async fn turn(&mut self, fleet: &Fleet) -> Result<()> {
        self.opted_out = !self.opted_out;
        let object = objects::hosted_cluster(&self.name, &[]);
        fleet.merge(&object, &json!({"metadata": {"annotations": self.annotations()}})).await?;
        Ok(())
    }

    fn own_map(&self) -> Map {
        let entry = |(source, mirrors, _): &objects::Entry<'_>| {
            ((*source).to_owned(), mirrors.iter().map(|mirror| (*mirror).to_owned()).collect())
        };
        self.sources().iter().map(entry).collect()
    }
}

/// Finds a member by name.
pub fn member(name: &str, opted_out: bool, own: bool, flag: &'static str) -> Member {
    Member { name: name.to_owned(), opted_out, own, flag }
}

/// Hosted clusters with all combinations of settings.
pub fn every_sort() -> Vec<Member> {
    vec![
        member("c0", false, false, "="),
        member("c1", false, false, "="),
        member("c2", false, false, "="),
        member("c3", false, false, FLAG),
        member("c4", false, true, "="),
        member("c5", false, true, FLAG),
        member("c6", true, false, "="),
        member("c7", true, true, "="),
        member("c8", true, true, FLAG),
        member("c9", true, false, FLAG),
    ]
}
