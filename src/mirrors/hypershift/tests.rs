use super::*;

const D: &str = "@sha256:c5439d7db88ab5423999530349d327b04279ad3161d7596d2126dfb5b02bfd1f";

/// `at …` with the rule, `none`, or `skipped …`.
fn outcome(image: &str, source: &str, mirror: &str) -> String {
    match look_up(&Parts::parse(image).unwrap(), source, mirror) {
        LookUp::NoMatch => "none".to_owned(),
        LookUp::Skipped(error) => format!("skipped {error}"),
        LookUp::At(reference, rule) => format!("{rule:?} {reference}"),
    }
}

/// What the three functions of HyperShift answer, run with its own reader of references.
#[test]
fn look_ups_have_the_results_of_hypershift() {
    let table = [
        ("quay.io/mce/busybox:t", "quay.io/mce", "quay.io/openshifttest", "Namespace quay.io/openshifttest/busybox:t"),
        ("quay.io/mce/busybox:t", "quay.io/mce", "myreg.io/a/b", "Namespace myreg.io/b/busybox:t"),
        ("quay.io/mce/busybox:t", "quay.io/mce", "myreg:5000/z", "Namespace myreg:5000/z/busybox:t"),
        (
            "quay.io/mce/busybox:t",
            "quay.io/mce",
            "myreg.io",
            "skipped invalid reference format \"/myreg.io/busybox:t\"",
        ),
        ("registry.redhat.io/mce/x:t", "quay.io/mce", "m.io/z", "Namespace m.io/z/x:t"),
        ("quay.io/a/b:t", "quay.io/a/b", "m.io/x/y/z", "Exact m.io/x/y/z:t"),
        ("quay.io/a/b:t", "quay.io/a/b", "myreg.io/foo", "skipped invalid reference format \"myreg.io//foo:t\""),
        ("quay.io/a/b:t", "quay.io/a/b", "myreg.io", "skipped invalid reference format \"//myreg.io:t\""),
        ("quay.io/a/b:t", "quay.io/a/b", "mirror/x", "skipped invalid reference format \"/mirror/x:t\""),
        ("registry.redhat.io/a/b:t", "quay.io/a/b", "m.io/x/y", "Exact m.io/x/y:t"),
        ("quay.io/a/b/c:t", "quay.io/a/b", "m.io/x/y", "none"),
        ("quay.io/a/b/c:t", "quay.io/a", "m.io/z", "Namespace m.io/z/b/c:t"),
        ("quay.io/a/b/c:t", "quay.io", "m.io", "Registry m.io/a/b/c:t"),
        ("quay.io/a/b/c:t", "quay.io", "m.io/redhat", "Registry m.io/redhat/a/b/c:t"),
        ("quay.io/a/b/c:t", "quay.io", "m.io/x/y", "Registry m.io/x/y/a/b/c:t"),
        ("quay.io/a/b:t", "quay.io", "m.io:5000", "Registry m.io:5000/a/b:t"),
        ("quay.io/a/b:t", "quay.io", "mirror", "Registry mirror/a/b:t"),
        ("quay.io/a/b:t", "quay.io", "localhost:5000/q", "Registry localhost:5000/q/a/b:t"),
        ("registry.local:5000/x/y:t", "registry.local:5000", "m.io", "none"),
        ("registry.local:5000/a/b:t", "registry.local:5000/a", "m.io/z", "Namespace m.io/z/b:t"),
        ("quay.io/a/b:t", "*.io", "m.io", "skipped invalid reference format \"*.io\""),
        ("quay.io/single:t", "quay.io", "m.io", "skipped invalid reference format \"m.io//single:t\""),
        ("quay.io/single:t", "quay.io/single", "m.io/x/y", "Exact m.io/x/y:t"),
        ("quay.io/single:t", "quay.io/single", "m.io/single", "skipped invalid reference format \"m.io//single:t\""),
        ("quay.io/a/b:t", "a", "m.io/z", "Namespace m.io/z/b:t"),
        ("quay.io/a/b:t", "quay.io/a/b:other", "m.io/x/y:zzz", "Exact m.io/x/y:t"),
        ("quay.io/a/b:t", "quay.io/a", "m.io/z:5", "Namespace m.io/z/b:t"),
        ("quay.io/a/b", "quay.io/a/b", "m.io/x/y", "Exact m.io/x/y"),
        ("docker.io/library/nginx:1", "docker.io", "m.io", "Registry m.io/library/nginx:1"),
        ("nginx:1", "docker.io", "m.io", "none"),
        ("Quay.io/a/b:t", "Quay.io", "m.io", "skipped repository name must be lowercase \"Quay.io\""),
    ];
    for (image, source, mirror, expected) in table {
        assert_eq!(outcome(image, source, mirror), expected, "{image} by {source} -> {mirror}");
    }
    let both = format!("quay.io/a/b:t{D}");
    assert_eq!(outcome(&both, "quay.io/a/b", "m.io/x/y"), format!("Exact m.io/x/y{D}"));
    assert_eq!(outcome(&both, "quay.io", "m.io"), format!("Registry m.io/a/b{D}"));
    assert_eq!(outcome("quay.io/a/b:t", "quay.io/a/b", &format!("m.io/x/y{D}")), "Exact m.io/x/y:t");
}

#[test]
fn release_images_are_replaced_as_text() {
    let image = "quay.io/openshift-release-dev/ocp-release:4.20.0-x86_64";
    let at = |source, mirror| look_up_release(image, source, mirror);
    assert_eq!(
        at("quay.io/openshift-release-dev", "m.io:5000/ocp4/openshift-release-dev").as_deref(),
        Some("m.io:5000/ocp4/openshift-release-dev/ocp-release:4.20.0-x86_64")
    );
    assert_eq!(at("ocp-release", "x").as_deref(), Some("quay.io/openshift-release-dev/x:4.20.0-x86_64"));
    assert_eq!((at("", "x"), at("registry.redhat.io", "x")), (None, None));
}

#[test]
fn the_argument_replaces_the_longest_source_on_a_boundary() {
    let overrides = [("quay.io", "a.io"), ("quay.io/a", "b.io/x"), ("quay.io/ab", "c.io"), ("", "d.io")];
    let at = |image| replace(image, overrides);
    assert_eq!(at("quay.io/a/b:t").as_deref(), Some("b.io/x/b:t"));
    assert_eq!(at("quay.io/a:t").as_deref(), Some("b.io/x:t"));
    assert_eq!(at("quay.io/abc").as_deref(), Some("a.io/abc"));
    assert_eq!((at("quay.io:5000/a"), at("other.io/a")), (None, None));
}
