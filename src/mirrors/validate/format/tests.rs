use super::*;

/// The `pattern` of the CRDs: what passes and what does not.
#[test]
fn sources_and_mirrors_have_the_format_that_the_crds_demand() {
    let both = [
        "quay.io",
        "quay.io:443",
        "quay.io/a",
        "quay.io/a/b/c",
        "localhost",
        "localhost:5000/a",
        "quay",
        "quay/a",
        "Quay.io/a",
        "a-b.io/a_b/a__b/a---b/a.b",
        "127.0.0.1:5000/a",
    ];
    for text in both {
        assert!(is_source(text) && is_mirror(text), "{text}");
    }
    for text in ["*.quay.io", "*.io"] {
        assert!(is_source(text) && !is_mirror(text), "{text}");
    }
    let neither = [
        "",
        "*",
        "*quay.io",
        "*.",
        "*.quay.io/a",
        "*.quay.io:443",
        "*.*.io",
        "a.*.io",
        "quay.io/",
        "quay.io//a",
        "/a",
        "quay.io/A",
        "quay.io/a:v1",
        "quay.io/a@sha256:00",
        "https://quay.io",
        "quay.io:x/a",
        "quay.io:/a",
        "-quay.io",
        "quay-.io",
        "quay..io",
        "quay.io/a..b",
        "quay.io/a___b",
        "quay.io/-a",
        "[::1]:5000/a",
        "quay.io,a.io",
        "quay.io=a.io",
        "quay.io/a b",
        " quay.io",
        "quay.io\n",
        "quay.io/ä",
    ];
    for text in neither {
        assert!(!is_source(text) && !is_mirror(text), "{text}");
    }
}

#[test]
fn an_invalid_text_comes_with_a_hint() {
    let cases = [
        ("", "it is empty"),
        ("a b", "white space"),
        ("a\n", "white space"),
        ("a,b", "separate overrides"),
        ("https://a.io", "scheme"),
        ("*.a.io/x", "wildcard"),
        ("a.io/", "slash"),
        ("a.io/x:v1", "tag and the digest"),
        ("a.io/X", "lower case"),
        ("<internal-registry>/a", "placeholder"),
        ("<host>:<port>/a", "placeholder"),
        ("${MIRROR}/a", "placeholder"),
        ("$MIRROR/a", "placeholder"),
        ("{{ .Values.mirror }}/a", "placeholder"),
        ("%MIRROR%/a", "placeholder"),
        ("[fd00::1]:5000/a", "IPv6"),
        ("fd00::1/a", "IPv6"),
        (" a.io", "leading and trailing"),
        ("a.io:port/a", "not a port number"),
        ("a.io:/a", "not a port number"),
        ("/a", "is empty"),
        ("a.io//b", "is empty"),
        ("a..io", "a host has"),
        ("a_b.io/x", "a host has"),
        ("a.io/b..c", "a path has"),
    ];
    for (text, expected) in cases {
        assert!(hint(text).is_some_and(|found| found.contains(expected)), "{text:?}");
    }
    assert_eq!(hint("a.io/b"), None);
}

#[test]
fn an_image_that_is_none_comes_with_a_hint() {
    for (image, expected) in [
        ("https://quay.io/a/b:1", "remove the scheme"),
        ("oci:dir:tag", "with a registry"),
        ("${REGISTRY}/a", "placeholder"),
        ("[fd00::1]/a", "IPv6"),
        ("a b", "white space"),
        ("quay.io/a//b", "is empty"),
    ] {
        assert!(image_hint(image).is_some_and(|found| found.contains(expected)), "{image:?}");
    }
    assert_eq!(image_hint("quay.io/A"), None);
}
