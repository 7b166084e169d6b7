use proptest::prelude::*;

use super::super::fixtures::{any_entries, digest, insecure, named, never, origin, tag};
use super::super::merge::merge_layer;
use super::super::scope::best_match;
use super::*;

const D: &str = "@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

fn image(text: &str) -> ImageReference {
    ImageReference::parse(&text.replace("@D", D)).unwrap()
}

/// `prefix: endpoint endpoint`, with `!` before what is blocked; or the error.
fn show(resolved: &Resolved, text: &str) -> String {
    match resolve(resolved, &image(text)) {
        Ok(lookup) => {
            let mark =
                |endpoint: &Endpoint| format!("{}{}", if endpoint.blocked { "!" } else { "" }, endpoint.reference);
            let endpoints: Vec<String> = lookup.endpoints.iter().map(mark).collect();
            format!("{}: {}", lookup.prefix.as_deref().unwrap_or("-"), endpoints.join(" ")).replace(D, "@D")
        }
        Err(error) => error.to_string().replace(D, "@D"),
    }
}

#[test]
fn an_image_is_pulled_from_the_mirrors_of_its_best_match() {
    let resolved = merge_layer(&[
        digest("quay.io", "m.io"),
        digest("quay.io/a", "m.io/a n.io:5000/x/y"),
        tag("quay.io/a", "t.io/a"),
        digest("quay.io/a/b", "m.io/exact"),
        never(digest("registry.example.com:8443", "m.io/r")),
        digest("*.example.test", "m.io/wild"),
        digest("a.example.test", "m.io/plain"),
        digest("*.ports.test", "ports.io"),
        digest("docker.io", "m.io/hub"),
        digest("localhost/x", "m.io/l"),
        tag("keep.io", "z.io keep.io y.io"),
    ]);
    let cases = [
        // Digest and tag mirrors.
        ("quay.io/a/c@D", "quay.io/a: m.io/a/c@D n.io:5000/x/y/c@D quay.io/a/c@D"),
        ("quay.io/a/c:v1", "quay.io/a: t.io/a/c:v1 quay.io/a/c:v1"),
        ("quay.io/a/c:v1@D", "quay.io/a: m.io/a/c@D n.io:5000/x/y/c@D quay.io/a/c@D"),
        ("quay.io/a/c", "quay.io/a: t.io/a/c:latest quay.io/a/c:latest"),
        // The longest match, on segment boundaries.
        ("quay.io/a/b@D", "quay.io/a/b: m.io/exact@D quay.io/a/b@D"),
        ("quay.io/a/b/c@D", "quay.io/a/b: m.io/exact/c@D quay.io/a/b/c@D"),
        ("quay.io/a/bc@D", "quay.io/a: m.io/a/bc@D n.io:5000/x/y/bc@D quay.io/a/bc@D"),
        ("quay.io/ab@D", "quay.io: m.io/ab@D quay.io/ab@D"),
        // The more specific source hides the broader one, tag mirrors included or not.
        ("quay.io/a/b:v1", "quay.io/a/b: quay.io/a/b:v1"),
        ("quay.io/z:v1", "quay.io: quay.io/z:v1"),
        // No source.
        ("gcr.io/a@D", "-: gcr.io/a@D"),
        ("mirror.quay.io/a@D", "-: mirror.quay.io/a@D"),
        ("gcr.io/quay.io/a@D", "-: gcr.io/quay.io/a@D"),
        // A port belongs to the host.
        ("registry.example.com:8443/app@D", "registry.example.com:8443: m.io/r/app@D !registry.example.com:8443/app@D"),
        ("registry.example.com:8443/app:v1", "registry.example.com:8443: !registry.example.com:8443/app:v1"),
        ("registry.example.com/app@D", "-: registry.example.com/app@D"),
        ("quay.io:443/a/c@D", "quay.io: m.io:443/a/c@D quay.io:443/a/c@D"),
        // Wildcards.
        ("b.example.test/app@D", "*.example.test: m.io/wild/app@D b.example.test/app@D"),
        ("c.b.example.test/app@D", "*.example.test: m.io/wild/app@D c.b.example.test/app@D"),
        ("a.example.test/app@D", "*.example.test: m.io/wild/app@D a.example.test/app@D"),
        ("example.test/app@D", "-: example.test/app@D"),
        ("a.ports.test:8443/app@D", "*.ports.test: ports.io:8443/app@D a.ports.test:8443/app@D"),
        // Docker Hub.
        ("nginx@D", "docker.io: m.io/hub/library/nginx@D docker.io/library/nginx@D"),
        ("index.docker.io/a/b@D", "docker.io: m.io/hub/a/b@D docker.io/a/b@D"),
        ("localhost/x@D", "localhost/x: m.io/l@D localhost/x@D"),
        // The source among its mirrors is tried there, and at the end.
        ("keep.io/a:v1", "keep.io: z.io/a:v1 keep.io/a:v1 y.io/a:v1 keep.io/a:v1"),
    ];
    for (text, expected) in cases {
        assert_eq!(show(&resolved, text), expected, "{text}");
    }
}

