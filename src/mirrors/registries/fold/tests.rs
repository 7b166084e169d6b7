use super::super::{DROP_IN, Rendered, Role, explain, render, render_over, with_ours};
use super::*;
use crate::mirrors::merge::merge_layer;
use crate::mirrors::{ImageReference, Layer, MirrorEntry, Origin, PullBy};

fn entry(source: &str, mirrors: &[&str], never: bool) -> MirrorEntry {
    MirrorEntry {
        pull_by: PullBy::Tag,
        source: source.to_owned(),
        mirrors: mirrors.iter().map(|&mirror| mirror.to_owned()).collect(),
        policy: never.then_some(crate::mirrors::DeclaredPolicy::Known(Policy::NeverContactSource)),
        insecure: false,
        list: "spec.imageTagMirrors",
        origin: Origin {
            kind: "ImageTagMirrorSet".to_owned(),
            namespace: None,
            name: "set".to_owned(),
            key: None,
            document: None,
            index: 0,
            layer: Layer::NodePool,
        },
    }
}

fn base(text: &str) -> RegistriesConfig {
    RegistriesConfig::load(Some(("registries.conf", text.as_bytes())), []).unwrap()
}

fn endpoints(config: &RegistriesConfig, image: &str) -> Vec<String> {
    let explanation = explain(config, image);
    assert_eq!(explanation.error, None, "{image}");
    let flags = |insecure, blocked| match (insecure, blocked) {
        (false, false) => "",
        (true, false) => " insecure",
        (false, true) => " blocked",
        (true, true) => " insecure blocked",
    };
    let endpoints = explanation.endpoints.into_iter();
    endpoints.map(|found| found.reference + flags(found.insecure, found.blocked)).collect()
}

/// The endpoints of an image on a node with this base file and our drop-in.
fn folded(entries: &[MirrorEntry], text: &str, image: &str) -> Vec<String> {
    let foreign = base(text);
    let rendered = render(&merge_layer(entries), &foreign).unwrap();
    endpoints(&with_ours(&foreign, &rendered).unwrap(), image)
}

#[test]
fn a_source_that_is_never_contacted_is_contacted_nowhere_else_either() {
    let text = "[[registry]]\nprefix = \"s.example\"\nlocation = \"real.example\"\n";
    let never = [entry("s.example", &["m.example"], true)];
    assert_eq!(folded(&never, text, "s.example/x:1"), ["m.example/x:1", "s.example/x:1 blocked"]);
    let nested = [entry("s.example/ns", &["m.example/ns"], true)];
    assert_eq!(folded(&nested, text, "s.example/ns/x:1"), ["m.example/ns/x:1", "s.example/ns/x:1 blocked"]);
    assert_eq!(folded(&nested, text, "s.example/y:1"), ["real.example/y:1"]);
}

#[test]
fn a_broader_table_that_relocates_a_registry_applies_to_the_source() {
    let text = "[[registry]]\nprefix = \"s.example\"\nlocation = \"real.example/s\"\ninsecure = true\n\
                [[registry]]\nprefix = \"*.w.example\"\nlocation = \"hub.example\"\n";
    let entries = [entry("s.example/ns", &["m.example"], false), entry("a.w.example/p", &["m.example/p"], false)];
    let expected = ["m.example/x:1", "real.example/s/ns/x:1 insecure"];
    assert_eq!(folded(&entries, text, "s.example/ns/x:1"), expected);
    assert_eq!(folded(&entries, text, "a.w.example/p/x:1"), ["m.example/p/x:1", "hub.example/p/x:1"]);
}

/// What `hcp-idms-operator` wrote for a wildcard: a location that no name can be made of.
#[test]
fn a_location_that_results_in_an_invalid_name_is_corrected() {
    let text = "[[registry]]\nlocation = \"*.w.example\"\n";
    let entries = [entry("*.w.example", &["m.example"], false), entry("host.w.example", &["n.example"], false)];
    assert_eq!(folded(&entries[..1], text, "a.w.example/x:1"), ["m.example/x:1", "a.w.example/x:1"]);
    assert_eq!(folded(&entries[1..], text, "host.w.example/x:1"), ["n.example/x:1", "host.w.example/x:1"]);
}

