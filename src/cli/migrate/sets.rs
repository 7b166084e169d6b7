//! ICSPs as IDMSs and ITMSs.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::super::input::{Input, MirrorObject, of_documents};
use super::super::{console, yaml};
use super::prove;
use crate::mirrors::migrate::{MigratedSet, Migration, SourceObject, migrate};

/// The new objects as YAML. With a live cluster, objects that do not change are not printed.
pub fn convert(input: &Input, tags: bool) -> Result<(Migration, String)> {
    let objects: Vec<SourceObject<'_>> = input.mirror_sets.iter().map(declared).collect();
    let migration = migrate(&objects, tags);
    let print = |sets: &[&MigratedSet]| -> Result<String> {
        let values: Vec<Value> = sets.iter().map(|set| set.to_value()).collect::<Result<_, _>>()?;
        yaml::print_documents(&values)
    };
    let all: Vec<&MigratedSet> = migration.sets.iter().collect();
    let read = of_documents(&print(&all)?).context("failed to parse the output")?;
    let entries: Vec<_> = read.into_iter().flat_map(|object| object.entries).collect();
    report(input, &migration);
    prove(&migration, &entries)?;
    let printed: Vec<&MigratedSet> = all.into_iter().filter(|set| !input.is_live || set.is_converted()).collect();
    let text = print(&printed)?;
    Ok((migration, text))
}

fn declared(object: &MirrorObject) -> SourceObject<'_> {
    SourceObject { kind: object.kind, name: &object.name, labels: &object.labels, entries: &object.entries }
}

/// Reports what the output does not show.
fn report(input: &Input, migration: &Migration) {
    for object in &input.node_sets {
        console::warning(format!("{}/{} is not converted: agents on nodes read this kind", object.kind, object.name));
    }
    let mut times: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for object in &input.mirror_sets {
        *times.entry((object.kind, &object.name)).or_default() += 1;
    }
    for ((kind, name), times) in times.iter().filter(|(_, times)| **times > 1) {
        console::note(format!("{kind}/{name} is in the input {times} times; the entries are combined"));
    }
    for set in migration.sets.iter().filter(|set| set.kinds.len() > 1) {
        let kinds: Vec<&str> = set.kinds.iter().map(String::as_str).collect();
        console::note(format!("{}/{} has the entries of {}", set.kind(), set.name, kinds.join(" and ")));
    }
    if !migration.sets.iter().any(MigratedSet::is_converted) && migration.findings.is_empty() {
        console::warning(
            "nothing to convert: the input has no ImageContentSourcePolicy and no list of sources with an entry",
        );
    }
}
