use hypermirror_api::hypershift::{ClusterConfiguration, HostedClusterSpec, OperatorHub};

use super::*;

const A: &str = "m.example/certified@sha256:000000000000000000000000000000000000000000000000000000000000000a";
const B: &str = "m.example/community@sha256:000000000000000000000000000000000000000000000000000000000000000b";
const C: &str = "m.example:5000/r/redhat:v1@sha256:000000000000000000000000000000000000000000000000000000000000000c";
const OVERRIDES: &str = annotations::CATALOG_REGISTRY_OVERRIDES;

fn cluster(placement: &str, annotated: &[(&str, &str)]) -> HostedCluster {
    let spec = HostedClusterSpec { olm_catalog_placement: Some(placement.to_owned()), ..HostedClusterSpec::default() };
    let mut cluster = HostedCluster::new("a", spec);
    let annotated = annotated.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    cluster.metadata.annotations = Some(annotated.collect());
    cluster
}

fn images<'a>(certified: &'a str, community: &'a str, redhat: &'a str) -> [(&'static str, &'a str); 3] {
    [
        (Catalog::Certified.annotation(), certified),
        (Catalog::Community.annotation(), community),
        (Catalog::Redhat.annotation(), redhat),
    ]
}

fn read(placement: &str, annotated: &[(&str, &str)]) -> RequestedCatalogs {
    requested(&cluster(placement, annotated)).unwrap()
}

/// Severity, reason and message of each finding.
fn reported(requested: &RequestedCatalogs) -> Vec<String> {
    let line = |finding: &CatalogFinding| {
        let annotation = finding.annotation.rsplit('/').next().unwrap();
        format!("{} {} {annotation}: {}", finding.severity.as_str(), finding.reason.as_str(), finding.message)
    };
    requested.findings.iter().map(line).collect()
}

#[test]
fn without_annotations_for_catalogs_nothing_is_read() {
    assert_eq!(requested(&cluster("management", &[("other", "x")])), None);
    assert_eq!(requested(&cluster("management", &images("", "", ""))), None, "an empty value is none, as upstream");
}

#[test]
fn three_images_by_digest_are_used_unchanged() {
    let requested = read("management", &images(A, B, C));
    assert_eq!(reported(&requested), Vec::<String>::new());
    let expected = Catalog::ALL.into_iter().zip([A, B, C].map(str::to_owned)).collect();
    assert_eq!(requested.wanted, Wanted::Images(expected));
    let unset = HostedCluster { spec: HostedClusterSpec::default(), ..cluster("management", &images(A, B, C)) };
    assert_eq!(super::requested(&unset).unwrap(), requested, "management is the default placement");
}

#[test]
fn images_are_refused_with_upstreams_messages_and_then_nothing_is_wanted() {
    let digest = "images for OLM catalogs should be referenced only by digest";
    let all = "if OLM catalog images are overridden, all the values for the 3 default catalogs should be provided";
    let cases: [(&str, [&str; 3], Vec<String>); 5] = [
        ("one is missing", [A, "", C], vec![format!("Error CatalogInvalid community-operators-catalog-image: {all}")]),
        (
            "one alone",
            ["", "", C],
            vec![
                format!("Error CatalogInvalid certified-operators-catalog-image: {all}"),
                format!("Error CatalogInvalid community-operators-catalog-image: {all}"),
            ],
        ),
        (
            "a tag",
            [A, "m.example/c:v1", C],
            vec![format!("Error CatalogInvalid community-operators-catalog-image: {digest}")],
        ),
        (
            "another digest",
            [A, B, "m.example/c@sha512:00"],
            vec![format!("Error CatalogInvalid redhat-operators-catalog-image: {digest}")],
        ),
        (
            "a tag, and one is missing",
            ["m.example/c:v1", B, ""],
            vec![
                format!("Error CatalogInvalid certified-operators-catalog-image: {digest}"),
                format!("Error CatalogInvalid redhat-operators-catalog-image: {all}"),
            ],
        ),
    ];
    for (name, [a, b, c], expected) in cases {
        let requested = read("management", &images(a, b, c));
        assert_eq!((reported(&requested), requested.wanted), (expected, Wanted::Nothing), "{name}");
    }
}