/// Two tables of one location that differ in `blocked` or `insecure` would make the file unusable.
#[test]
fn tables_of_one_location_agree() {
    let text = "[[registry]]\nprefix = \"a.example\"\nlocation = \"s.example\"\ninsecure = true\nblocked = true\n\
                [[registry]]\nprefix = \"b.example\"\nlocation = \"s.example\"\ninsecure = true\nblocked = true\n\
                [[registry]]\nprefix = \"c.example\"\nlocation = \"t.example\"\n";
    let sources = ["a.example", "b.example", "c.example", "s.example", "t.example"];
    let entries: Vec<_> = sources.iter().map(|source| entry(source, &["m.example"], source.starts_with('t'))).collect();
    // `blocked` of a table that is moved blocked none of its pulls before, and does not now.
    assert_eq!(folded(&entries, text, "a.example/x:1"), ["m.example/x:1", "s.example/x:1 insecure"]);
    assert_eq!(folded(&entries, text, "s.example/x:1"), ["m.example/x:1", "s.example/x:1 insecure"]);
    assert_eq!(folded(&entries, text, "c.example/x:1"), ["m.example/x:1", "t.example/x:1 blocked"]);
    // Without one for the location itself.
    assert_eq!(folded(&entries[..2], text, "b.example/x:1"), ["m.example/x:1", "s.example/x:1 insecure"]);
}

#[test]
fn entries_that_would_make_the_file_unusable_are_omitted_and_named() {
    let sources = ["https://a.example", "b.example/", "*.c.example/x", "d.example"];
    let entries: Vec<_> =
        sources.iter().map(|source| entry(source, &["http://m.example", "/", "n.example"], false)).collect();
    let foreign = RegistriesConfig::default();
    let rendered = render(&merge_layer(&entries), &foreign).unwrap();
    let left_out: Vec<_> = rendered.notes.iter().map(|note| (note.reason, note.prefix.as_str())).collect();
    let expected = ["*.c.example/x", "b.example/", "d.example", "d.example", "https://a.example"];
    assert_eq!(left_out, expected.map(|prefix| (NoteReason::LeftOut, prefix)));
    assert!(rendered.notes[4].to_string().ends_with("URI schemes are not supported"), "{}", rendered.notes[4]);
    let config = with_ours(&foreign, &rendered).unwrap();
    assert_eq!(config.tables().count(), 1);
    assert_eq!(endpoints(&config, "d.example/x:1"), ["n.example/x:1", "d.example/x:1"]);
}

#[test]
fn insecure_is_set_on_each_mirror_that_needs_it() {
    let text = "[[registry]]\nlocation = \"m.example/ns/sub\"\ninsecure = true\n\
                [[registry]]\nlocation = \"s.example/sub\"\ninsecure = true\n\
                [[registry]]\nlocation = \"t.example\"\n[[registry.mirror]]\nlocation = \"n.example\"\ninsecure = true\n";
    let entries = [entry("s.example", &["m.example/ns"], false), entry("t.example", &["n.example"], false)];
    assert_eq!(folded(&entries, text, "s.example/x:1"), ["m.example/ns/x:1", "s.example/x:1"]);
    let expected = ["m.example/ns/sub/x:1 insecure", "s.example/sub/x:1 insecure"];
    assert_eq!(folded(&entries, text, "s.example/sub/x:1"), expected);
    assert_eq!(folded(&entries, text, "t.example/x:1"), ["n.example/x:1 insecure", "t.example/x:1"]);
}

