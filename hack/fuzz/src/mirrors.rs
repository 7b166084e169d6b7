//! Properties of mirror entries from any source.

use hypermirror::mirrors::finding::Finding;
use hypermirror::mirrors::merge::{merge_layer, overlay};
use hypermirror::mirrors::registries::{RegistriesConfig, render, with_ours};
use hypermirror::mirrors::validate::{Consumer, validate};
use hypermirror::mirrors::{MirrorEntry, Origin, Resolved, overrides};

/// The namespace and name of the ConfigMap.
pub const OBJECT: (&str, &str) = ("clusters", "mirrors");

/// Entries and findings have the ConfigMap and one of its keys as their origin.
pub fn check_origins(entries: &[MirrorEntry], findings: &[Finding], is_key: impl Fn(&str) -> bool) {
    let named = |origin: &Origin| {
        origin.kind == "ConfigMap"
            && origin.namespace.as_deref() == Some(OBJECT.0)
            && origin.name == OBJECT.1
            && origin.key.as_deref().is_some_and(&is_key)
    };
    for origin in entries.iter().map(|entry| &entry.origin).chain(findings.iter().map(|finding| &finding.origin)) {
        assert!(named(origin), "the origin is another object: {origin}");
    }
}

/// Entries can be processed without errors, and their order has no effect.
pub fn check_entries(entries: &[MirrorEntry]) {
    for consumer in [Consumer::ControlPlane, Consumer::Node] {
        let validated = validate(entries, consumer);
        let again = validate(&validated.entries, consumer);
        assert_eq!(again.entries, validated.entries, "valid entries stay valid");
        let resolved = merge_layer(&validated.entries);
        let reversed: Vec<MirrorEntry> = validated.entries.iter().rev().cloned().collect();
        assert_eq!(merge_layer(&reversed), resolved, "the order of entries has no effect");
        assert_eq!(overlay(&resolved, &Resolved::default()), resolved, "an empty layer has no effect");
        match consumer {
            Consumer::ControlPlane => check_override(&resolved),
            Consumer::Node => check_drop_in(&resolved),
        }
    }
}

/// HyperShift's operators parse the printed values correctly.
fn check_override(resolved: &Resolved) {
    let pairs = resolved
        .sources
        .iter()
        .flat_map(|(source, mirrors)| mirrors.all_mirrors().map(move |mirror| (source.as_str(), mirror)));
    assert!(overrides::pairs(&overrides::print_env(resolved)).eq(pairs));
}

/// A node without other files accepts the drop-in.
fn check_drop_in(resolved: &Resolved) {
    let foreign = RegistriesConfig::default();
    let rendered = render(resolved, &foreign);
    let node = rendered.as_ref().map(|rendered| with_ours(&foreign, rendered));
    assert!(matches!(node, Ok(Ok(_))), "a node rejects {rendered:?}");
}
