use proptest::prelude::*;

use super::super::fixtures::{any_entries, digest, insecure, named, never, origin, show, tag};
use super::super::{DeclaredPolicy, Policy};
use super::*;

fn merged(entries: &[MirrorEntry]) -> String {
    show(&merge_layer(entries))
}

#[test]
fn sources_and_pulls_by_digest_or_tag_are_merged_separately() {
    let cases: [(&str, Vec<MirrorEntry>, &str); 14] = [
        ("nothing", vec![], ""),
        ("no mirrors", vec![digest("a.io", ""), digest("b.io", "")], ""),
        ("only the source", vec![digest("a.io", "a.io"), tag("b.io", "b.io b.io b.io")], ""),
        (
            "separate sources, ascending",
            vec![digest("s.net", "z1.net y2.net x3.net"), digest("s.com", "z1.com y2.com x3.com")],
            "s.com: z1.com y2.com x3.com | \ns.net: z1.net y2.net x3.net | ",
        ),
        (
            "a shared mirror",
            vec![
                digest("s.net", "z1.net y2.net"),
                digest("s.com", "z1.com y2.com"),
                digest("s.net", "y2.net x3.net"),
                digest("s.com", "y2.com x3.com"),
            ],
            "s.com: z1.com y2.com x3.com | \ns.net: z1.net y2.net x3.net | ",
        ),
        (
            "contradicting lists",
            vec![digest("v.com", "r1.com r2.com"), digest("v.com", "l.com r2.com r1.com")],
            "v.com: l.com r1.com r2.com | ",
        ),
        (
            "by digest and by tag",
            vec![tag("a.io", "t.io"), digest("a.io", "d.io"), tag("a.io", "d.io")],
            "a.io: d.io | d.io t.io",
        ),
        (
            "an order by digest does not contradict one by tag",
            vec![digest("a.io", "m n"), tag("a.io", "n m")],
            "a.io: m n | n m",
        ),
        ("byte order of sources", vec![digest("a/b", "m"), digest("a-b", "m"), digest("a", "m")], {
            "a: m | \na-b: m | \na/b: m | "
        }),
        (
            "nested sources stay apart",
            vec![digest("z.com/a", "m.io/a"), digest("z.com", "m.io")],
            "z.com: m.io | \nz.com/a: m.io/a | ",
        ),
        ("a wildcard is a source", vec![digest("*.z.com", "m.io")], "*.z.com: m.io | "),
        ("a loop keeps the source out", vec![digest("a.com", "m1 m2"), digest("a.com", "m2 m1")], "a.com: m1 m2 | "),
        ("a repeated mirror", vec![digest("z.com", "m2 m2 m1")], "z.com: m2 m1 | "),
        ("empty texts", vec![digest("", "m"), MirrorEntry { mirrors: vec![String::new()], ..digest("a.io", "") }], ""),
    ];
    for (name, entries, expected) in cases {
        assert_eq!(merged(&entries), expected, "{name}");
    }
}

#[test]
fn never_contact_source_applies_to_pulls_by_digest_and_by_tag_but_not_without_a_mirror() {
    let cases: [(&str, Vec<MirrorEntry>, &str); 9] = [
        ("one entry", vec![never(digest("a.io", "m"))], "!a.io: m | "),
        ("another entry allows", vec![never(digest("a.io", "m")), digest("a.io", "n")], "!a.io: m n | "),
        ("the other pull_by allows", vec![digest("a.io", "m"), never(tag("a.io", "n"))], "!a.io: m | n"),
        ("no mirror", vec![never(digest("a.io", ""))], ""),
        ("no mirror, beside one that has", vec![never(digest("a.io", "")), digest("a.io", "m")], "a.io: m | "),
        ("only the source", vec![never(digest("a.io", "a.io")), digest("a.io", "m")], "a.io: m | "),
        ("another source", vec![never(digest("a.io", "m")), digest("a.io/b", "m")], "!a.io: m | \na.io/b: m | "),
        (
            "said aloud",
            vec![MirrorEntry { policy: DeclaredPolicy::parse("AllowContactingSource"), ..digest("a.io", "m") }],
            "a.io: m | ",
        ),
        (
            "an unknown policy allows",
            vec![MirrorEntry { policy: DeclaredPolicy::parse("never"), ..digest("a.io", "m") }],
            "a.io: m | ",
        ),
    ];
    for (name, entries, expected) in cases {
        assert_eq!(merged(&entries), expected, "{name}");
    }
}

#[test]
fn a_mirror_has_its_origins_and_whether_it_is_insecure() {
    let resolved = merge_layer(&[
        named("b", digest("a.io", "m n")),
        named("a", insecure(digest("a.io", "n"))),
        named("c", tag("a.io", "n")),
        named("idle", digest("a.io", "a.io")),
        named("b", digest("a.io", "m")),
    ]);
    let source = &resolved.sources["a.io"];
    assert_eq!(
        source.digest_mirrors,
        [
            Mirror { location: "m".to_owned(), insecure: false, origins: vec![origin("b")] },
            Mirror { location: "n".to_owned(), insecure: true, origins: vec![origin("a"), origin("b")] },
        ]
    );
    assert_eq!(source.tag_mirrors, [Mirror { location: "n".to_owned(), insecure: false, origins: vec![origin("c")] }]);
    assert_eq!(source.origins, [origin("a"), origin("b"), origin("c")]);
}

#[test]
fn a_source_reads_as_plain_lists_in_json() {
    let resolved = merge_layer(&[never(digest("a.io", "m n")), tag("a.io", "t")]);
    let json = serde_json::to_value(&resolved.sources["a.io"]).unwrap();
    assert_eq!(json["digestMirrors"], serde_json::json!(["m", "n"]));
    assert_eq!(json["tagMirrors"], serde_json::json!(["t"]));
    assert_eq!(json["policy"], "NeverContactSource");
    assert_eq!(json["origins"][0]["name"], "set");
}