#[test]
fn a_table_with_only_insecure_is_no_exception_to_never_contact_source() {
    let text = "[[registry]]\nprefix = \"s.example/sub\"\nlocation = \"real.example\"\ninsecure = true\n";
    let entries = [entry("s.example", &["m.example"], true)];
    assert_eq!(
        folded(&entries, text, "s.example/sub/x:1"),
        ["m.example/sub/x:1", "s.example/sub/x:1 insecure blocked"]
    );
}

#[test]
fn a_table_with_mirrors_between_keeps_hiding_the_source() {
    let text = "[[registry]]\nlocation = \"s.example/a\"\n[[registry.mirror]]\nlocation = \"their.example\"\n\
                [[registry]]\nlocation = \"s.example/a/b\"\nblocked = true\n";
    let entries = [entry("s.example", &["m.example"], false)];
    assert_eq!(folded(&entries, text, "s.example/a/b/x:1"), ["s.example/a/b/x:1 blocked"]);
    assert_eq!(folded(&entries, text, "s.example/a/x:1"), ["their.example/x:1", "s.example/a/x:1"]);
}

/// A wildcard of the same length, or a longer one, is less specific than a host inside it.
#[test]
fn a_host_inside_a_wildcard_is_the_more_specific_source() {
    let text = "[[registry]]\nlocation = \"a.w.example/sub\"\ninsecure = true\n";
    let entries = [entry("*.w.example", &["wide.example"], false), entry("a.w.example", &["narrow.example"], false)];
    let expected = ["narrow.example/sub/x:1", "a.w.example/sub/x:1 insecure"];
    assert_eq!(folded(&entries, text, "a.w.example/sub/x:1"), expected);
}

const BOOT: &str = "40-hypermirror-boot.conf";

fn over_boot(entries: &[MirrorEntry], text: &str, boot: &[MirrorEntry]) -> (Rendered, RegistriesConfig) {
    let foreign = base(text);
    let boot = render(&merge_layer(boot), &foreign).unwrap().text.unwrap();
    let boot = RegistriesFile::parse(boot.as_bytes(), Role::DropIn).unwrap();
    let rendered = render_over(&merge_layer(entries), &foreign, Some((BOOT, &boot))).unwrap();
    let node = with_ours(&foreign.with_drop_in(BOOT, boot), &rendered).unwrap();
    (rendered, node)
}

#[test]
fn a_node_with_an_old_boot_file_resolves_as_one_without_it() {
    let text = "[[registry]]\nlocation = \"s.example\"\ninsecure = true\n[[registry.mirror]]\nlocation = \"base.example\"\n\
                [[registry]]\nlocation = \"s.example/blocked\"\nblocked = true\n\
                [[registry]]\nprefix = \"*.w.example\"\n[[registry.mirror]]\nlocation = \"wild.example\"\n\
                [[registry]]\nprefix = \"moved.example\"\nlocation = \"real.example\"\n";
    let old = [
        entry("s.example", &["old.example"], true),
        entry("s.example/ns", &["old.example/ns"], true),
        entry("s.example/blocked/in", &["old.example/in"], false),
        entry("a.w.example/p", &["old.example"], false),
        entry("moved.example/p", &["old.example"], true),
        entry("gone.example", &["old.example"], true),
        entry("*.gone.example", &["old.example"], true),
    ];
    for new in [vec![], vec![entry("s.example", &["new.example"], false)], vec![entry("gone.example", &["n.io"], true)]]
    {
        let (rendered, node) = over_boot(&new, text, &old);
        assert!(rendered.text.is_some_and(|text| text.contains(BOOT)));
        let foreign = base(text);
        let without = with_ours(&foreign, &render(&merge_layer(&new), &foreign).unwrap()).unwrap();
        for name in [
            "s.example/x",
            "s.example/ns",
            "s.example/ns/x",
            "s.example/blocked/in/x",
            "a.w.example/p/x",
            "a.w.example/p",
            "moved.example/p/x",
            "moved.example/x",
            "gone.example/x",
            "a.gone.example/x",
            "gone.example:5000/x",
            "z.io/x",
        ] {
            let image = format!("{name}:1");
            assert_eq!(endpoints(&node, &image), endpoints(&without, &image), "{image}");
        }
    }
}

