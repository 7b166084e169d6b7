use super::super::{DROP_IN, Rendered, Role, explain, render, render_over, with_ours};
use super::*;
use crate::mirrors::merge::merge_layer;
use crate::mirrors::{Layer, MirrorEntry, Pool};

fn entry(source: &str, mirrors: &[&str], never: bool) -> MirrorEntry {
    MirrorEntry {
        pool: Pool::Tag,
        source: source.to_owned(),
        mirrors: mirrors.iter().map(|&mirror| mirror.to_owned()).collect(),
        policy: never.then(|| "NeverContactSource".to_owned()),
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
fn a_broader_table_that_moves_a_registry_moves_our_source_too() {
    let text = "[[registry]]\nprefix = \"s.example\"\nlocation = \"real.example/s\"\ninsecure = true\n\
                [[registry]]\nprefix = \"*.w.example\"\nlocation = \"hub.example\"\n";
    let entries = [entry("s.example/ns", &["m.example"], false), entry("a.w.example/p", &["m.example/p"], false)];
    let expected = ["m.example/x:1", "real.example/s/ns/x:1 insecure"];
    assert_eq!(folded(&entries, text, "s.example/ns/x:1"), expected);
    assert_eq!(folded(&entries, text, "a.w.example/p/x:1"), ["m.example/p/x:1", "hub.example/p/x:1"]);
}

/// What `hcp-idms-operator` wrote for a wildcard: a location that no name can be made of.
#[test]
fn a_location_that_makes_no_name_is_mended() {
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
fn what_would_make_the_file_unusable_is_left_out_and_named() {
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
fn insecure_is_said_at_each_mirror_that_needs_it() {
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
fn what_says_only_insecure_inside_a_source_makes_no_exception_from_never() {
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
fn a_node_with_an_old_boot_file_does_what_it_would_do_without() {
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
fn a_boot_file_that_says_the_same_is_enough() {
    let text = "[[registry]]\nlocation = \"s.example/sub\"\nblocked = true\n";
    let entries = [entry("s.example", &["m.example"], false)];
    let (rendered, node) = over_boot(&entries, text, &entries);
    assert_eq!(rendered.text, None);
    assert_eq!(node.find("s.example/x").unwrap().file, BOOT);
    let (rendered, _) = over_boot(&entries, text, &[entry("s.example", &["n.example"], false)]);
    assert!(rendered.text.is_some());
    assert_eq!(RegistriesConfig::default().with_drop_in(DROP_IN, RegistriesFile::default()).tables().count(), 0);
}