#[test]
fn images_that_upstream_accepts_and_no_node_can_pull_are_rejected() {
    for bad in [
        "x@sha256:zz",
        "docker://m.example/x@sha256:000000000000000000000000000000000000000000000000000000000000000a",
        " m.example/x@sha256:000000000000000000000000000000000000000000000000000000000000000a",
        "M.example/X@sha256:0",
    ] {
        let requested = read("management", &images(A, bad, C));
        assert_eq!((requested.findings.len(), &requested.wanted), (1, &Wanted::Nothing), "{bad}");
        let finding = &requested.findings[0];
        assert_eq!((finding.reason, finding.value.as_str()), (Reason::CatalogInvalid, bad));
        assert!(finding.message.contains("is not a valid image reference: "), "{}", finding.message);
    }
}

#[test]
fn registries_are_those_that_upstream_computes() {
    let cases: [(&str, &[&str]); 10] = [
        ("registry.redhat.io/redhat=m.example/r", &["m.example/r"]),
        ("registry.redhat.io/redhat=m:5000", &["m:5000"]),
        ("registry.redhat.io=m:5000", &["m:5000/redhat"]),
        ("registry.redhat.io=m.example", &["m.example/redhat"]),
        ("registry.redhat.io=m.example/r", &["m.example/r"]),
        ("registry.redhat.io=b.example,registry.redhat.io=a.example", &["b.example/redhat", "a.example/redhat"]),
        ("registry.redhat.io/redhat=b.example,registry.redhat.io/redhat=a.example/x", &["b.example", "a.example/x"]),
        ("=,registry.redhat.io=m.example", &["m.example/redhat"]),
        ("registry.redhat.io=m.example,=", &["m.example/redhat"]),
        ("registry.redhat.io=m.example,registry.redhat.io=m.example", &["m.example/redhat", "m.example/redhat"]),
    ];
    for (text, expected) in cases {
        let requested = read("management", &[(OVERRIDES, text)]);
        let expected = expected.iter().map(|registry| (*registry).to_owned()).collect();
        assert_eq!((reported(&requested), requested.wanted), (vec![], Wanted::Registries(expected)), "{text}");
    }
}

#[test]
fn parts_that_upstream_ignores_are_reported_and_the_rest_applies() {
    let rest = "registry.redhat.io=m.example";
    for (part, reason, message) in [
        ("nonsense", "CatalogInvalid", "\"nonsense\" is not SOURCE=MIRROR and is ignored"),
        ("=m.example", "CatalogInvalid", "\"=m.example\" is not SOURCE=MIRROR and is ignored"),
        ("registry.redhat.io=", "CatalogInvalid", "\"registry.redhat.io=\" is not SOURCE=MIRROR and is ignored"),
        ("", "CatalogInvalid", "\"\" is not SOURCE=MIRROR and is ignored"),
        (
            "quay.io=m.example",
            "CatalogIneffective",
            "source \"quay.io\" has no effect: only registry.redhat.io/redhat and registry.redhat.io are used",
        ),
        (
            "registry.redhat.io/redhat/redhat-operator-index=m.example/x",
            "CatalogIneffective",
            "source \"registry.redhat.io/redhat/redhat-operator-index\" has no effect: only \
             registry.redhat.io/redhat and \
             registry.redhat.io are used",
        ),
        (
            " registry.redhat.io=m.example",
            "CatalogIneffective",
            "source \" registry.redhat.io\" has no effect: only registry.redhat.io/redhat and registry.redhat.io are used; \
                         white space is significant",
        ),
    ] {
        let requested = read("management", &[(OVERRIDES, &format!("{rest},{part}"))]);
        let expected = format!("Error {reason} olm-catalogs-is-registry-overrides: {message}");
        assert_eq!(reported(&requested), [expected], "{part}");
        assert_eq!(requested.wanted, Wanted::Registries(vec!["m.example/redhat".to_owned()]), "{part}");
    }
    assert_eq!(read("management", &[(OVERRIDES, "quay.io=m.example")]).wanted, Wanted::Nothing);
}

#[test]
fn mirrors_that_make_no_image_are_refused_and_then_nothing_is_wanted() {
    for (mirror, hint) in [
        ("https://m.example", "remove the scheme"),
        ("m.example/r:v1", "remove the tag and the digest"),
        ("m.example/ r", "white space"),
        ("m.example/r=x", "separate overrides"),
        ("m.example/r/", "remove the slash at the end"),
        ("m.example/R", "lower case"),
    ] {
        let requested =
            read("management", &[(OVERRIDES, &format!("registry.redhat.io=ok.example,registry.redhat.io={mirror}"))]);
        assert_eq!((requested.findings.len(), &requested.wanted), (1, &Wanted::Nothing), "{mirror}");
        let finding = &requested.findings[0];
        assert_eq!(
            (finding.reason, finding.value.clone()),
            (Reason::CatalogInvalid, format!("registry.redhat.io={mirror}"))
        );
        assert!(finding.message.contains(hint), "{}", finding.message);
    }
}

