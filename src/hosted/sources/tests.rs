use hypermirror_api::hypershift::{HostedClusterSpec, ImageContentSource};

use super::super::fixtures::{idms, itms};
use super::*;

fn cluster(own: &[(&str, &str)]) -> HostedCluster {
    let source = |(source, mirror): &(&str, &str)| ImageContentSource {
        source: (*source).to_owned(),
        mirrors: vec![(*mirror).to_owned()],
    };
    let spec = HostedClusterSpec { image_content_sources: own.iter().map(source).collect(), ..Default::default() };
    let mut cluster = HostedCluster::new("a", spec);
    cluster.metadata.namespace = Some("clusters".to_owned());
    cluster
}

fn at(text: &str) -> jiff::Timestamp {
    text.parse().unwrap()
}

#[test]
fn a_cluster_without_mirrors_of_its_own_shares_the_management_map() {
    let management = ManagementLayer::new(&idms(&[("s.example", &["m.example/s"], false)]));
    let map = cluster_map(&management, &OwnSources::of_cluster(&cluster(&[])), true).map;
    assert!(Arc::ptr_eq(&map, &management.map));
    assert_eq!(&*cluster_map(&management, &OwnSources::of_cluster(&cluster(&[])), false).map.env, "=");
}

#[test]
fn the_clusters_own_mirrors_come_first() {
    let management = ManagementLayer::new(&idms(&[("s.example", &["m.example/s"], false)]));
    let own = cluster(&[("s.example", "own.example/s"), ("t.example", "own.example/t")]);
    let both = "s.example=own.example/s,s.example=m.example/s,t.example=own.example/t";
    assert_eq!(&*cluster_map(&management, &OwnSources::of_cluster(&own), true).map.env, both);
    let alone = "s.example=own.example/s,t.example=own.example/t";
    assert_eq!(&*cluster_map(&management, &OwnSources::of_cluster(&own), false).map.env, alone);
}

#[test]
fn stock_operators_read_digest_mirrors_sorted_and_nothing_else() {
    let mut entries = idms(&[("s.example", &["z.example", "a.example", ""], true), ("", &["x.example"], false)]);
    entries.extend(itms(&[("t.example", &["m.example/t"], false)]));
    let layer = ManagementLayer::new(&entries);
    assert_eq!(layer.stock_value, "s.example=a.example,s.example=z.example");
    assert_eq!(ManagementLayer::new(&itms(&[("t.example", &["m"], false)])).stock_value, "=");
}

#[test]
fn a_pause_is_an_annotation_or_a_time_to_come() {
    let now = at("2026-01-01T00:00:00Z");
    let paused_by = |annotation: Option<&str>, until: Option<&str>| {
        let mut cluster = cluster(&[]);
        if let Some(value) = annotation {
            cluster.annotations_mut().insert(annotations::PAUSED.to_owned(), value.to_owned());
        }
        cluster.spec.paused_until = until.map(str::to_owned);
        settings(&cluster, now).0.paused.is_some()
    };
    for (annotation, until, expected) in [
        (None, None, false),
        (Some("true"), None, true),
        (Some(""), None, true),
        (Some("false"), None, false),
        (None, Some("true"), true),
        (None, Some("false"), false),
        (None, Some("2026-01-02T00:00:00Z"), true),
        (None, Some("2025-12-31T00:00:00Z"), false),
        (None, Some("tomorrow"), false),
        (Some("false"), Some("true"), true),
    ] {
        assert_eq!(paused_by(annotation, until), expected, "{annotation:?} {until:?}");
    }
    let mut timed = cluster(&[]);
    timed.spec.paused_until = Some("2026-01-02T00:00:00Z".to_owned());
    assert_eq!(pause_ends(&timed, now), Some(at("2026-01-02T00:00:00Z")));
}

#[test]
fn an_unknown_choice_counts_as_the_default_and_is_told() {
    let now = at("2026-01-01T00:00:00Z");
    for (value, use_management, unknown) in
        [("Use", true, None), ("Ignore", false, None), ("ignore", true, Some("ignore".to_owned()))]
    {
        let mut cluster = cluster(&[]);
        cluster.annotations_mut().insert(annotations::MANAGEMENT_MIRRORS.to_owned(), value.to_owned());
        let (settings, told) = settings(&cluster, now);
        assert_eq!((settings.use_management, told), (use_management, unknown));
    }
}

#[test]
fn what_is_carried_over_adds_and_never_takes_away() {
    let map = OverrideMap::new(merge::merge_layer(&idms(&[("s.example", &["b.example"], false)])));
    let carried = |value: &str| carry_over(&map, [value.to_owned()]).env.to_string();
    assert_eq!(carried("="), "s.example=b.example");
    assert_eq!(carried("t.example=m.example"), "s.example=b.example,t.example=m.example");
    // The order that was admitted stays where it covers what is known now.
    assert_eq!(carried("s.example=a.example,s.example=b.example"), "s.example=a.example,s.example=b.example");
    assert_eq!(carried("s.example=a.example"), "s.example=b.example,s.example=a.example");
}

#[test]
fn a_value_fits_up_to_the_kernels_limit() {
    let room = MAX_VALUE_BYTES - "OPENSHIFT_IMG_OVERRIDES=".len() - 1;
    assert!(fits(&"x".repeat(room)));
    assert!(!fits(&"x".repeat(room + 1)));
}

/// It is refused; that it is too large is all that has to be known of it.
#[test]
fn a_map_that_no_value_has_room_for_is_not_made_whole() {
    let sources = |count: usize| {
        let own =
            (0..count).map(|n| (format!("source.example/{n:06}"), "mirror.example/m".to_owned())).collect::<Vec<_>>();
        let own: Vec<_> = own.iter().map(|(source, mirror)| (source.as_str(), mirror.as_str())).collect();
        cluster_map(&ManagementLayer::default(), &OwnSources::of_cluster(&cluster(&own)), false).map
    };
    let largest = sources(3_300);
    assert!(fits(&largest.env) && largest.resolved.sources.len() == 3_300, "{}", largest.env.len());
    let (one_too_many, far_too_many) = (sources(3_450), sources(10_000));
    assert!(!fits(&one_too_many.env));
    assert!(!fits(&far_too_many.env) && far_too_many.env.len() < MAX_VALUE_BYTES + 1000, "{}", far_too_many.env.len());
}

#[test]
fn a_map_of_nothing_is_printed_as_the_empty_value() {
    assert_eq!(&*OverrideMap::default().env, "=");
    assert_eq!(&*ManagementLayer::default().map.env, "=");
}
