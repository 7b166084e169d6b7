use proptest::prelude::*;

use super::super::entry::of_object;
use super::super::fixtures::{digest, named, never, tag};
use super::super::{Layer, Origin};
use super::*;

const POLICY: &str = "ImageContentSourcePolicy";
const NO_LABELS: &BTreeMap<String, String> = &BTreeMap::new();

/// The entry as it stands in an ImageContentSourcePolicy.
fn of_policy(name: &str, entry: MirrorEntry) -> MirrorEntry {
    let entry = named(name, entry);
    let origin = Origin { kind: POLICY.to_owned(), ..entry.origin };
    MirrorEntry { list: "spec.repositoryDigestMirrors", origin, policy: None, ..entry }
}

fn declared<'a>(kind: &'a str, name: &'a str, entries: &'a [MirrorEntry]) -> SourceObject<'a> {
    SourceObject { kind, name, labels: NO_LABELS, entries }
}

/// The entries of the new objects, read back from what they print as.
fn read_back(migration: &Migration) -> Vec<MirrorEntry> {
    let read = |set: &MigratedSet| {
        let value = set.to_value().unwrap();
        match set.pull_by {
            PullBy::Digest => {
                let object: ImageDigestMirrorSet = serde_json::from_value(value).unwrap();
                of_object(&set.name, &object.spec, Layer::Management)
            }
            PullBy::Tag => {
                let object: ImageTagMirrorSet = serde_json::from_value(value).unwrap();
                of_object(&set.name, &object.spec, Layer::Management)
            }
        }
    };
    migration.sets.iter().flat_map(read).collect()
}

fn names(migration: &Migration) -> Vec<(&'static str, &str, usize)> {
    migration.sets.iter().map(|set| (set.kind(), set.name.as_str(), set.entries.len())).collect()
}

#[test]
fn each_policy_becomes_a_digest_set_of_its_name() {
    let (a, b) = ([of_policy("a", digest("s.io", "m.io"))], [of_policy("b", digest("s.io", "n.io"))]);
    let objects = [declared(POLICY, "b", &b), declared(POLICY, "a", &a)];
    let migration = migrate(&objects, false);
    assert_eq!(names(&migration), [("ImageDigestMirrorSet", "a", 1), ("ImageDigestMirrorSet", "b", 1)]);
    let expected = serde_json::json!({
        "apiVersion": "config.openshift.io/v1", "kind": "ImageDigestMirrorSet", "metadata": {"name": "a"},
        "spec": {"imageDigestMirrors": [{"source": "s.io", "mirrors": ["m.io"]}]}
    });
    assert_eq!(migration.sets[0].to_value().unwrap(), expected);
    assert!(migration.sets.iter().all(MigratedSet::is_converted));
}

#[test]
fn policies_of_one_name_are_merged_and_kept_beside_a_digest_set_of_that_name() {
    let one = [of_policy("x", digest("s.io", "m.io m.io n.io")), of_policy("x", digest("t.io", "m.io"))];
    let two = [of_policy("x", digest("s.io", "m.io n.io")), of_policy("x", digest("s.io", "o.io"))];
    let set = [named("x", never(digest("u.io", "m.io")))];
    let labels = BTreeMap::from([("k".to_owned(), "v".to_owned())]);
    let objects = [
        declared(POLICY, "x", &one),
        SourceObject { labels: &labels, ..declared(POLICY, "x", &two) },
        declared("ImageDigestMirrorSet", "x", &set),
    ];
    let migration = migrate(&objects, false);
    assert_eq!(names(&migration), [("ImageDigestMirrorSet", "x", 4)]);
    assert_eq!(migration.sets[0].entries[0].mirrors, ["m.io", "n.io"], "to the API server the list is a set");
    assert_eq!(migration.sets[0].labels, labels);
    assert_eq!(migration.sets[0].entries[3].mirror_source_policy.as_deref(), Some("NeverContactSource"));
    assert_eq!(migration.sets[0].kinds.len(), 2);
}

#[test]
fn with_tags_policies_count_for_tags_too_and_digest_sets_do_not() {
    let policy = [of_policy("p", digest("s.io", "m.io"))];
    let (set, tags) = ([named("d", digest("t.io", "m.io"))], [named("p", tag("s.io", "o.io"))]);
    let objects = [
        declared(POLICY, "p", &policy),
        declared("ImageDigestMirrorSet", "d", &set),
        declared("ImageTagMirrorSet", "p", &tags),
    ];
    let migration = migrate(&objects, true);
    let expected = [("ImageDigestMirrorSet", "d", 1), ("ImageDigestMirrorSet", "p", 1), ("ImageTagMirrorSet", "p", 2)];
    assert_eq!(names(&migration), expected);
    assert_eq!(migration.wanted.len(), 4);
}

