use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::mirrors::fixtures::{digest, entry, insecure, named, never, tag};
use crate::mirrors::layers::resolve;
use crate::mirrors::registries::{
    Explanation, RegistriesConfig, explain as explain_crio, render as render_crio, with_ours,
};
use crate::mirrors::{MirrorEntry, PullBy, Resolved};

fn set(entries: &[MirrorEntry]) -> Resolved {
    resolve(entries).0
}

/// One line for each registry: its mirrors in order, `t` for those that also serve tags, `i` for those without verification.
fn show(rendered: &Rendered) -> Vec<String> {
    let line = |(name, registry): (&String, &RegistryHosts)| {
        let mark = |condition, mark: &'static str| if condition { mark } else { "" };
        let mirrors = registry
            .mirrors
            .iter()
            .map(|mirror| format!(" {}{}{}", mark(mirror.by_tag, "t:"), mark(mirror.insecure, "i:"), mirror.location));
        format!("{}{name}:{}", mark(registry.is_blocked, "!"), mirrors.collect::<String>())
    };
    rendered.registries.iter().map(line).collect()
}

fn reasons(rendered: &Rendered) -> Vec<(&str, &LeftOutReason)> {
    rendered.left_out.iter().map(|left_out| (left_out.source.as_str(), &left_out.reason)).collect()
}

#[test]
fn a_registry_gets_its_mirrors_with_their_kinds_of_pulls() {
    let cases: [(&str, Vec<MirrorEntry>, &[&str]); 9] = [
        ("digests", vec![digest("s.io", "m.io n.io/x")], &["s.io: m.io n.io/x"]),
        ("both", vec![digest("s.io", "m.io/x n.io"), tag("s.io", "n.io")], &["s.io: m.io/x t:n.io"]),
        ("never", vec![never(digest("s.io", "m.io"))], &["!s.io: m.io"]),
        ("never, and no mirror can be used", vec![never(tag("s.io", "m.io"))], &["!s.io:"]),
        ("a port", vec![digest("s.io:5000", "m.io:5001/x")], &["s.io:5000: m.io:5001/x"]),
        ("insecure", vec![insecure(digest("s.io", "m.io"))], &["s.io: i:m.io"]),
        ("insecure for digests only", vec![insecure(digest("s.io", "m.io")), tag("s.io", "m.io")], &["s.io: t:m.io"]),
        (
            "a source below the registry with the same mirrors",
            vec![
                digest("s.io", "m.io/x"),
                digest("s.io/a", "m.io/x/a"),
                tag("s.io", "m.io/x"),
                tag("s.io/a", "m.io/x/a"),
            ],
            &["s.io: t:m.io/x"],
        ),
        ("nothing", vec![digest("s.io", "s.io")], &[]),
    ];
    for (name, entries, expected) in cases {
        let rendered = render(&set(&entries), &HostsDirectory::default());
        assert_eq!(show(&rendered), expected, "{name}");
        assert!(name.contains("no mirror can be used") || rendered.left_out.is_empty(), "{name}: {rendered:?}");
    }
}

/// Name, entries, the files, and what is left out.
type LeftOutCase = (&'static str, Vec<MirrorEntry>, &'static [&'static str], Vec<(&'static str, LeftOutReason)>);

#[test]
fn what_the_format_cannot_express_is_left_out_by_entry() {
    let text = str::to_owned;
    let path = |registry: &str| LeftOutReason::Path { registry: text(registry) };
    let cases: [LeftOutCase; 8] = [
        (
            "a mirror in a source that is never contacted",
            vec![digest("s.io", "t.io/x m.io"), never(digest("t.io", "n.io"))],
            &["s.io: m.io", "!t.io: n.io"],
            vec![("s.io", LeftOutReason::MirrorBlocked(text("t.io/x")))],
        ),
        (
            "a path",
            vec![digest("s.io/a", "m.io"), digest("o.io", "m.io")],
            &["o.io: m.io"],
            vec![("s.io/a", path("s.io"))],
        ),
        ("a wildcard", vec![digest("*.w.io", "m.io")], &[], vec![("*.w.io", LeftOutReason::Wildcard)]),
        (
            "a wildcard of the same length",
            vec![digest("*.w.io", "m.io"), digest("a.w.io", "n.io")],
            &[],
            vec![("*.w.io", LeftOutReason::Wildcard), ("a.w.io", LeftOutReason::HiddenByWildcard(text("*.w.io")))],
        ),
        ("tags only", vec![tag("s.io", "m.io")], &[], vec![("s.io", LeftOutReason::TagOnly(text("m.io")))]),
        (
            "another order for tags",
            vec![digest("s.io", "m.io n.io"), tag("s.io", "n.io m.io")],
            &["s.io: m.io t:n.io"],
            vec![("s.io", LeftOutReason::TagOrder(text("m.io")))],
        ),
        (
            "a source below the registry with other mirrors",
            vec![digest("s.io", "m.io"), tag("s.io", "m.io"), digest("s.io/a", "n.io")],
            &["s.io: m.io"],
            vec![("s.io", LeftOutReason::TagsOfNested(text("s.io/a"))), ("s.io/a", path("s.io"))],
        ),
        (
            "a mirror of the source below that is verified",
            vec![insecure(digest("s.io", "m.io")), digest("s.io/a", "m.io/a")],
            &["s.io: i:m.io"],
            vec![("s.io/a", path("s.io"))],
        ),
    ];
    for (name, entries, expected, left_out) in cases {
        let rendered = render(&set(&entries), &HostsDirectory::default());
        assert_eq!(show(&rendered), expected, "{name}");
        let left_out: Vec<_> = left_out.iter().map(|(source, reason)| (*source, reason)).collect();
        assert_eq!(reasons(&rendered), left_out, "{name}");
    }
}

