use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::DeclaredPolicy;
use super::super::finding::{FindingReason, Severity};
use super::super::fixtures::{any_entries, digest, named, never, tag};
use super::Consumer::{ControlPlane, Node};
use super::*;

/// The same entry in an ImageContentSourcePolicy, whose CRD has no pattern.
fn icsp(source: &str, mirrors: &str) -> MirrorEntry {
    MirrorEntry { list: "spec.repositoryDigestMirrors", ..digest(source, mirrors) }
}

/// `Reason field`, with `!` before an error.
fn brief(findings: &[Finding]) -> Vec<String> {
    let line = |finding: &Finding| {
        let mark = if finding.severity == Severity::Error { "!" } else { "" };
        let field = finding
            .field
            .trim_start_matches("spec.")
            .replace("imageDigestMirrors", "idms")
            .replace("repositoryDigestMirrors", "icsp");
        format!("{mark}{} {}", finding.reason.as_str(), field.replace("imageTagMirrors", "itms"))
    };
    findings.iter().map(line).collect()
}

fn found(entries: &[MirrorEntry], consumer: Consumer) -> Vec<String> {
    brief(&validate(entries, consumer).findings)
}

/// What is found about one entry by itself, for control planes and for nodes.
fn assert_alone(cases: &[(MirrorEntry, &[&str], &[&str])]) {
    for (entry, control_plane, node) in cases {
        for (consumer, expected) in [(ControlPlane, control_plane), (Node, node)] {
            let label = format!("{} -> {:?} for {consumer:?}", entry.source, entry.mirrors);
            let validated = validate(std::slice::from_ref(entry), consumer);
            assert_eq!(&brief(&validated.findings), expected, "{label}");
            let is_ignored = expected.iter().any(|line| line.starts_with('!') || line.starts_with("TagOrDigest"));
            assert_eq!(validated.entries.is_empty(), is_ignored, "{label}");
        }
    }
}

/// The same for both.
fn assert_both(cases: &[(MirrorEntry, &[&str])]) {
    let cases: Vec<_> = cases.iter().map(|(entry, expected)| (entry.clone(), *expected, *expected)).collect();
    assert_alone(&cases);
}

#[test]
fn an_entry_of_another_format_is_ignored() {
    let empty_mirror = MirrorEntry { mirrors: vec![String::new()], ..digest("a.io", "") };
    let spaced = MirrorEntry { source: "a.io/x y".to_owned(), ..icsp("", "m.io") };
    let bell = MirrorEntry { mirrors: vec!["m.io/x\u{7}".to_owned()], ..icsp("a.io", "") };
    assert_both(&[
        (digest("quay.io/a", "m.io/a n.io:5000/b"), &[]),
        (tag("quay.io", "m.io"), &[]),
        (digest("a.io", ""), &[]),
        (digest("a.io", "a.io m.io"), &[]),
        (digest("", "m.io"), &["!InvalidSource idms[0].source"]),
        (digest("https://a.io", "m.io"), &["!InvalidSource idms[0].source"]),
        (digest("a.io/x@sha256:00", "m.io"), &["!InvalidSource idms[0].source"]),
        (tag("a.io/x:v1", "m.io"), &["!InvalidSource itms[0].source"]),
        (empty_mirror, &["!InvalidMirror idms[0].mirrors[0]"]),
        (
            digest("a.io", "ok.io x.io/ *.m.io"),
            &["!InvalidMirror idms[0].mirrors[1]", "!InvalidMirror idms[0].mirrors[2]"],
        ),
        // What would only be a warning is not said of an entry that is left out.
        (digest("quay", "x.io/"), &["!InvalidMirror idms[0].mirrors[0]"]),
        // What an override string cannot carry is refused where there is no pattern, too.
        (icsp("a.io/x@sha256:0,0", "m.io"), &["!InvalidSource icsp[0].source"]),
        (icsp("a.io/x=y", "m.io"), &["!InvalidSource icsp[0].source"]),
        (icsp("a.io", "m.io/x,y"), &["!InvalidMirror icsp[0].mirrors[0]"]),
        (spaced, &["!InvalidSource icsp[0].source"]),
        (bell, &["!InvalidMirror icsp[0].mirrors[0]"]),
    ]);
}

