//! Entries for tests.

use proptest::prelude::*;

use super::{DeclaredPolicy, Layer, MirrorEntry, Origin, PullBy, Resolved};

/// An origin of which only the object's name varies.
pub fn origin(name: &str) -> Origin {
    Origin {
        kind: "ImageDigestMirrorSet".to_owned(),
        namespace: None,
        name: name.to_owned(),
        key: None,
        document: None,
        index: 0,
        layer: Layer::Management,
    }
}

/// An entry without a policy; `mirrors` are separated by spaces.
pub fn entry(pull_by: PullBy, source: &str, mirrors: &str) -> MirrorEntry {
    let list = if pull_by == PullBy::Digest { "spec.imageDigestMirrors" } else { "spec.imageTagMirrors" };
    MirrorEntry {
        pull_by,
        source: source.to_owned(),
        mirrors: mirrors.split_whitespace().map(str::to_owned).collect(),
        policy: None,
        insecure: false,
        list,
        origin: origin("set"),
    }
}

pub fn digest(source: &str, mirrors: &str) -> MirrorEntry {
    entry(PullBy::Digest, source, mirrors)
}

pub fn tag(source: &str, mirrors: &str) -> MirrorEntry {
    entry(PullBy::Tag, source, mirrors)
}

pub fn never(entry: MirrorEntry) -> MirrorEntry {
    MirrorEntry { policy: DeclaredPolicy::parse("NeverContactSource"), ..entry }
}

pub fn insecure(entry: MirrorEntry) -> MirrorEntry {
    MirrorEntry { insecure: true, ..entry }
}

pub fn named(name: &str, entry: MirrorEntry) -> MirrorEntry {
    MirrorEntry { origin: origin(name), ..entry }
}

/// One line for each source: `source: digest mirrors | tag mirrors`. `!` marks a source with NeverContactSource.
pub fn show(resolved: &Resolved) -> String {
    let lines = resolved.sources.iter().map(|(source, mirrors)| {
        let list = |mirrors: &[super::Mirror]| {
            mirrors.iter().map(|mirror| mirror.location.clone()).collect::<Vec<_>>().join(" ")
        };
        let never = if mirrors.policy == super::Policy::NeverContactSource { "!" } else { "" };
        format!("{never}{source}: {} | {}", list(&mirrors.digest_mirrors), list(&mirrors.tag_mirrors))
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Only a few sources and mirrors, so that lists overlap, contradict each other and contain their own source.
pub fn any_entries() -> impl Strategy<Value = Vec<MirrorEntry>> {
    let location = proptest::sample::select(vec!["a.io", "b.io", "c.io/x", "d.io:5000", "e.io/x/y", "s.io", "t.io/p"]);
    let one = (
        any::<bool>(),
        proptest::sample::select(vec!["a.io", "s.io", "t.io/p", "*.w.io"]),
        proptest::collection::vec(location, 0..5),
        proptest::option::of(proptest::sample::select(vec!["NeverContactSource", "AllowContactingSource"])),
        proptest::bool::weighted(0.2),
        0..4_usize,
    );
    let one = one.prop_map(|(is_tag, source, mirrors, policy, insecure, object)| MirrorEntry {
        policy: policy.and_then(DeclaredPolicy::parse),
        insecure,
        ..named(
            &format!("set-{object}"),
            entry(if is_tag { PullBy::Tag } else { PullBy::Digest }, source, &mirrors.join(" ")),
        )
    });
    proptest::collection::vec(one, 0..8)
}