#[test]
fn an_entry_that_no_digest_set_can_hold_is_an_error_with_object_field_and_value() {
    let cases = [
        ("q.io/a@sha256:1f", "m.io/a", "spec.repositoryDigestMirrors[0].source", "q.io/a@sha256:1f"),
        ("q.io/a", "m.io/a m.io/a:v1", "spec.repositoryDigestMirrors[0].mirrors[1]", "m.io/a:v1"),
        ("q.io/A", "m.io", "spec.repositoryDigestMirrors[0].source", "q.io/A"),
    ];
    for (source, mirrors, field, value) in cases {
        let entries = [of_policy("old", digest(source, mirrors)), of_policy("old", digest("good.io", "m.io"))];
        let migration = migrate(&[declared(POLICY, "old", &entries)], true);
        let found: Vec<_> = migration.findings.iter().map(|f| (f.field.as_str(), f.value.as_str())).collect();
        assert_eq!(found, [(field, value)]);
        assert_eq!(migration.findings[0].origin.to_string(), "ImageContentSourcePolicy/old[0]");
        assert!(migration.findings[0].message.contains("ignored"), "{}", migration.findings[0].message);
        assert_eq!(names(&migration), [("ImageDigestMirrorSet", "old", 1), ("ImageTagMirrorSet", "old", 1)]);
    }
}

#[test]
fn a_difference_names_the_image_and_both_lists() {
    let before = [digest("s.io", "m.io n.io"), digest("same.io", "m.io")];
    let (found, images) = differences(&before, &[digest("s.io", "n.io m.io"), digest("same.io", "m.io")]);
    assert_eq!((found.len(), images), (2, 8), "by digest, one and two levels below");
    let image = format!("s.io/sample@{DIGEST}");
    assert_eq!(found[1].image, image);
    assert_eq!(found[1].before, format!("m.io/sample@{DIGEST}, n.io/sample@{DIGEST}, {image}"));
    assert!(found[1].after.starts_with("n.io/sample@"), "{found:?}");
}

#[test]
fn more_than_the_names_of_mirrors_is_compared() {
    let cases: [(&str, Vec<MirrorEntry>, Vec<MirrorEntry>); 5] = [
        ("policy", vec![digest("s.io", "m.io")], vec![never(digest("s.io", "m.io"))]),
        ("pull_by", vec![digest("s.io", "m.io")], vec![tag("s.io", "m.io")]),
        ("lost", vec![digest("s.io/a/b", "m.io/x")], vec![]),
        ("a wildcard", vec![digest("*.s.io", "m.io")], vec![digest("s.io", "m.io")]),
        ("a blocked mirror", vec![digest("s.io", "m.io"), never(digest("m.io", "n.io"))], vec![digest("s.io", "m.io")]),
    ];
    for (name, before, after) in cases {
        assert!(!differences(&before, &after).0.is_empty(), "{name}");
        assert!(!differences(&after, &before).0.is_empty(), "{name}");
        assert!(differences(&before, &before).0.is_empty(), "{name}");
    }
}

/// Policies whose lists meet, contradict each other, repeat mirrors and name their own source.
fn any_policies() -> impl Strategy<Value = Vec<(String, Vec<MirrorEntry>)>> {
    let location = proptest::sample::select(vec!["a.io", "b.io", "c.io/x", "d.io:5000", "e.io/x/y", "s.io", "t.io/p"]);
    let source = proptest::sample::select(vec!["a.io", "s.io", "t.io/p", "t.io/p/q", "*.w.io", "s.io/x@sha256:1f"]);
    let entry = (source, proptest::collection::vec(location, 0..5));
    let entry = entry.prop_map(|(source, mirrors)| digest(source, &mirrors.join(" ")));
    let policy = ("[ab]", proptest::collection::vec(entry, 0..4));
    let policy = policy.prop_map(|(name, entries)| {
        let entries = entries.into_iter().map(|entry| of_policy(&name, entry)).collect();
        (name, entries)
    });
    proptest::collection::vec(policy, 0..5)
}

proptest! {
    #[test]
    fn the_new_objects_resolve_as_the_policies_did(policies in any_policies(), tags in any::<bool>()) {
        let objects: Vec<_> = policies.iter().map(|(name, entries)| declared(POLICY, name, entries)).collect();
        let migration = migrate(&objects, tags);
        let (found, _) = differences(&migration.wanted, &read_back(&migration));
        prop_assert_eq!(found, vec![]);
        // By digest nothing is different from what the policies said, but for what was reported.
        let reported: Vec<&str> = migration.findings.iter().map(|finding| finding.value.as_str()).collect();
        let old = policies.iter().flat_map(|(_, entries)| entries);
        let old: Vec<MirrorEntry> = old.filter(|entry| !reported.contains(&entry.source.as_str())).cloned().collect();
        let new: Vec<MirrorEntry> =
            read_back(&migration).into_iter().filter(|entry| entry.pull_by == PullBy::Digest).collect();
        prop_assert_eq!(differences(&old, &new).0, vec![]);
        for set in &migration.sets {
            for entry in &set.entries {
                let unique: BTreeSet<&String> = entry.mirrors.iter().collect();
                prop_assert_eq!(unique.len(), entry.mirrors.len());
            }
        }
    }
}
