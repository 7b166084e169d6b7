//! ICSP as IDMS and ITMS.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::super::input::{Input, MirrorObject, of_documents};
use super::super::{console, yaml};
use super::prove;
use crate::mirrors::migrate::{Declared, MigratedSet, Migration, migrate};

/// The new objects as YAML. Of a live cluster what stays as it is is not among them.
pub fn convert(input: &Input, tags: bool) -> Result<(Migration, String)> {
    let objects: Vec<Declared<'_>> = input.mirror_sets.iter().map(declared).collect();
    let migration = migrate(&objects, tags);
    let print = |sets: &[&MigratedSet]| -> Result<String> {
        let values: Vec<Value> = sets.iter().map(|set| set.to_value()).collect::<Result<_, _>>()?;
        yaml::print_documents(&values)
    };
    let all: Vec<&MigratedSet> = migration.sets.iter().collect();
    let read = of_documents(&print(&all)?).context("what is printed does not read back")?;
    let entries: Vec<_> = read.into_iter().flat_map(|object| object.entries).collect();
    tell(input, &migration);
    prove(&migration, &entries)?;
    let printed: Vec<&MigratedSet> = all.into_iter().filter(|set| !input.is_live || set.is_converted()).collect();
    let text = print(&printed)?;
    Ok((migration, text))
}

fn declared(object: &MirrorObject) -> Declared<'_> {
    Declared { kind: object.kind, name: &object.name, labels: &object.labels, entries: &object.entries }
}

/// Tells what a reader would not see in the output.
fn tell(input: &Input, migration: &Migration) {
    for object in &input.node_sets {
        console::warning(format!("{}/{} is for the nodes' own agent and stays as it is", object.kind, object.name));
    }
    let mut times: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for object in &input.mirror_sets {
        *times.entry((object.kind, &object.name)).or_default() += 1;
    }
    for ((kind, name), times) in times.iter().filter(|(_, times)| **times > 1) {
        console::note(format!("{kind}/{name} is there {times} times: its entries are taken together"));
    }
    for set in migration.sets.iter().filter(|set| set.kinds.len() > 1) {
        let kinds: Vec<&str> = set.kinds.iter().map(String::as_str).collect();
        console::note(format!("{}/{} holds the entries of {}", set.kind(), set.name, kinds.join(" and ")));
    }
    if !migration.sets.iter().any(MigratedSet::is_converted) && migration.findings.is_empty() {
        console::warning(
            "there is no ImageContentSourcePolicy and no list of sources with an entry: nothing to convert",
        );
    }
}