#[test]
fn an_equal_boot_file_needs_no_drop_in() {
    let text = "[[registry]]\nlocation = \"s.example/sub\"\nblocked = true\n";
    let entries = [entry("s.example", &["m.example"], false)];
    let (rendered, node) = over_boot(&entries, text, &entries);
    assert_eq!(rendered.text, None);
    assert_eq!(node.find("s.example/x").unwrap().file, BOOT);
    let (rendered, _) = over_boot(&entries, text, &[entry("s.example", &["n.example"], false)]);
    assert!(rendered.text.is_some());
    assert_eq!(RegistriesConfig::default().with_drop_in(DROP_IN, RegistriesFile::default()).tables().count(), 0);
}

/// `*.w.example` and `a.w.example` are equally long: a node takes the wildcard, by byte order.
#[test]
fn an_equally_long_wildcard_of_another_file_is_named() {
    let foreign = base("[[registry]]\nprefix = \"*.w.example\"\n");
    let entries = [entry("a.w.example", &["m.example"], false), entry("bb.w.example", &["m.example"], false)];
    let rendered = render(&merge_layer(&entries), &foreign).unwrap();
    let [note] = rendered.notes.as_slice() else { panic!("{:?}", rendered.notes) };
    assert_eq!(
        note.to_string(),
        "a.w.example: the table of *.w.example in registries.conf takes precedence, because it has the same length"
    );
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    const NAMES: [&str; 9] = [
        "aa.example",
        "aa.example/ns",
        "aa.example/ns/app",
        "aa.example:5000",
        "*.example",
        "*.aa.example",
        "bb.aa.example/x",
        "mm.example",
        "mm.example/p",
    ];
    const MIRRORS: [&str; 6] =
        ["mm.example", "mm.example/p", "nn.example:8443/q", "aa.example/ns", "localhost/r", "mirror/ns"];
    const IMAGES: [&str; 8] = [
        "aa.example/ns/app",
        "aa.example/ns/app/deep",
        "aa.example/other",
        "aa.example:5000/x",
        "c.example/y",
        "bb.aa.example/x/z",
        "mm.example/p/x",
        "z.test/q",
    ];

    prop_compose! {
        fn entries()(picks in prop::collection::vec(
            (any::<bool>(), 0..NAMES.len(), prop::collection::vec(0..MIRRORS.len(), 0..4), any::<bool>()), 0..6
        )) -> Vec<MirrorEntry> {
            picks.into_iter().map(|(digest, source, mirrors, never)| {
                let mirrors: Vec<&str> = mirrors.into_iter().map(|mirror| MIRRORS[mirror]).collect();
                let pull_by = if digest { PullBy::Digest } else { PullBy::Tag };
                MirrorEntry { pull_by, ..entry(NAMES[source], &mirrors, never) }
            }).collect()
        }
    }

    prop_compose! {
        /// A file of somebody else: no two tables of one location, so that it is accepted.
        fn theirs()(tables in prop::collection::btree_map(
            0..NAMES.len(),
            (any::<bool>(), any::<bool>(), prop::collection::vec((0..MIRRORS.len(), 0..3_usize), 0..3), prop::option::of(0..9)),
            0..5,
        )) -> String {
            let tables = tables.into_iter().map(|(name, (insecure, blocked, mirrors, moved))| {
                let location = match moved {
                    Some(other) => format!("location = \"moved{other}.example/{name}\"\n"),
                    None if NAMES[name].starts_with('*') => String::new(),
                    None => format!("location = {:?}\n", NAMES[name]),
                };
                let mirrors = mirrors.into_iter().map(|(mirror, pull)| {
                    let pull = ["all", "digest-only", "tag-only"][pull];
                    format!("[[registry.mirror]]\nlocation = {:?}\npull-from-mirror = {pull:?}\n", MIRRORS[mirror])
                });
                format!("[[registry]]\nprefix = {:?}\n{location}insecure = {insecure}\nblocked = {blocked}\n", NAMES[name])
                    + &mirrors.collect::<String>()
            });
            tables.collect()
        }
    }

    fn images() -> impl Iterator<Item = String> {
        let digest = format!("@sha256:{}", "0123456789abcdef".repeat(4));
        IMAGES.into_iter().flat_map(move |name| [format!("{name}:v1"), format!("{name}{digest}")])
    }

    /// Endpoints without the file that says so.
    fn what(config: &RegistriesConfig, image: &str) -> (Vec<(String, bool, bool)>, bool) {
        let found = explain(config, image);
        let endpoints = found.endpoints.into_iter().map(|found| (found.reference, found.insecure, found.blocked));
        (endpoints.collect(), found.error.is_some())
    }

    proptest! {
        #[test]
        fn settings_of_other_files_are_kept(entries in entries(), text in theirs()) {
            let (set, foreign) = (merge_layer(&entries), base(&text));
            let rendered = render(&set, &foreign).unwrap();
            prop_assert_eq!(render(&set, &foreign).unwrap(), rendered.clone());
            let node = with_ours(&foreign, &rendered).unwrap();
            for image in images() {
                let (before, after) = (what(&foreign, &image), what(&node, &image));
                let name = ImageReference::parse(&image).unwrap().name();
                let ours = node.find(&name).filter(|found| found.file == DROP_IN);
                let Some(ours) = ours.map(|found| found.table.prefix.as_str()) else {
                    // A mirror may lie in a source of ours that is never contacted.
                    let names = |found: &(Vec<(String, bool, bool)>, bool)| -> Vec<String> {
                        found.0.iter().map(|(reference, ..)| reference.clone()).collect()
                    };
                    prop_assert_eq!(names(&before), names(&after), "{}", image);
                    continue;
                };
                let never = set.sources.iter().any(|(name, source)| {
                    let is_around = Scope::new(ours).is_nested_inside(Scope::new(name));
                    is_around && source.policy == Policy::NeverContactSource
                });
                if after.1 || before.1 || foreign.table(ours).is_none() || never {
                    continue;
                }
                for (reference, insecure, blocked) in before.0 {
                    let is_kept = after.0.iter().any(|found| (&found.0, found.1 | insecure, found.2 | blocked) == (&reference, found.1, found.2));
                    prop_assert!(is_kept, "{} {} {} is lost for {}: {:?}", reference, insecure, blocked, image, after.0);
                }
            }
        }

        #[test]
        fn a_source_with_never_contact_source_is_blocked_despite_other_files(entries in entries(), text in theirs()) {
            let (set, foreign) = (merge_layer(&entries), base(&text));
            let node = with_ours(&foreign, &render(&set, &foreign).unwrap()).unwrap();
            for image in images() {
                let found = explain(&node, &image);
                let Some(source) = found.prefix.and_then(|prefix| set.sources.get(&prefix)) else { continue };
                if let Some(own) = found.endpoints.last() {
                    prop_assert!(own.blocked || source.policy == Policy::AllowContactingSource, "{}", image);
                }
            }
        }

        #[test]
        fn an_old_boot_file_makes_no_difference(old in entries(), new in entries(), text in theirs()) {
            let (set, foreign) = (merge_layer(&new), base(&text));
            let boot = render(&merge_layer(&old), &foreign).unwrap().text.unwrap_or_default();
            let boot = RegistriesFile::parse(boot.as_bytes(), Role::DropIn).unwrap();
            let rendered = render_over(&set, &foreign, Some((BOOT, &boot))).unwrap();
            let node = with_ours(&foreign.with_drop_in(BOOT, boot), &rendered).unwrap();
            let without = with_ours(&foreign, &render(&set, &foreign).unwrap()).unwrap();
            for image in images() {
                prop_assert_eq!(what(&node, &image), what(&without, &image), "{}", image);
            }
        }
    }
}