#[test]
fn a_tag_or_digest_is_for_control_planes_only() {
    let of_hosted_cluster = MirrorEntry { list: "spec.imageContentSources", ..digest("a.io/x:v1", "m.io/x") };
    assert_alone(&[
        (
            icsp("a.io/x@sha256:00", "m.io/x@sha256:00"),
            &[],
            &["TagOrDigest icsp[0].mirrors[0]", "TagOrDigest icsp[0].source"],
        ),
        (icsp("a.io/x:v1", "m.io/x"), &[], &["TagOrDigest icsp[0].source"]),
        (icsp("a.io:5000/x:v1@sha256:00", "m.io/x"), &[], &["TagOrDigest icsp[0].source"]),
        (icsp("a.io/x", "m.io/x m.io/x:v1"), &[], &["TagOrDigest icsp[0].mirrors[1]"]),
        (icsp("a.io:5000", "m.io:5000"), &[], &[]),
        (of_hosted_cluster, &[], &["TagOrDigest imageContentSources[0].source"]),
    ]);
}

#[test]
fn a_policy_is_one_of_two_and_needs_a_mirror() {
    let policy = |policy: &str| MirrorEntry { policy: DeclaredPolicy::parse(policy), ..digest("a.io", "m.io") };
    assert_both(&[
        (policy("AllowContactingSource"), &[]),
        (policy(""), &[]),
        (policy("Never"), &["!UnknownPolicy idms[0].mirrorSourcePolicy"]),
        (policy("neverContactSource"), &["!UnknownPolicy idms[0].mirrorSourcePolicy"]),
        (never(digest("a.io", "m.io a.io")), &["!SourceAmongMirrors idms[0].mirrors[1]"]),
        (never(digest("a.io", "a.io")), &["!SourceAmongMirrors idms[0].mirrors[0]"]),
        (never(tag("a.io", "")), &["PolicyWithoutMirrors itms[0].mirrorSourcePolicy"]),
    ]);
}

#[test]
fn some_mirrors_break_pulls_on_nodes() {
    assert_alone(&[
        (
            digest("a.io", "ok.io mirror/ns"),
            &["ShortMirrorHost idms[0].mirrors[1]"],
            &["!ShortMirrorHost idms[0].mirrors[1]"],
        ),
        (digest("a.io", "mirror"), &["ShortMirrorHost idms[0].mirrors[0]"], &["!ShortMirrorHost idms[0].mirrors[0]"]),
        (
            digest("a.io", "index.docker.io/ns"),
            &["LegacyDockerHubMirror idms[0].mirrors[0]"],
            &["!LegacyDockerHubMirror idms[0].mirrors[0]"],
        ),
    ]);
    assert_both(&[
        (digest("a.io", "localhost/ns mirror:5000/ns MIRROR/ns"), &[]),
        (digest("a.io", "docker.io"), &["DockerHubMirror idms[0].mirrors[0]"]),
        (digest("a.io", "docker.io/ns"), &[]),
        (digest("a.io/b/c", "docker.io/ns"), &["DockerHubMirror idms[0].mirrors[0]"]),
        (digest("a.io/b/c", "docker.io/ns/c"), &[]),
        (digest("a.io/b/c", "m.io"), &["MirrorWithoutPath idms[0].mirrors[0]"]),
        (digest("a.io/b", "m.io"), &[]),
    ]);
}

#[test]
fn some_sources_match_nothing_or_not_what_they_seem_to() {
    assert_both(&[
        (digest("quay/a", "m.io"), &["ShortSourceHost idms[0].source"]),
        (digest("quay", "m.io"), &["ShortSourceHost idms[0].source"]),
        (digest("localhost/a", "m.io"), &[]),
        (digest("quay:5000/a", "m.io"), &[]),
        (digest("Quay.io/a", "m.io"), &["UppercaseSource idms[0].source"]),
        (digest("index.docker.io/a", "m.io"), &["LegacyDockerHubSource idms[0].source"]),
        (digest("docker.io/nginx", "m.io"), &["DockerHubSource idms[0].source"]),
        (digest("docker.io/library", "m.io"), &[]),
        (digest("docker.io/library/nginx", "m.io/nginx"), &[]),
        (digest("docker.io", "m.io"), &[]),
    ]);
    assert_alone(&[(digest("*.a.io", "m.io"), &["WildcardIneffective idms[0].source"], &[])]);
}