#[test]
fn a_policy_that_is_not_in_effect_is_named() {
    let message = |entries: &[MirrorEntry]| {
        let rendered = render(&set(entries), &HostsDirectory::default());
        rendered.left_out.first().map(ToString::to_string).unwrap_or_default()
    };
    assert!(message(&[never(digest("s.io/a", "m.io"))]).ends_with("; NeverContactSource is not in effect"));
    assert!(!message(&[digest("s.io/a", "m.io")]).contains("NeverContactSource"));
    let below = [never(digest("s.io", "n.io")), never(digest("s.io/a", "m.io"))];
    assert!(!message(&below).contains("NeverContactSource"), "the registry itself is blocked");
}

fn directory(hosts: &[(&str, HostDirectory)]) -> HostsDirectory {
    let hosts = hosts.iter().map(|(name, host)| ((*name).to_owned(), host.clone()));
    HostsDirectory { path: "/etc/containerd/certs.d".to_owned(), hosts: hosts.collect() }
}

fn authority() -> HostDirectory {
    HostDirectory { authorities: vec!["ca.crt".to_owned()], ..HostDirectory::default() }
}

#[test]
fn files_of_others_stay_and_are_named() {
    let foreign = HostDirectory { file: HostFile::Foreign("by hand".to_owned()), ..HostDirectory::default() };
    let found =
        directory(&[("a.io", foreign.clone()), ("b.io_5000_", HostDirectory::default()), ("_default", foreign)]);
    let entries = [digest("a.io", "m.io"), digest("b.io:5000", "m.io"), digest("c.io", "m.io")];
    let rendered = render(&set(&entries), &found);
    assert_eq!(show(&rendered), ["c.io: m.io"]);
    assert_eq!(rendered.hides_default, ["c.io"]);
    let occupied: Vec<&str> = rendered.occupied.iter().map(|(_, by)| by.as_str()).collect();
    assert_eq!(occupied, ["/etc/containerd/certs.d/a.io/hosts.toml (by hand)", "/etc/containerd/certs.d/b.io_5000_"]);
}

#[test]
fn the_files_of_each_case_stay_the_same() {
    let client = HostDirectory { clients: vec![("c.cert".to_owned(), "c.key".to_owned())], ..authority() };
    let found = directory(&[("m.io:5000", client), ("open.io", authority()), ("never.io", authority())]);
    let entries = [
        named("docker", digest("docker.io", "m.io:5000/hub docker.io")),
        named("open", digest("open.io", "m.io:5000")),
        named("open-tags", tag("open.io", "m.io:5000")),
        named("line\nbreak", insecure(digest("plain.io", "p.io/x"))),
        named("never", never(digest("never.io", "m.io:5000/n"))),
        named("blocked", never(tag("blocked.io", "t.io"))),
        named("left-out", digest("quay.io/team", "m.io:5000/team")),
    ];
    let rendered = render(&set(&entries), &found);
    let files = rendered.files.iter().map(|(name, text)| format!("==> {name}\n{text}"));
    let left_out = rendered.left_out.iter().map(|left_out| format!("{}: {left_out}\n", left_out.source));
    insta::assert_snapshot!(files.chain(left_out).collect::<Vec<_>>().join("\n"));
}

