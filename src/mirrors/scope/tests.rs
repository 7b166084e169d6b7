use proptest::prelude::*;

use super::*;

/// What `refMatchingPrefix` answers for a name without tag and digest.
#[test]
fn a_scope_matches_on_segment_boundaries() {
    let cases = [
        ("example.com", "example.com", Some(11)),
        ("example.com", "example.com/app", Some(11)),
        ("example.com", "example.com/a/b/c", Some(11)),
        ("example.com", "example.community/app", None),
        ("example.com", "example.com.evil.io/app", None),
        ("example.com", "my-example.com/app", None),
        ("example.com", "a.example.com/app", None),
        ("example.com", "mirror.io/example.com/app", None),
        ("example.com", "example.co", None),
        ("example.com", "Example.com/app", None),
        ("Example.com", "example.com/app", None),
        // Unintended, and so it is.
        ("example.com", "example.com:5000/app", Some(11)),
        ("example.com", "example.com:5000", Some(11)),
        ("example.com:5000", "example.com:5000/app", Some(16)),
        ("example.com:5000", "example.com/app", None),
        ("example.com:5000", "example.com:50001/app", None),
        ("example.com:500", "example.com:5000/app", None),
        ("example.com/app", "example.com:5000/app", None),
        ("quay.io/a", "quay.io/a", Some(9)),
        ("quay.io/a", "quay.io/a/b", Some(9)),
        ("quay.io/a", "quay.io/ab", None),
        ("quay.io/a", "quay.io/a-b/c", None),
        ("quay.io/a", "quay.io/b/a", None),
        ("quay.io/a/b", "quay.io/a", None),
        ("quay.io/a/", "quay.io/a/b", None),
        ("quay.io/a/b", "quay.io/a/b/c", Some(11)),
        ("localhost:5000/ns", "localhost:5000/ns/app", Some(17)),
        ("127.0.0.1:5000", "127.0.0.1:5000/app", Some(14)),
        ("[::1]:5000", "[::1]:5000/app", Some(10)),
        // A prefix with tag or digest never meets a name.
        ("quay.io/a:v1", "quay.io/a", None),
        ("quay.io/a@sha256:0", "quay.io/a", None),
        // Docker Hub's names are normalised, prefixes are not.
        ("docker.io", "docker.io/library/nginx", Some(9)),
        ("docker.io/library", "docker.io/library/nginx", Some(17)),
        ("docker.io/nginx", "docker.io/library/nginx", None),
        ("quay", "docker.io/quay/app", None),
        // Wildcards: any depth, any port, not the domain itself, never the path.
        ("*.example.test", "a.example.test/app", Some(14)),
        ("*.example.test", "a.b.example.test/app", Some(16)),
        ("*.example.test", "a.example.test", Some(14)),
        ("*.example.test", "example.test/app", None),
        ("*.example.test", "a.example.test:8443/app", Some(14)),
        ("*.example.test", "aexample.test/app", None),
        ("*.example.test", "a.example.testing/app", None),
        ("*.example.test", "quay.io/a.example.test/app", None),
        ("*.example.test", "quay.io/a.example.test", None),
        ("*.a.io", "x.a.io.a.io/app", None),
        ("*.io", "quay.io/app", Some(7)),
        ("*.example.test", "*.example.test", Some(14)),
        ("*", "quay.io/app", None),
        ("*quay.io", "quay.io/app", None),
        ("", "quay.io/app", None),
        ("quay.io", "", None),
    ];
    for (scope, name, expected) in cases {
        assert_eq!(match_len(scope, name), expected, "{scope} {name}");
    }
}