#[test]
fn entries_beside_each_other_may_surprise() {
    let cases: Vec<(Vec<MirrorEntry>, &[&str])> = vec![
        // Contradicting policies; MCO counts an entry without a policy as one that allows.
        (
            vec![named("a", never(digest("a.io", "m.io"))), named("b", digest("a.io", "n.io"))],
            &["OtherPoolBlocked idms[0].mirrorSourcePolicy", "PolicyConflict idms[0].mirrorSourcePolicy"],
        ),
        (
            vec![named("a", never(digest("a.io", "m.io"))), named("b", tag("a.io", "n.io"))],
            &["PolicyConflict itms[0].mirrorSourcePolicy"],
        ),
        (vec![named("a", never(digest("a.io", "m.io"))), named("b", never(tag("a.io", "n.io")))], &[]),
        (
            vec![named("a", never(digest("a.io", ""))), named("b", digest("a.io", "m.io"))],
            &["PolicyWithoutMirrors idms[0].mirrorSourcePolicy"],
        ),
        // The other kind of pulls is blocked too.
        (vec![never(digest("a.io", "m.io"))], &["OtherPoolBlocked idms[0].mirrorSourcePolicy"]),
        (vec![never(tag("a.io", "m.io"))], &["OtherPoolBlocked itms[0].mirrorSourcePolicy"]),
        // A mirror inside a blocked source.
        (vec![never(digest("a.io", "a.io/m")), never(tag("a.io", "m.io"))], &["MirrorBlocked idms[0].mirrors[0]"]),
        (
            vec![
                never(digest("a.io", "m.io")),
                never(tag("a.io", "m.io")),
                named("b", digest("b.io", "ok.io a.io/x:1 a.io/x")),
            ],
            &["!InvalidMirror idms[0].mirrors[1]"],
        ),
        (
            vec![never(digest("a.io", "m.io")), never(tag("a.io", "m.io")), named("b", digest("b.io", "ok.io a.io/x"))],
            &["MirrorBlocked idms[0].mirrors[1]"],
        ),
        (
            vec![
                never(digest("a.io", "a.io/m")),
                never(tag("a.io", "a.io/m")),
                named("b", digest("a.io/m", "m.io")),
                named("c", tag("a.io/m", "m.io")),
            ],
            &["EscapesNeverContactSource idms[0].source", "EscapesNeverContactSource itms[0].source"],
        ),
        // A narrower source inherits neither mirrors nor policy.
        (vec![digest("a.io", "m.io"), named("b", tag("a.io/x", "m.io"))], &["HidesBroaderSource itms[0].source"]),
        (vec![digest("a.io", "m.io"), named("b", digest("a.io/x", "m.io"))], &[]),
        (vec![digest("a.io/x", "m.io"), named("b", tag("a.io/xy", "m.io"))], &[]),
        (vec![digest("*.a.io", "m.io"), named("b", tag("bb.a.io", "m.io"))], &["HidesBroaderSource itms[0].source"]),
        // Equally long wildcard.
        (
            vec![digest("*.example.test", "m.io"), named("b", digest("a.example.test", "m.io"))],
            &["WildcardTie idms[0].source"],
        ),
        (vec![digest("*.example.test", "m.io"), named("b", digest("ab.example.test", "m.io"))], &[]),
        // Ports.
        (
            vec![digest("a.io", "m.io/x"), named("b", digest("a.io:5000/y", "m.io"))],
            &["SourceCatchesPorts idms[0].source"],
        ),
        (vec![digest("a.io", "m.io"), named("b", digest("a.io:5000/y", "m.io"))], &[]),
        (vec![digest("a.io/x", "m.io/x"), named("b", digest("a.io:5000/y", "m.io"))], &[]),
        // What contributes nothing says nothing about others.
        (vec![digest("a.io", ""), named("b", tag("a.io/x", "m.io"))], &[]),
    ];
    for (entries, expected) in cases {
        assert_eq!(found(&entries, Node), expected, "{entries:?}");
    }
}