#[test]
fn both_sources_together_are_left_to_chance_and_then_nothing_is_wanted() {
    let text = "registry.redhat.io=a.example,registry.redhat.io/redhat=b.example/r";
    let requested = read("management", &[(OVERRIDES, text)]);
    assert_eq!(
        (requested.findings[0].reason, requested.findings.len(), requested.wanted),
        (Reason::CatalogAmbiguous, 1, Wanted::Nothing)
    );
}

#[test]
fn in_guest_placement_images_have_no_effect_and_registries_are_checked_only() {
    let requested = read("guest", &images(A, "", C));
    assert_eq!(requested.findings.len(), 2);
    let is_so = |finding: &CatalogFinding| {
        (finding.severity, finding.reason) == (Severity::Error, Reason::CatalogIneffective)
            && finding.message.contains("guest")
    };
    assert!(requested.findings.iter().all(is_so), "{requested:?}");
    assert_eq!(requested.wanted, Wanted::Nothing);

    let fine = read("guest", &[(OVERRIDES, "registry.redhat.io=m.example")]);
    assert_eq!((reported(&fine), fine.wanted), (vec![], Wanted::Nothing), "the guest's own operator does it");
    assert_eq!(read("guest", &[(OVERRIDES, "nonsense")]).findings.len(), 1);
}

#[test]
fn images_precede_registries_and_ineffective_annotations_are_warnings() {
    let mut annotated = images(A, B, C).to_vec();
    annotated.push((OVERRIDES, "registry.redhat.io=m.example"));
    annotated.push((annotations::MARKETPLACE_CATALOG_IMAGE, A));
    let requested = read("management", &annotated);
    assert!(matches!(requested.wanted, Wanted::Images(_)));
    let expected = [
        "Warning CatalogIneffective olm-catalogs-is-registry-overrides: no effect: annotations for the images of the \
         catalogs take precedence",
        "Warning CatalogIneffective redhat-marketplace-catalog-image: no effect: HyperShift no longer has this catalog",
    ];
    assert_eq!(reported(&requested), expected);

    let half = read("management", &[&images("", B, C)[..], &annotated[3..4]].concat());
    assert_eq!(half.wanted, Wanted::Nothing, "upstream stops at the images");
}

#[test]
fn without_default_catalogs_there_is_nothing_to_override() {
    let mut cluster = cluster("management", &images(A, B, C));
    let hub = OperatorHub { disable_all_default_sources: true };
    cluster.spec.configuration = Some(ClusterConfiguration { operatorhub: Some(hub) });
    let requested = requested(&cluster).unwrap();
    assert_eq!(
        (requested.findings[0].severity, requested.findings[0].reason),
        (Severity::Warning, Reason::CatalogIneffective)
    );
    assert_eq!((requested.findings.len(), requested.wanted), (1, Wanted::Nothing));
}

#[test]
fn stock_images_move_to_mirrors_if_no_annotation_of_hypershift_says_otherwise() {
    let key = annotations::CATALOGS_FROM_MIRRORS;
    let proven = || Wanted::Proven(BTreeMap::new());
    let registries = || Wanted::Registries(vec!["m.example/redhat".to_owned()]);
    for (what, placement, annotated, wanted, reason) in [
        ("true", "management", vec![(key, "true")], proven(), None),
        ("false", "management", vec![(key, "false")], Wanted::Nothing, None),
        ("a typo", "management", vec![(key, "True")], Wanted::Nothing, Some("Error CatalogInvalid")),
        ("in the guest", "guest", vec![(key, "true")], Wanted::Nothing, Some("Error CatalogIneffective")),
        (
            "registries are annotated",
            "management",
            vec![(key, "true"), (OVERRIDES, "registry.redhat.io=m.example")],
            registries(),
            Some("Warning CatalogIneffective"),
        ),
    ] {
        let requested = read(placement, &annotated);
        assert_eq!(requested.wanted, wanted, "{what}");
        let reported = reported(&requested);
        assert_eq!(reported.is_empty(), reason.is_none(), "{what}: {reported:?}");
        assert!(reason.is_none_or(|reason| reported[0].starts_with(reason)), "{what}: {reported:?}");
    }
}
