use proptest::prelude::*;

use super::*;

const D64: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

fn digest() -> String {
    format!("sha256:{D64}")
}

/// Text, its normal form, and whether the text is canonical: as `github.com/distribution/reference` v0.6.0 answered.
#[test]
fn accepts_and_normalises_what_distribution_reference_does() {
    let digested = format!("quay.io/a/b@{}", digest());
    let both = format!("quay.io/a/b:t@{}", digest());
    let long = format!("quay.io/a/b@sha512:{D64}{D64}");
    let tagged_identifier = format!("{D64}:t");
    let identifier_normal = format!("docker.io/library/{D64}:t");
    let cases = [
        ("nginx", "docker.io/library/nginx", false),
        ("nginx:1.25", "docker.io/library/nginx:1.25", false),
        ("library/nginx", "docker.io/library/nginx", false),
        ("mirror/app", "docker.io/mirror/app", false),
        ("docker.io/nginx", "docker.io/library/nginx", false),
        ("docker.io/a/b", "docker.io/a/b", true),
        ("index.docker.io/nginx", "docker.io/library/nginx", false),
        ("index.docker.io/a/b:t", "docker.io/a/b:t", false),
        ("localhost/app", "localhost/app", true),
        ("localhost:5000/app:t", "localhost:5000/app:t", true),
        ("localhost:5000", "docker.io/library/localhost:5000", false),
        ("host:5000/app", "host:5000/app", true),
        ("quay.io/a/b/c:v1.0_x-y", "quay.io/a/b/c:v1.0_x-y", true),
        (&digested, &digested, true),
        (&both, &both, true),
        (&long, &long, true),
        (&tagged_identifier, &identifier_normal, false),
        ("Quay.io/a", "Quay.io/a", true),
        ("QUAY/a", "QUAY/a", true),
        ("quay.io/a__b", "quay.io/a__b", true),
        ("quay.io/a---b", "quay.io/a---b", true),
        ("quay.io", "docker.io/library/quay.io", false),
        ("a_b.c/x", "a_b.c/x", true),
        ("127.0.0.1:5000/x", "127.0.0.1:5000/x", true),
        ("a:_t", "docker.io/library/a:_t", false),
    ];
    for (text, normal, canonical) in cases {
        let parsed = ImageReference::parse(text).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(parsed.to_string(), normal, "{text}");
        assert_eq!(is_valid_reference(text), canonical, "{text}");
    }
}

#[test]
fn refuses_what_containers_image_refuses_and_names_the_text() {
    let cases = [
        (String::new(), "Empty"),
        (D64.to_owned(), "Identifier"),
        (format!("quay.io/a/b@sha256:{D64}a"), "Digest"),
        (format!("quay.io/a/b@sha256:{}", &D64[32..]), "Digest"),
        (format!("quay.io/a/b@md5:{}", &D64[32..]), "Digest"),
        (format!("quay.io/a/b@sha256:{}", D64.to_uppercase()), "Digest"),
        (format!("a@{0}@{0}", digest()), "Digest"),
        ("a@".to_owned(), "Digest"),
        ("Quay".to_owned(), "Uppercase"),
        ("quay.io/A".to_owned(), "Uppercase"),
        (format!("quay.io/{}", "a".repeat(256)), "TooLong"),
        ("quay.io/a___b".to_owned(), "Name"),
        ("quay.io/a..b".to_owned(), "Name"),
        ("quay.io/a._b".to_owned(), "Name"),
        ("quay.io/-a".to_owned(), "Name"),
        ("quay.io/a-".to_owned(), "Name"),
        ("quay.io//a".to_owned(), "Name"),
        ("quay.io/a/".to_owned(), "Name"),
        ("/a".to_owned(), "Name"),
        ("quay.io/".to_owned(), "Name"),
        ("a_b.c:5000/x".to_owned(), "Name"),
        ("-a.b/x".to_owned(), "Name"),
        ("a..b/x".to_owned(), "Name"),
        ("a.b./x".to_owned(), "Name"),
        ("[::1]:5000/x".to_owned(), "Name"),
        ("[::1]/x".to_owned(), "Name"),
        ("a.b:/x".to_owned(), "Name"),
        ("a.b:5x/x".to_owned(), "Name"),
        ("a.b:5000:6/x".to_owned(), "Name"),
        ("a b".to_owned(), "Name"),
        ("https://quay.io/a".to_owned(), "Name"),
        ("a:".to_owned(), "Tag"),
        ("a:.t".to_owned(), "Tag"),
        ("a: t".to_owned(), "Tag"),
        (format!("a:{}", "t".repeat(129)), "Tag"),
        ("m.net:5000/path:5000/app".to_owned(), "Tag"),
    ];
    for (text, variant) in cases {
        let error = ImageReference::parse(&text).unwrap_err();
        assert!(format!("{error:?}").starts_with(variant), "{text}: {error:?}");
        assert!(error.to_string().contains(&format!("{text:?}")), "{error}");
        assert!(!is_valid_reference(&text), "{text}");
    }
}

#[test]
fn a_name_that_needs_normalisation_is_not_canonical() {
    let error = ImageReference::parse_canonical("mirror/app").unwrap_err();
    assert_eq!(error, ReferenceError::NotCanonical("mirror/app".to_owned()));
    assert_eq!(error.to_string(), r#"invalid image reference "mirror/app": repository name must be canonical"#);
}

#[test]
fn a_node_pulls_by_digest_else_by_tag_else_latest() {
    let cases = [
        ("quay.io/a:t".to_owned(), "quay.io/a:t".to_owned()),
        ("quay.io/a".to_owned(), "quay.io/a:latest".to_owned()),
        (format!("quay.io/a:t@{}", digest()), format!("quay.io/a@{}", digest())),
        ("nginx".to_owned(), "docker.io/library/nginx:latest".to_owned()),
    ];
    for (text, pulled) in cases {
        let reference = ImageReference::parse(&text).unwrap();
        assert_eq!(reference.as_pulled().to_string(), pulled);
        assert_eq!(reference.as_pulled().name(), reference.name());
    }
}

proptest! {
    #[test]
    fn parsing_never_panics(text in "[a-zA-Z0-9._:@/\\[\\] -]{0,40}") {
        let _ = ImageReference::parse(&text);
    }

    #[test]
    fn what_is_printed_parses_to_the_same(
        registry in "(localhost|[a-z]{1,5}\\.[a-z]{2,3})(:[0-9]{2,5})?",
        path in "[a-z0-9]{1,5}(/[a-z0-9]{1,5}([._-][a-z0-9]{1,3})?){1,3}",
        tag in proptest::option::of("[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,10}"),
        digest in proptest::option::of("sha256:[0-9a-f]{64}"),
    ) {
        let reference = ImageReference { registry, path, tag, digest };
        prop_assert_eq!(ImageReference::parse(&reference.to_string()), Ok(reference.clone()));
        prop_assert_eq!(ImageReference::parse_canonical(&reference.to_string()), Ok(reference));
    }
}
