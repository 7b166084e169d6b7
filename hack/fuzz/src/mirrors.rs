//! What holds for mirror entries, wherever they were read.

use hypermirror::mirrors::finding::Finding;
use hypermirror::mirrors::merge::{merge_layer, overlay};
use hypermirror::mirrors::registries::{RegistriesConfig, render, with_ours};
use hypermirror::mirrors::validate::{Consumer, validate};
use hypermirror::mirrors::{MirrorEntry, Origin, Resolved, overrides};

/// The namespace and name of the ConfigMap that is read.
pub const OBJECT: (&str, &str) = ("clusters", "mirrors");

/// Entries and findings name the ConfigMap and one of its keys.
pub fn check_origins(entries: &[MirrorEntry], findings: &[Finding], is_key: impl Fn(&str) -> bool) {
    let named = |origin: &Origin| {
        origin.kind == "ConfigMap"
            && origin.namespace.as_deref() == Some(OBJECT.0)
            && origin.name == OBJECT.1
            && origin.key.as_deref().is_some_and(&is_key)
    };
    for origin in entries.iter().map(|entry| &entry.origin).chain(findings.iter().map(|finding| &finding.origin)) {
        assert!(named(origin), "names another object: {origin}");
    }
}

/// What is done with entries goes well, and their order does not matter.
pub fn check_entries(entries: &[MirrorEntry]) {
    for consumer in [Consumer::ControlPlane, Consumer::Node] {
        let validated = validate(entries, consumer);
        let again = validate(&validated.entries, consumer);
        assert_eq!(again.entries, validated.entries, "what is valid stays so");
        let resolved = merge_layer(&validated.entries);
        let reversed: Vec<MirrorEntry> = validated.entries.iter().rev().cloned().collect();
        assert_eq!(merge_layer(&reversed), resolved, "the order of entries does not matter");
        assert_eq!(overlay(&resolved, &Resolved::default()), resolved, "nothing over it changes nothing");
        match consumer {
            Consumer::ControlPlane => check_override(&resolved),
            Consumer::Node => check_drop_in(&resolved),
        }
    }
}

/// What HyperShift's operators read is what was printed for them.
fn check_override(resolved: &Resolved) {
    let pairs = resolved
        .sources
        .iter()
        .flat_map(|(source, mirrors)| mirrors.all_mirrors().map(move |mirror| (source.clone(), mirror.to_owned())));
    let pairs: Vec<(String, String)> = pairs.collect();
    assert_eq!(overrides::parse_pairs(&overrides::print_env(resolved)), pairs);
}

/// A node without files of its own takes the drop-in.
fn check_drop_in(resolved: &Resolved) {
    let foreign = RegistriesConfig::default();
    let rendered = render(resolved, &foreign);
    let node = rendered.as_ref().map(|rendered| with_ours(&foreign, rendered));
    assert!(matches!(node, Ok(Ok(_))), "a node refuses {rendered:?}");
}