#[test]
fn findings_name_entry_field_and_value_in_the_words_of_the_machine_config_operator() {
    let at = |index: usize, mut entry: MirrorEntry| {
        entry.origin.index = index;
        entry
    };
    let entries = [
        at(2, digest("a.io", "m.io/ ok.io")),
        at(0, digest("b.io/A", "ok.io")),
        at(1, never(digest("c.io", "ok.io c.io"))),
        at(3, never(digest("d.io", "ok.io"))),
        at(4, digest("d.io", "ok.io")),
        at(5, digest("e.io", "short/x")),
        at(6, icsp("f.io/x@sha256:00", "ok.io")),
    ];
    let validated = validate(&entries, Node);
    let lines: Vec<String> = validated
        .findings
        .iter()
        .map(|finding| format!("{} {} {:?}: {}", finding.origin, finding.field, finding.value, finding.message))
        .collect();
    let conflict = "conflicting mirrorSourcePolicy is set for the same source \"d.io\" in imagedigestmirrorsets, \
                    imagetagmirrorsets, or imagecontentsourcepolicies; NeverContactSource applies";
    let set = "ImageDigestMirrorSet/set";
    assert_eq!(
        lines,
        [
            format!(
                r#"{set}[0] spec.imageDigestMirrors[0].source "b.io/A": invalid format for source "b.io/A": the path must be in lower case; the entry is ignored"#
            ),
            format!(
                r#"{set}[1] spec.imageDigestMirrors[1].mirrors[1] "c.io": cannot set mirrorSourcePolicy: NeverContactSource if the source "c.io" is one of the mirrors; the entry is ignored"#
            ),
            format!(
                r#"{set}[2] spec.imageDigestMirrors[2].mirrors[0] "m.io/": invalid format for mirror "m.io/": remove the slash at the end; the entry is ignored"#
            ),
            format!(
                r#"{set}[3] spec.imageDigestMirrors[3].mirrorSourcePolicy "NeverContactSource": NeverContactSource also applies to pulls of "d.io" by tag, which have no mirror"#
            ),
            format!(r#"{set}[4] spec.imageDigestMirrors[4].mirrorSourcePolicy "": {conflict}"#),
            format!(
                r#"{set}[5] spec.imageDigestMirrors[5].mirrors[0] "short/x": the host of mirror "short/x" has neither '.' nor ':': on a node every pull of "e.io" would fail; the entry is ignored"#
            ),
            format!(
                r#"{set}[6] spec.repositoryDigestMirrors[6].source "f.io/x@sha256:00": "f.io/x@sha256:00" has a tag or a digest, which no table of registries.conf matches; the entry is ignored on nodes"#
            ),
        ]
    );
    assert_eq!(validated.entries, [entries[3].clone(), entries[4].clone()]);
}

#[test]
fn reasons_have_distinct_names() {
    let reasons = [FindingReason::InvalidSource, FindingReason::EscapesNeverContactSource];
    for reason in reasons {
        assert_eq!(reason.as_str(), format!("{reason:?}"));
        assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
    }
}

fn any_raw_entries() -> impl Strategy<Value = Vec<MirrorEntry>> {
    let odd = proptest::sample::select(vec![
        "",
        "a.io/",
        "quay",
        "docker.io",
        "*.a.io",
        "a.io/x@sha256:00",
        "index.docker.io/x",
    ]);
    let extra = proptest::collection::vec((odd.clone(), odd, any::<bool>()), 0..4);
    (any_entries(), extra).prop_map(|(mut entries, extra)| {
        for (source, mirror, lenient) in extra {
            entries.push(if lenient { icsp(source, mirror) } else { digest(source, mirror) });
        }
        entries
    })
}

proptest! {
    #[test]
    fn the_order_of_entries_never_matters(
        (entries, shuffled) in
            any_raw_entries().prop_flat_map(|entries| (Just(entries.clone()), Just(entries).prop_shuffle()))
    ) {
        for consumer in [ControlPlane, Node] {
            prop_assert_eq!(validate(&entries, consumer).findings, validate(&shuffled, consumer).findings);
        }
    }

    #[test]
    fn valid_entries_stay_valid_and_no_finding_is_repeated(entries in any_raw_entries()) {
        for consumer in [ControlPlane, Node] {
            let once = validate(&entries, consumer);
            let again = validate(&once.entries, consumer);
            prop_assert_eq!(&again.entries, &once.entries);
            prop_assert!(again.findings.iter().all(|finding| finding.severity != Severity::Error));
            let lines: BTreeSet<String> = once.findings.iter().map(|finding| format!("{finding:?}")).collect();
            prop_assert_eq!(lines.len(), once.findings.len());
        }
    }

    #[test]
    fn entries_for_nodes_also_reach_control_planes(entries in any_raw_entries()) {
        let control_plane = validate(&entries, ControlPlane).entries;
        prop_assert!(validate(&entries, Node).entries.iter().all(|entry| control_plane.contains(entry)));
    }

    #[test]
    fn an_override_string_carries_every_valid_entry(entries in any_raw_entries()) {
        for entry in validate(&entries, ControlPlane).entries {
            for text in entry.mirrors.iter().chain([&entry.source]) {
                prop_assert!(!text.is_empty() && !text.contains([',', '=', ' ']), "{text:?}");
            }
        }
    }
}
