use super::*;
use crate::hosted::fixtures::{idms, itms};
use crate::mirrors::fixtures::named;

type Source = (&'static str, &'static [&'static str], bool);

fn not_proven(source: &str) -> Unproven {
    Unproven { pool: None, source: source.to_owned(), lacks: Lacks::Own("1 image is missing".to_owned()) }
}

/// The entries that may be live, and the sources that are held.
fn kept(live: &[Source], desired: &[Source]) -> (Vec<MirrorEntry>, Vec<String>) {
    let (mut entries, unproven) = (idms(desired), not_proven("s.example"));
    let held = keep_live(&mut entries, &idms(live), &[&unproven]);
    (entries, held.into_iter().map(|held| held.source).collect())
}

/// What it shows, what is live, what is desired, what results, and how many entries are held.
type Case<'a> = (&'a str, &'a [Source], &'a [Source], &'a [Source], usize);

#[test]
fn an_unproven_source_stays_as_it_is_live() {
    const OLD: Source = ("s.example", &["m.example"], true);
    const NEW: Source = ("s.example", &["n.example"], true);
    const OTHER: Source = ("t.example", &["m.example"], true);
    let cases: [Case; 6] = [
        ("new", &[], &[NEW, OTHER], &[OTHER], 1),
        ("live", &[OLD], &[OLD, OTHER], &[OLD, OTHER], 0),
        ("other mirrors", &[OTHER, OLD], &[OTHER, NEW], &[OTHER, OLD], 1),
        (
            "no fallback any more",
            &[("s.example", &["m.example"], false)],
            &[OLD],
            &[("s.example", &["m.example"], false)],
            1,
        ),
        ("two entries, one is new", &[OLD], &[OLD, NEW], &[OLD], 1),
        ("gone", &[OLD], &[OTHER], &[OTHER], 0),
    ];
    for (what, live, desired, expected, held) in cases {
        // A source that the set does not declare is not among the unproven ones.
        if what == "gone" {
            assert_eq!(keep_live(&mut idms(desired), &idms(live), &[]), []);
            continue;
        }
        let (entries, names) = kept(live, desired);
        let show = |entries: &[MirrorEntry]| -> Vec<(String, Vec<String>, Policy)> {
            entries.iter().map(|entry| (entry.source.clone(), entry.mirrors.clone(), entry.policy())).collect()
        };
        assert_eq!((show(&entries), names.len()), (show(&idms(expected)), held), "{what}");
    }
}

#[test]
fn live_entries_keep_their_places_so_that_the_set_is_not_written() {
    let live = idms(&[
        ("a.example", &["m.example"], false),
        ("s.example", &["m.example"], true),
        ("z.example", &["m.example"], false),
    ]);
    let mut entries = live.clone();
    entries[1].mirrors = vec!["n.example".to_owned()];
    let unproven = not_proven("s.example");
    let held = keep_live(&mut entries, &live, &[&unproven]);
    assert_eq!(entries, live);
    assert_eq!((held[0].mirrors.join(","), held[0].live.join(",")), ("n.example".to_owned(), "m.example".to_owned()));
}

#[test]
fn another_object_that_declares_the_same_is_live_and_tags_are_not_digests() {
    let live = idms(&[("s.example", &["m.example"], true)]);
    let unproven = not_proven("s.example");
    let mut renamed: Vec<MirrorEntry> = live.iter().map(|entry| named("other", entry.clone())).collect();
    assert_eq!(keep_live(&mut renamed, &live, &[&unproven]), []);
    let mut tags = itms(&[("s.example", &["m.example"], true)]);
    assert_eq!(keep_live(&mut tags, &live, &[&unproven]).len(), 1);
    assert_eq!(tags, live);
}