#[test]
fn the_longest_scope_wins_and_a_tie_goes_to_the_first_in_byte_order() {
    let cases = [
        (vec!["quay.io", "quay.io/a", "quay.io/a/b"], "quay.io/a/b/c", Some("quay.io/a/b")),
        (vec!["quay.io", "quay.io/a", "quay.io/a/b"], "quay.io/a/c", Some("quay.io/a")),
        (vec!["quay.io", "quay.io/a", "quay.io/a/b"], "quay.io/c", Some("quay.io")),
        (vec!["quay.io/a", "quay.io/b"], "quay.io/c", None),
        (vec!["*.example.test", "a.example.test"], "a.example.test/app", Some("*.example.test")),
        (vec!["*.example.test", "ab.example.test"], "ab.example.test/app", Some("ab.example.test")),
        (vec!["*.test", "*.example.test"], "a.example.test/app", Some("*.example.test")),
        (vec!["*.example.test", "b.test/app"], "b.test/app", Some("b.test/app")),
        (vec!["example.com", "example.com:5000"], "example.com:5000/app", Some("example.com:5000")),
        (vec![], "quay.io/a", None),
    ];
    for (scopes, name, expected) in cases {
        assert_eq!(best_match(scopes.iter().copied(), name).map(|(scope, _)| scope), expected, "{scopes:?} {name}");
        assert_eq!(best_match(scopes.iter().rev().copied(), name).map(|(scope, _)| scope), expected, "{scopes:?}");
    }
}

/// `registries_test.go`, `TestScopeIsNestedInsideScope`, and ports.
#[test]
fn a_scope_is_nested_inside_another_one() {
    let cases = [
        ("quay.io", "example.com", false),
        ("quay.io", "quay.io", true),
        ("quay.io:443", "quay.io", false),
        ("quay.io:443", "quay.io:444", false),
        ("quay.io:443/a", "quay.io:443", true),
        ("quay.io:443/a", "quay.io", false),
        ("quay.io.example.com", "quay.io", false),
        ("quay.io2", "quay.io", false),
        ("quay.io/ns1", "quay.io", true),
        ("quay.io", "quay.io/ns1", false),
        ("quay.io/ns1/ns2/ns3", "quay.io", true),
        ("quay.io/ns1/ns2/ns3", "not-quay.io", false),
        ("bar/example.foo", "*.foo", false),
        ("example/bar.foo/quay.io", "*.foo", false),
        ("example/bar.foo:400", "*.foo", false),
        ("foo.example.com", "*.example.com", true),
        ("*.foo.example.com", "*.example.com", true),
        ("*.example.com", "*.example.com", true),
        ("example.com", "*.example.com", false),
        ("foo.example.com/bar", "*.example.com", true),
        ("foo.registry.com", "*.example.com", false),
        ("foo.example.com", "**.example.com", false),
        ("foo.example.com", "example.*.com", false),
        ("foo.example.com", "*.example.com/foo/bar", false),
        ("foo.example.com:443/bar/baz", "*.example.com", true),
        ("foo.example.com:443/bar/baz", "*.example.com/bar/baz", false),
        ("foo.example.com", "*example.com", false),
        ("foo.example.com", "*/example.com", false),
    ];
    for (inner, outer, expected) in cases {
        assert_eq!(Scope::new(inner).is_nested_inside(Scope::new(outer)), expected, "{inner} {outer}");
    }
}

/// `registries_test.go`, `TestIsValidRegistriesConfScope`.
#[test]
fn a_star_matches_subdomains_only() {
    for valid in ["example.com", "*.example.com", "example.com:5000/a", "foo bar"] {
        assert!(Scope::new(valid).is_valid(), "{valid}");
    }
    let invalid = [
        "**.example.com",
        "example.*.com",
        "*.example.com/foo/bar",
        "*.example.com:foo",
        "*.example.com/foo:sha@bar",
        "*.example.com.*.bar.com",
        "*example.com",
        "*/example.com",
        "*.*example.com",
        "*",
        "",
    ];
    for invalid in invalid {
        assert!(!Scope::new(invalid).is_valid(), "{invalid}");
    }
}

