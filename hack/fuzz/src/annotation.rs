//! Annotations of HostedClusters and NodePools, and related fields: one per line, in the order of [`KEYS`].

use hypermirror::hosted::catalogs::Catalog;
use hypermirror::hosted::catalogs::requested::{Wanted, requested};
use hypermirror::hosted::delivery::{Delivery, invalid_delivery};
use hypermirror::hosted::mirror_config::reference;
use hypermirror::hosted::pool_config::PoolConfig;
use hypermirror::hosted::settings::{pause_ends, settings};
use hypermirror::mirrors::ImageReference;
use hypermirror::mirrors::finding::Severity;
use hypermirror::mirrors::validate::invalid_mirror;
use hypermirror_api::annotations::{self, OF_CATALOGS};
use hypermirror_api::hypershift::{HostedCluster, HostedClusterSpec, LocalObjectReference, NodePool, NodePoolSpec};
use kube::ResourceExt as _;

const KEYS: [&str; 10] = [
    OF_CATALOGS[0],
    OF_CATALOGS[1],
    OF_CATALOGS[2],
    OF_CATALOGS[3],
    OF_CATALOGS[4],
    annotations::IMAGE_MIRROR_CONFIG_REF,
    annotations::NODE_DELIVERY,
    annotations::MANAGEMENT_MIRRORS,
    annotations::PAUSED,
    annotations::CONFIG,
];

/// The line for an absent annotation.
const ABSENT: &str = "-";

pub fn check(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let mut lines = text.split('\n').map(|line| Some(line).filter(|line| *line != ABSENT));
    let said: Vec<_> = KEYS.into_iter().zip(lines.by_ref()).collect();
    let mut field = || lines.next().flatten().map(str::to_owned);
    let named = |name: String| LocalObjectReference { name };
    let spec = HostedClusterSpec {
        paused_until: field(),
        image_mirror_config_ref: field().map(named),
        olm_catalog_placement: field(),
        ..HostedClusterSpec::default()
    };
    let config = lines.flatten().map(|name| named(name.to_owned())).collect();
    let mut cluster = HostedCluster::new("west", spec);
    let mut pool = NodePool::new("west-a", NodePoolSpec { config, ..NodePoolSpec::default() });
    for (key, value) in said {
        let Some(value) = value else { continue };
        cluster.annotations_mut().insert(key.to_owned(), value.to_owned());
        pool.annotations_mut().insert(key.to_owned(), value.to_owned());
    }
    check_catalogs(&cluster);
    check_settings(&cluster);
    check_delivery(&cluster);
    check_pool(&pool);
}

fn check_catalogs(cluster: &HostedCluster) {
    let keys = || OF_CATALOGS.into_iter().chain([annotations::CATALOGS_FROM_MIRRORS]);
    let is_said = keys().any(|key| cluster.annotations().get(key).is_some_and(|value| !value.is_empty()));
    let requested = requested(cluster);
    assert_eq!(requested.is_some(), is_said);
    let Some(requested) = requested else { return };
    assert!(requested.findings.iter().all(|finding| keys().any(|key| key == finding.annotation)));
    match requested.wanted {
        Wanted::Nothing => {
            // `=` is how HyperShift prints an empty map: nobody who says it misses anything.
            let overrides = cluster.annotations().get(annotations::CATALOG_REGISTRY_OVERRIDES);
            let is_empty_map = overrides.is_some_and(|text| text.split(',').all(|part| part == "="));
            let is_off = cluster.annotations().get(annotations::CATALOGS_FROM_MIRRORS).is_some_and(|it| it == "false");
            assert!(is_empty_map || is_off || !requested.findings.is_empty(), "what has no effect is reported");
        }
        Wanted::Images(images) => {
            assert!(Catalog::ALL.iter().all(|catalog| images.contains_key(catalog)), "all of them or none");
            assert!(
                images.values().all(|image| ImageReference::parse(image).is_ok_and(|image| image.digest.is_some()))
            );
            let of_images = Catalog::ALL.map(Catalog::annotation);
            let is_error = |annotation| {
                requested.findings.iter().any(|it| it.severity == Severity::Error && it.annotation == annotation)
            };
            assert!(!of_images.into_iter().any(is_error), "invalid values have no effect");
        }
        // The manager adds what is proven.
        Wanted::Proven(mirrors) => assert!(mirrors.is_empty()),
        Wanted::Registries(registries) => {
            assert!(!registries.is_empty());
            assert!(registries.iter().all(|registry| invalid_mirror(registry).is_none()));
        }
    }
}

fn check_settings(cluster: &HostedCluster) {
    let now = jiff::Timestamp::UNIX_EPOCH;
    let (settings, unknown) = settings(cluster, now);
    let wanted = cluster.annotations().get(annotations::MANAGEMENT_MIRRORS).map(String::as_str);
    assert_eq!(settings.use_management, wanted != Some("Ignore"));
    assert!(unknown.is_none() || settings.use_management, "an unknown value is treated as the default");
    if let Some(end) = pause_ends(cluster, now) {
        assert!(end > now && settings.paused.is_some(), "a pause that ends has started");
    }
    for served in [true, false] {
        let (reference, _) = reference(cluster, served, None);
        assert!(reference.is_none_or(|reference| !reference.name.is_empty()), "a name is never empty");
    }
}

fn check_delivery(cluster: &HostedCluster) {
    let (delivery, unknown) = Delivery::requested(cluster);
    let is_said = cluster.annotations().contains_key(annotations::NODE_DELIVERY);
    assert_eq!(u8::from(delivery.is_some()) + u8::from(unknown.is_some()), u8::from(is_said));
    assert_eq!(Delivery::of(cluster), delivery.unwrap_or_default());
    assert!(unknown.is_none_or(|value| invalid_delivery(&value).contains(annotations::NODE_DELIVERY)));
}

fn check_pool(pool: &NodePool) {
    let config = PoolConfig::of(pool);
    for (place, name) in config.own.iter().enumerate() {
        assert!(!name.is_empty() && name.trim() == name && !name.contains(','), "{name:?} is not a valid name");
        assert!(!config.stock.contains(name), "{name} is HyperShift's");
        assert_eq!(config.own.iter().position(|own| own == name), Some(place), "{name} is named once");
    }
}
