//! An administrator who edits mirrors and HostedClusters by chance, and what each target has to say then.

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

/// One entry of a set: source, mirrors, whether the source may never be contacted.
type Entry = (String, Vec<String>, bool);

/// Each object with the sources that it may name. A source is in one object of a pool only: how objects merge is tested
/// elsewhere.
const OBJECTS: [(&str, &str, &[&str]); 4] = [
    ("idms", "one", &["a.example/one", "b.example/one", "c.example/one"]),
    ("idms", "two", &["a.example/two", "d.example"]),
    ("icsp", "old", &["e.example/old", "f.example/old"]),
    ("itms", "tags", &["a.example/one", "t.example/tags"]),
];

/// What stands in the mirror objects now.
#[derive(Default)]
pub struct Administrator {
    sets: BTreeMap<usize, Vec<Entry>>,
}

impl Administrator {
    /// Changes one object by chance: other mirrors, another order, other sources, or it goes.
    ///
    /// # Errors
    ///
    /// When the server refuses it.
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

    /// Has one object say exactly this; nothing: it goes.
    ///
    /// # Errors
    ///
    /// When there is no such object, or the server refuses it.
    pub async fn declare(&mut self, fleet: &Fleet, name: &str, list: &[(&str, &[&str])]) -> Result<()> {
        self.say(fleet, name, list, false).await
    }

    /// The same with `NeverContactSource`.
    ///
    /// # Errors
    ///
    /// When there is no such object, or the server refuses it.
    pub async fn forbid(&mut self, fleet: &Fleet, name: &str, list: &[(&str, &[&str])]) -> Result<()> {
        self.say(fleet, name, list, true).await
    }

    async fn say(&mut self, fleet: &Fleet, name: &str, list: &[(&str, &[&str])], strict: bool) -> Result<()> {
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

    /// The map of a hosted cluster, and which of its sources may never be contacted.
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
    /// Whether it wants no management mirrors.
    pub opted_out: bool,
    /// Whether it has mirrors of its own.
    pub own: bool,
    /// The static flag of its hypershift operator: what nobody but the stock operators knows.
    pub flag: &'static str,
}

/// The mirrors of its own that a member has, if it has any: the order of the first is lost on stock operators.
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

    /// Opts out, or in again.
    ///
    /// # Errors
    ///
    /// When the server refuses it.
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

/// One by name.
pub fn member(name: &str, opted_out: bool, own: bool, flag: &'static str) -> Member {
    Member { name: name.to_owned(), opted_out, own, flag }
}

/// Hosted clusters of every sort.
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