#[test]
fn a_scope_has_host_port_and_path() {
    let cases = [
        ("quay.io", "quay.io", None, None),
        ("quay.io:443", "quay.io", Some("443"), None),
        ("quay.io:443/a/b", "quay.io", Some("443"), Some("a/b")),
        ("quay.io/a:v1", "quay.io", None, Some("a:v1")),
        ("*.quay.io", "*.quay.io", None, None),
        ("[::1]", "[::1]", None, None),
        ("[::1]:5000/a", "[::1]", Some("5000"), Some("a")),
        ("", "", None, None),
    ];
    for (text, host, port, path) in cases {
        let scope = Scope::new(text);
        assert_eq!((scope.host(), scope.port(), scope.path()), (host, port, path), "{text}");
    }
}

const SCOPE: &str = "(\\*\\.)?[ab]{1,2}(\\.[ab]){0,2}(:1)?(/[ab]){0,2}";

/// Half a million boundaries, and half a megabyte to copy and compare at each: without a limit it takes minutes.
#[test]
fn a_name_of_a_megabyte_is_looked_up_without_delay() {
    let path = format!("a.example{}", "/a".repeat(500_000));
    let host = "a.".repeat(500_000) + "example";
    let scopes = std::collections::BTreeSet::from([path.as_str(), host.as_str(), "a.example/a"]);
    let found = |name: &str| best_match_in(name, |scope| scopes.contains(scope) && scope != name);
    assert_eq!(found(&path), Some(("a.example/a".to_owned(), 11)));
    assert_eq!(found(&host), None);
    assert_eq!(best_match_in(&host, |scope| scopes.contains(scope)), Some((host.clone(), host.len())));
}

proptest! {
    #[test]
    fn what_a_nested_scope_matches_its_parent_matches(
        inner in SCOPE, outer in SCOPE, name in "[ab]{1,2}(\\.[ab]){0,2}(:1)?(/[ab]){1,3}",
    ) {
        let nested = Scope::new(&inner).is_nested_inside(Scope::new(&outer));
        // Of a wildcard the matcher tries one place of the name only.
        prop_assume!(!outer.starts_with("*.") && !inner.starts_with("*."));
        if nested && match_len(&inner, &name).is_some() {
            prop_assert!(match_len(&outer, &name).is_some());
        }
    }

    #[test]
    fn a_plain_scope_matches_only_what_begins_with_it(scope in "[ab]{1,2}(\\.[ab]){0,2}(/[ab]){0,2}", name in SCOPE) {
        let expected = name == scope || ["/", ":"].iter().any(|next| name.starts_with(&format!("{scope}{next}")));
        prop_assert_eq!(match_len(&scope, &name).is_some(), expected);
        prop_assert!(match_len(&scope, &name).is_none_or(|len| len == scope.len()));
    }

    #[test]
    fn the_order_of_scopes_never_matters(
        scopes in proptest::collection::vec(SCOPE, 0..6).prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle())),
        name in "[ab]{1,2}(\\.[ab]){0,2}(:1)?(/[ab]){1,3}",
    ) {
        let (scopes, shuffled) = scopes;
        let first = best_match(scopes.iter().map(String::as_str), &name);
        prop_assert_eq!(first, best_match(shuffled.iter().map(String::as_str), &name));
        prop_assert_eq!(first.is_some(), scopes.iter().any(|scope| match_len(scope, &name).is_some()));
    }

    #[test]
    fn looking_up_is_trying_all(
        scopes in proptest::collection::vec("(\\*(\\.[ab]){1,2}|[ab](\\.[ab]){0,2}(:1)?(/[ab]){0,2})", 0..8),
        name in "[ab](\\.[ab]){0,3}(:1)?(/[ab]){0,3}",
    ) {
        let tried = best_match(scopes.iter().map(String::as_str), &name).map(|(scope, len)| (scope.to_owned(), len));
        prop_assert_eq!(best_match_in(&name, |scope| scopes.iter().any(|known| known == scope)), tried);
    }

    #[test]
    fn matching_never_panics(scope in "\\PC{0,8}", name in "\\PC{0,12}") {
        let _ = match_len(&scope, &name);
        let _ = best_match_in(&name, |_| true);
        let _ = Scope::new(&scope).is_nested_inside(Scope::new(&name));
    }
}