/// As [`crate::mirrors::fixtures::any_entries`], with sources that contain each other and mirrors that correspond.
fn any_entries() -> impl Strategy<Value = Vec<MirrorEntry>> {
    let one = (
        any::<bool>(),
        proptest::sample::select(vec![
            "s.io",
            "s.io/a",
            "s.io/a/b",
            "t.io:5000",
            "a.w.io",
            "*.w.io",
            "*.io",
            "docker.io",
        ]),
        proptest::collection::vec(
            proptest::sample::select(vec!["m.io", "m.io/a", "n.io/x", "n.io/x/a", "s.io", "o.io:1", "bad/x", "m.io/"]),
            1..4,
        ),
        proptest::bool::weighted(0.3),
        proptest::bool::weighted(0.2),
        0..3_usize,
    );
    let one = one.prop_map(|(is_tag, source, mirrors, is_never, is_insecure, object)| {
        let pull_by = if is_tag { PullBy::Tag } else { PullBy::Digest };
        let mut made = named(&format!("set-{object}"), entry(pull_by, source, &mirrors.join(" ")));
        made.insecure = is_insecure;
        if is_never { never(made) } else { made }
    });
    proptest::collection::vec(one, 0..7)
}

fn images() -> Vec<String> {
    let names = ["s.io/x", "s.io/a/x", "s.io/a/b/x", "t.io:5000/x", "a.w.io/x", "b.io/x", "docker.io/library/x"];
    let by_digest = format!("@sha256:{}", "a".repeat(64));
    names.iter().flat_map(|name| [format!("{name}{by_digest}"), format!("{name}:v1")]).collect()
}

/// The endpoints that may be contacted, with whether their certificates are not verified.
fn contacted(explanation: &Explanation) -> Vec<(&str, bool)> {
    let open = explanation.endpoints.iter().filter(|endpoint| !endpoint.blocked);
    open.map(|endpoint| (endpoint.reference.as_str(), endpoint.insecure)).collect()
}

/// Whether an endpoint is declared: with verification where the declaration has none is stricter.
fn is_declared(declared: &[(&str, bool)], (reference, is_insecure): (&str, bool)) -> bool {
    declared.iter().any(|(known, may)| *known == reference && (*may || !is_insecure))
}

proptest! {
    #[test]
    fn the_order_of_objects_does_not_matter_and_the_bytes_are_valid(entries in any_entries()) {
        let rendered = render(&set(&entries), &HostsDirectory::default());
        let mut reversed = entries;
        reversed.reverse();
        prop_assert_eq!(&rendered, &render(&set(&reversed), &HostsDirectory::default()));
        for (name, text) in &rendered.files {
            let Some(registry) = rendered.registries.get(name) else { panic!("{name} has no rules") };
            let table: toml::Table = toml::from_str(text).unwrap();
            // containerd orders hosts by their lines. The source is never the server of a blocked registry.
            prop_assert_eq!(table.contains_key("server"), registry.is_blocked);
            let hosts = table.get("host").and_then(toml::Value::as_table).unwrap();
            prop_assert!(!hosts.is_empty(), "containerd 1.6 ignores a file without hosts: {}", text);
            let urls: BTreeSet<&str> = hosts.keys().map(String::as_str).collect();
            let expected = registry.mirrors.iter().map(|mirror| 1 + usize::from(mirror.insecure)).sum::<usize>().max(1);
            prop_assert_eq!(urls.len(), expected, "{}", text);
        }
    }

    /// Compared with CRI-O, which can express everything. A registry that is left out is not mirrored at all.
    #[test]
    fn nothing_is_more_permissive_than_declared(entries in any_entries()) {
        let set = set(&entries);
        let rendered = render(&set, &HostsDirectory::default());
        let config = RegistriesConfig::load(None, []).unwrap();
        let config = with_ours(&config, &render_crio(&set, &config).unwrap()).unwrap();
        for image in images() {
            let (ours, crio) = (explain(&rendered.registries, &image), explain_crio(&config, &image));
            if ours.prefix.is_none() || crio.error.is_some() {
                continue;
            }
            let by_tag = !image.contains('@');
            let (mine, theirs) = (contacted(&ours), contacted(&crio));
            let source = ours.endpoints.last().map(|last| last.reference.clone()).unwrap_or_default();
            let nested = crio.prefix != ours.prefix;
            for endpoint in mine {
                // A source below the registry that is left out: by digest from the registry's mirrors, whose content is the same, and
                // from the source, as without any file.
                let is_left_out = nested && (!by_tag || endpoint.0 == source);
                prop_assert!(is_left_out || is_declared(&theirs, endpoint), "{image}: {endpoint:?} of {theirs:?}");
            }
        }
    }

    #[test]
    fn every_source_is_applied_or_named(entries in any_entries()) {
        let set = set(&entries);
        let rendered = render(&set, &HostsDirectory::default());
        for (name, source) in &set.sources {
            let is_named = rendered.left_out.iter().any(|left_out| left_out.source == *name);
            let registry = name.split('/').next().unwrap_or_default();
            let whole = rendered.registries.contains_key(registry) || rendered.left_out.iter().any(|left_out| left_out.source == registry);
            let has_mirrors = !source.digest_mirrors.is_empty() || !source.tag_mirrors.is_empty();
            prop_assert!(is_named || whole || !has_mirrors, "{name}: {rendered:?}");
        }
    }
}