#[test]
fn one_invalid_name_fails_the_whole_pull() {
    let resolved = merge_layer(&[
        digest("quay.io", "good.io mirror/ns"),
        digest("example.com", "m.net/path"),
        digest("hub.io", "docker.io"),
        digest("old.io", "index.docker.io"),
        digest("full.io/a/b", "m.net"),
        digest("*.example.test", "m.net/path"),
        tag("fine.io", "mirror/ns"),
    ]);
    let cases = [
        (
            "quay.io/a@D",
            r#"mirror "mirror/ns" of source "quay.io" results in an invalid name: invalid image reference "mirror/ns/a@D": repository name must be canonical"#,
        ),
        (
            "example.com:5000/app@D",
            r#"mirror "m.net/path" of source "example.com" results in an invalid name: invalid image reference "m.net/path:5000/app@D": invalid tag"#,
        ),
        (
            "hub.io/app@D",
            r#"mirror "docker.io" of source "hub.io" results in an invalid name: invalid image reference "docker.io/app@D": repository name must be canonical"#,
        ),
        ("hub.io/a/b@D", "hub.io: docker.io/a/b@D hub.io/a/b@D"),
        (
            "old.io/a/b@D",
            r#"mirror "index.docker.io" of source "old.io" results in an invalid name: invalid image reference "index.docker.io/a/b@D": repository name must be canonical"#,
        ),
        (
            "full.io/a/b@D",
            r#"mirror "m.net" of source "full.io/a/b" results in an invalid name: invalid image reference "m.net@D": repository name must be canonical"#,
        ),
        (
            "a.example.test:8443/app@D",
            r#"mirror "m.net/path" of source "*.example.test" results in an invalid name: invalid image reference "m.net/path:8443/app@D": invalid tag"#,
        ),
        // The mirrors of the other kind of pull are not looked at.
        ("fine.io/a@D", "fine.io: fine.io/a@D"),
    ];
    for (text, expected) in cases {
        assert_eq!(show(&resolved, text), expected, "{text}");
    }
}

#[test]
fn a_mirror_inside_a_blocked_source_is_skipped_unless_a_narrower_source_covers_it() {
    let resolved = merge_layer(&[never(digest("a.io", "a.io/mirror m.io")), digest("b.io", "a.io/x a.io/open/y")]);
    assert_eq!(show(&resolved, "a.io/app@D"), "a.io: !a.io/mirror/app@D m.io/app@D !a.io/app@D");
    assert_eq!(show(&resolved, "b.io/app@D"), "b.io: !a.io/x/app@D !a.io/open/y/app@D b.io/app@D");
    let covered = merge_layer(&[never(digest("a.io", "a.io/mirror")), digest("a.io/mirror", "m.io/q")]);
    assert_eq!(show(&covered, "a.io/app@D"), "a.io: a.io/mirror/app@D !a.io/app@D");
    // A parent's policy is not inherited.
    assert_eq!(show(&covered, "a.io/mirror/x@D"), "a.io/mirror: m.io/q/x@D a.io/mirror/x@D");
}

#[test]
fn an_endpoint_has_the_entries_that_list_it() {
    let resolved = merge_layer(&[
        named("one", digest("a.io", "m.io n.io")),
        named("two", insecure(digest("a.io", "n.io"))),
        named("three", tag("a.io", "t.io")),
    ]);
    let lookup = resolve(&resolved, &image("a.io/x@D")).unwrap();
    let origins: Vec<_> = lookup.endpoints.iter().map(|endpoint| endpoint.origins.clone()).collect();
    assert_eq!(
        origins,
        [vec![origin("one")], vec![origin("one"), origin("two")], vec![origin("one"), origin("three"), origin("two")],]
    );
    assert_eq!(lookup.endpoints.iter().map(|endpoint| endpoint.insecure).collect::<Vec<_>>(), [false, true, false]);
    let broken = merge_layer(&[named("bad", digest("a.io", "short"))]);
    let LookupError::Rewrite { prefix, mirror, origins, .. } = resolve(&broken, &image("a.io/x@D")).unwrap_err();
    assert_eq!((prefix.as_str(), mirror.as_str(), origins), ("a.io", "short", vec![origin("bad")]));
}

proptest! {
    #[test]
    fn an_image_selects_the_same_source_as_the_matcher_and_is_its_own_last_endpoint(
        entries in any_entries(), text in "(a|s|t|x\\.w)\\.io(:5000)?(/[px]){1,3}:v1",
    ) {
        let resolved = merge_layer(&entries);
        let image = ImageReference::parse(&text).unwrap();
        let expected = best_match(resolved.sources.keys().map(String::as_str), &image.name()).map(|(s, _)| s.to_owned());
        match resolve(&resolved, &image) {
            Ok(lookup) => {
                prop_assert_eq!(lookup.prefix, expected);
                prop_assert_eq!(lookup.endpoints.last().map(|endpoint| endpoint.reference.clone()), Some(text));
            }
            Err(LookupError::Rewrite { prefix, .. }) => prop_assert_eq!(Some(prefix), expected),
        }
    }
}
