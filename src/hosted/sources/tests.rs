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

#[test]
fn a_cluster_without_mirrors_of_its_own_shares_the_management_map() {
    let management = ManagementLayer::new(&idms(&[("s.example", &["m.example/s"], false)]));
    let map = cluster_map(&management, &OwnSources::of_cluster(&cluster(&[])), true).map;
    assert!(Arc::ptr_eq(&map, &management.map));
    assert_eq!(cluster_map(&management, &OwnSources::of_cluster(&cluster(&[])), false).map.env.as_str(), "=");
}

#[test]
fn the_clusters_own_mirrors_come_first() {
    let management = ManagementLayer::new(&idms(&[("s.example", &["m.example/s"], false)]));
    let own = cluster(&[("s.example", "own.example/s"), ("t.example", "own.example/t")]);
    let both = "s.example=own.example/s,s.example=m.example/s,t.example=own.example/t";
    assert_eq!(cluster_map(&management, &OwnSources::of_cluster(&own), true).map.env.as_str(), both);
    let alone = "s.example=own.example/s,t.example=own.example/t";
    assert_eq!(cluster_map(&management, &OwnSources::of_cluster(&own), false).map.env.as_str(), alone);
}

#[test]
fn stock_operators_read_digest_mirrors_sorted_and_nothing_else() {
    let mut entries = idms(&[("s.example", &["z.example", "a.example", ""], true), ("", &["x.example"], false)]);
    entries.extend(itms(&[("t.example", &["m.example/t"], false)]));
    let layer = ManagementLayer::new(&entries);
    assert_eq!(layer.stock_value.as_str(), "s.example=a.example,s.example=z.example");
    assert_eq!(ManagementLayer::new(&itms(&[("t.example", &["m"], false)])).stock_value.as_str(), "=");
}

#[test]
fn carried_entries_are_only_added() {
    let map = OverrideMap::new(merge::merge_layer(&idms(&[("s.example", &["b.example"], false)])));
    let carried = |value: &str| carry_over(&map, [value.into()]).env.to_string();
    assert_eq!(carried("="), "s.example=b.example");
    assert_eq!(carried("t.example=m.example"), "s.example=b.example,t.example=m.example");
    // The order of the value is kept if it has all mirrors that are known now.
    assert_eq!(carried("s.example=a.example,s.example=b.example"), "s.example=a.example,s.example=b.example");
    assert_eq!(carried("s.example=a.example"), "s.example=b.example,s.example=a.example");
}

#[test]
fn a_value_fits_up_to_the_kernels_limit() {
    let room = MAX_VALUE_BYTES - "OPENSHIFT_IMG_OVERRIDES=".len() - 1;
    assert!(fits(&"x".repeat(room).into()));
    assert!(!fits(&"x".repeat(room + 1).into()));
}

/// It is refused; that it is too large is all that has to be known of it.
#[test]
fn a_map_over_the_limit_is_not_resolved_completely() {
    let sources = |count: usize| {
        let own =
            (0..count).map(|n| (format!("source.example/{n:06}"), "mirror.example/m".to_owned())).collect::<Vec<_>>();
        let own: Vec<_> = own.iter().map(|(source, mirror)| (source.as_str(), mirror.as_str())).collect();
        cluster_map(&ManagementLayer::default(), &OwnSources::of_cluster(&cluster(&own)), false).map
    };
    let largest = sources(3_300);
    assert!(fits(&largest.env) && largest.resolved.sources.len() == 3_300, "{}", largest.env.as_str().len());
    let (one_too_many, far_too_many) = (sources(3_450), sources(10_000));
    assert!(!fits(&one_too_many.env));
    assert!(
        !fits(&far_too_many.env) && far_too_many.env.as_str().len() < MAX_VALUE_BYTES + 1000,
        "{}",
        far_too_many.env.as_str().len()
    );
}

#[test]
fn an_empty_map_is_printed_as_the_empty_value() {
    assert_eq!(OverrideMap::default().env.as_str(), "=");
    assert_eq!(ManagementLayer::default().map.env.as_str(), "=");
}