#[test]
fn all_mirrors_are_the_digest_mirrors_and_then_the_other_tag_mirrors() {
    let resolved = merge_layer(&[digest("a.io", "z m"), tag("a.io", "n z a")]);
    assert_eq!(resolved.sources["a.io"].all_mirrors().collect::<Vec<_>>(), ["z", "m", "n", "a"]);
}

#[test]
fn the_more_specific_layer_comes_first() {
    let cases: [(&str, Vec<MirrorEntry>, Vec<MirrorEntry>, &str); 12] = [
        ("both empty", vec![], vec![], ""),
        ("broader only", vec![digest("a.io", "m")], vec![], "a.io: m | "),
        ("specific only", vec![], vec![tag("a.io", "m")], "a.io:  | m"),
        ("other sources", vec![digest("b.io", "m")], vec![digest("a.io", "n")], "a.io: n | \nb.io: m | "),
        ("appended", vec![digest("a.io", "a b")], vec![digest("a.io", "z y")], "a.io: z y a b | "),
        ("not twice", vec![digest("a.io", "a b c")], vec![digest("a.io", "z b")], "a.io: z b a c | "),
        ("each pull_by", vec![digest("a.io", "m"), tag("a.io", "t")], vec![tag("a.io", "s")], "a.io: m | s t"),
        ("never below", vec![never(digest("a.io", "m"))], vec![digest("a.io", "n")], "!a.io: n m | "),
        ("never above", vec![digest("a.io", "m")], vec![never(tag("a.io", "n"))], "!a.io: m | n"),
        ("a named source stays", vec![digest("a.io", "m")], vec![digest("a.io", "n a.io o")], "a.io: n a.io o m | "),
        ("a source at the end goes", vec![digest("a.io", "a.io m")], vec![digest("a.io", "m")], "a.io: m | "),
        ("nested sources stay", vec![digest("a.io", "m")], vec![digest("a.io/b", "n")], "a.io: m | \na.io/b: n | "),
    ];
    for (name, broader, specific, expected) in cases {
        assert_eq!(show(&overlay(&merge_layer(&broader), &merge_layer(&specific))), expected, "{name}");
    }
}

#[test]
fn layers_unite_origins_and_insecurity() {
    let broader = merge_layer(&[named("a", insecure(digest("s.io", "m"))), named("b", digest("s.io", "o"))]);
    let specific = merge_layer(&[named("c", digest("s.io", "m"))]);
    let source = &overlay(&broader, &specific).sources["s.io"];
    assert_eq!(source.origins, [origin("a"), origin("b"), origin("c")]);
    let united = Mirror { location: "m".to_owned(), insecure: true, origins: vec![origin("a"), origin("c")] };
    assert_eq!(source.digest_mirrors[0], united);
}

/// The entries that say what a map says.
fn entries_of(resolved: &Resolved) -> Vec<MirrorEntry> {
    let mut entries = Vec::new();
    for (name, source) in &resolved.sources {
        for (pull_by, mirrors) in [(PullBy::Digest, &source.digest_mirrors), (PullBy::Tag, &source.tag_mirrors)] {
            let mirrors: Vec<&str> = mirrors.iter().map(|mirror| mirror.location.as_str()).collect();
            let entry = super::super::fixtures::entry(pull_by, name, &mirrors.join(" "));
            entries.push(if source.policy == Policy::NeverContactSource { never(entry) } else { entry });
        }
    }
    entries
}

proptest! {
    #[test]
    fn the_order_of_entries_never_matters(
        (entries, shuffled) in any_entries().prop_flat_map(|entries| (Just(entries.clone()), Just(entries).prop_shuffle()))
    ) {
        prop_assert_eq!(merge_layer(&entries), merge_layer(&shuffled));
    }

    #[test]
    fn merging_what_is_merged_changes_nothing(entries in any_entries()) {
        let merged = merge_layer(&entries);
        prop_assert_eq!(show(&merge_layer(&entries_of(&merged))), show(&merged));
    }

    #[test]
    fn an_entry_twice_is_an_entry_once(entries in any_entries()) {
        let twice: Vec<MirrorEntry> = entries.iter().chain(&entries).cloned().collect();
        prop_assert_eq!(merge_layer(&twice), merge_layer(&entries));
    }

    #[test]
    fn a_layer_over_itself_or_over_nothing_is_itself(entries in any_entries()) {
        let merged = merge_layer(&entries);
        prop_assert_eq!(&overlay(&merged, &merged), &merged);
        prop_assert_eq!(&overlay(&Resolved::default(), &merged), &merged);
        prop_assert_eq!(&overlay(&merged, &Resolved::default()), &merged);
    }

    #[test]
    fn the_specific_order_is_kept_and_nothing_is_lost(broader in any_entries(), specific in any_entries()) {
        let (broader, specific) = (merge_layer(&broader), merge_layer(&specific));
        let both = overlay(&broader, &specific);
        for (name, source) in &specific.sources {
            let got: Vec<&str> = both.sources[name].digest_mirrors.iter().map(|m| m.location.as_str()).collect();
            let wanted: Vec<&str> = source.digest_mirrors.iter().map(|m| m.location.as_str()).collect();
            prop_assert_eq!(got.get(..wanted.len()), Some(wanted.as_slice()));
        }
        for (name, source) in &broader.sources {
            let got: Vec<&str> = both.sources[name].all_mirrors().collect();
            prop_assert!(source.all_mirrors().all(|mirror| mirror == name || got.contains(&mirror)));
            prop_assert!(source.policy <= both.sources[name].policy);
        }
    }
}
