use hypermirror_api::HostedClusterMirrorsStatus;
use hypermirror_api::hypershift::{HostedCluster, HostedClusterSpec, LocalObjectReference, NodePool, NodePoolSpec};
use kube::ResourceExt as _;

use super::*;
use crate::management::index::config_maps::ConfigMapState;
use crate::management::index::reports::ReportVersion;

fn key(name: &str) -> ClusterKey {
    ClusterKey { namespace: "clusters".into(), name: name.into() }
}

/// Refers to the ConfigMap `mirrors`.
fn cluster(name: &str) -> Decoded<SeenCluster> {
    let image_mirror_config_ref = Some(LocalObjectReference { name: "mirrors".into() });
    let mut cluster = HostedCluster::new(name, HostedClusterSpec { image_mirror_config_ref, ..Default::default() });
    cluster.metadata.namespace = Some("clusters".into());
    cluster.metadata.uid = Some(name.into());
    Decoded::Object(cluster.into())
}

fn pool(name: &str, cluster: &str) -> Decoded<SeenPool> {
    let mut pool = NodePool::new(name, NodePoolSpec { cluster_name: cluster.into(), ..NodePoolSpec::default() });
    pool.metadata.namespace = Some("clusters".into());
    pool.annotations_mut().insert("hypermirror.dev/config".into(), "pools".into());
    Decoded::Object(SeenPool::from(&pool))
}

fn invalid<T>(name: &str) -> Decoded<T> {
    Decoded::Invalid { namespace: "clusters".into(), name: name.into() }
}

fn target(generation: i64) -> TargetMeta {
    TargetMeta { namespace: "clusters-a".into(), uid: "u".into(), generation, rollout: None }
}

fn secret(version: &str) -> SecretMeta {
    SecretMeta { namespace: "clusters-a".into(), resource_version: version.into() }
}

fn control_plane(owner: &str) -> ControlPlaneMeta {
    ControlPlaneMeta { namespace: "clusters-a".into(), name: "a".into(), created: None, owner: Some(owner.into()) }
}

fn failing<T>(code: u16) -> Update<T> {
    Update::Failing(Failure { code: Some(code), message: "forbidden".into() })
}

fn config_map(version: &str) -> (String, String) {
    ("mirrors".into(), version.into())
}

fn entries() -> MirrorObject {
    MirrorObject::Entries([].into())
}

/// What follows, in short: hosted clusters, guest clusters, and the rest.
fn follows(changed: &Changed) -> String {
    let names = |keys: &[ClusterKey]| {
        let mut names: Vec<&str> = keys.iter().map(|key| key.name.as_str()).collect();
        names.sort_unstable();
        names.join(",")
    };
    let mut text = format!("{}/{}", names(&changed.clusters), names(&changed.guests));
    for (is_set, word) in [
        (changed.references, " references"),
        (changed.resolve == Some(Resolve::Now), " resolve"),
        (changed.resolve == Some(Resolve::Soon), " resolve-soon"),
        (changed.relist, " relist"),
    ] {
        text.push_str(if is_set { word } else { "" });
    }
    text
}

/// Applies the changes one after the other, and compares what follows from each.
fn follow(index: &mut Index, changes: Vec<(Change, &str)>) {
    for (number, (change, expected)) in changes.into_iter().enumerate() {
        let what = format!("{number}: {change:?}");
        assert_eq!(follows(&index.apply(change)), expected, "{what}");
    }
}

#[test]
fn hosted_clusters_are_reconciled_when_they_change_and_their_guest_clusters_when_they_go() {
    use Change::HostedClusters as Clusters;
    let mut index = Index::new(1);
    follow(
        &mut index,
        vec![
            (Clusters(Update::Replaced(vec![cluster("a"), cluster("b")])), "a,b/a,b references"),
            (Clusters(Update::Applied(cluster("a"))), "/"),
            (Clusters(failing(403)), "/"),
            (Clusters(Update::Applied(cluster("c"))), "c/c references"),
            (Clusters(Update::Deleted(cluster("c"))), "/c references"),
            (Clusters(Update::Replaced(vec![cluster("b")])), "/a references"),
        ],
    );
    assert_eq!(index.keys(), [key("b")]);
}

#[test]
fn a_hosted_cluster_that_cannot_be_decoded_keeps_its_last_known_state_until_it_is_deleted() {
    use Change::HostedClusters as Clusters;
    let mut index = Index::new(1);
    follow(
        &mut index,
        vec![
            (Clusters(Update::Replaced(vec![cluster("a"), cluster("b")])), "a,b/a,b references"),
            (Clusters(Update::Applied(invalid("a"))), "/"),
            (Clusters(Update::Replaced(vec![invalid("a"), cluster("b"), invalid("new")])), "/ references"),
        ],
    );
    assert!(index.cluster(&key("a")).is_some() && index.cluster(&key("new")).is_none());
    follow(&mut index, vec![(Clusters(Update::Deleted(invalid("a"))), "/a references")]);
    assert_eq!(index.keys(), [key("b")]);
}

#[test]
fn node_pools_are_part_of_reports_and_of_guest_clusters() {
    use Change::NodePools as Pools;
    let mut index = Index::new(1);
    follow(
        &mut index,
        vec![
            (Pools(Update::Replaced(vec![pool("p", "a"), pool("q", "b")])), "a,b/a,b references"),
            (Pools(Update::Applied(pool("p", "a"))), "/"),
            (Pools(Update::Applied(invalid("p"))), "/"),
            (Pools(Update::Replaced(vec![invalid("p"), pool("q", "b")])), "/"),
            (Pools(failing(500)), "/"),
            (Pools(Update::Deleted(invalid("p"))), "a/a references"),
            (Pools(Update::Deleted(pool("q", "b"))), "b/b references"),
        ],
    );
    assert!(index.guests.pools(&key("a")).is_empty() && index.guests.pools(&key("b")).is_empty());
}

#[test]
fn targets_and_reports_concern_hosted_clusters_and_kubeconfigs_their_guest_clusters() {
    let mut index = Index::new(1);
    let report = |sources| {
        let status = Box::new(HostedClusterMirrorsStatus { source_count: sources, ..Default::default() });
        SeenReport { key: key("a"), status, version: ReportVersion::default() }
    };
    follow(
        &mut index,
        vec![
            (Change::HostedClusters(Update::Replaced(vec![cluster("a")])), "a/a references"),
            (Change::Targets(0, Update::Replaced(vec![target(1)])), "a/"),
            (Change::Targets(0, Update::Applied(target(1))), "/"),
            (Change::Targets(0, Update::Applied(target(2))), "a/"),
            (Change::Targets(0, failing(503)), "/"),
            (Change::Targets(0, Update::Deleted(target(2))), "a/"),
            (Change::Kubeconfigs(1, Update::Replaced(vec![secret("1")])), "/a"),
            (Change::Kubeconfigs(1, Update::Applied(secret("1"))), "/"),
            (Change::Kubeconfigs(1, Update::Applied(secret("2"))), "/a"),
            (Change::Kubeconfigs(1, failing(403)), "/"),
            (Change::Kubeconfigs(1, Update::Deleted(secret("2"))), "/a"),
            (Change::Reports(Update::Replaced(vec![report(1)])), "a/"),
            (Change::Reports(Update::Applied(report(1))), "/"),
            (Change::Reports(Update::Applied(report(2))), "a/"),
            (Change::Reports(failing(404)), "/"),
            (Change::Reports(Update::Deleted(report(2))), "a/"),
        ],
    );
}

#[test]
fn the_owner_of_a_control_plane_decides_who_is_written_to() {
    let mut index = Index::new(1);
    follow(
        &mut index,
        vec![
            (Change::HostedClusters(Update::Replaced(vec![cluster("a")])), "a/a references"),
            (Change::HostedControlPlanes(Update::Replaced(vec![control_plane("clusters/a")])), "/"),
            (Change::HostedControlPlanes(failing(403)), "/"),
            (Change::HostedControlPlanes(Update::Applied(control_plane("else/where"))), "a/a references"),
            (Change::HostedControlPlanes(Update::Deleted(control_plane("else/where"))), "a/a references"),
        ],
    );
    assert!(index.owns_namespace(&key("a")));
}

#[test]
fn config_maps_concern_those_who_refer_to_them() {
    let maps = |update| Change::ConfigMaps("clusters".into(), update);
    let mut index = Index::new(1);
    let other = || ("other".to_owned(), "1".to_owned());
    follow(
        &mut index,
        vec![
            (Change::HostedClusters(Update::Replaced(vec![cluster("a")])), "a/a references"),
            (maps(failing(403)), "a/a references"),
            (maps(failing(403)), "/"),
            (maps(Update::Replaced(Vec::new())), "a/a references"),
            (maps(Update::Replaced(vec![other()])), "/"),
            (maps(Update::Applied(config_map("1"))), "a/a references"),
            (maps(Update::Applied(config_map("1"))), "/"),
            (maps(Update::Deleted(other())), "/"),
            (maps(Update::Deleted(config_map("1"))), "a/a references"),
            (Change::NoReferences("clusters".into()), "/"),
        ],
    );
    assert!(matches!(index.config_maps.state("clusters", "mirrors"), ConfigMapState::Unlisted(None)));
}

#[test]
fn a_field_that_is_served_again_has_all_hosted_clusters_listed_anew() {
    let mut index = Index::new(1);
    index.apply(Change::HostedClusters(Update::Replaced(vec![cluster("a")])));
    follow(
        &mut index,
        vec![
            (Change::ReferenceField(true), "/"),
            (Change::ReferenceField(false), "a/a references"),
            (Change::ReferenceField(false), "/"),
            (Change::ReferenceField(true), "a/a references relist"),
        ],
    );
}

#[test]
fn mirror_objects_are_resolved_once_for_a_burst_and_at_once_for_a_list() {
    let mirrors = |change| Change::Mirrors(MirrorKind::Idms, change);
    let (now, name) = (Instant::now(), || "one".to_owned());
    let later = now + std::time::Duration::from_secs(11);
    let refused = || Failure { code: Some(403), message: "forbidden".into() };
    let mut index = Index::new(1);
    index.apply(Change::HostedClusters(Update::Replaced(vec![cluster("a")])));
    follow(
        &mut index,
        vec![
            (mirrors(MirrorChange::Presence(Presence::Present)), "/"),
            (mirrors(MirrorChange::Listed(vec![(name(), entries())])), "/ resolve"),
            (mirrors(MirrorChange::Listed(vec![(name(), entries())])), "/"),
            (mirrors(MirrorChange::Applied(vec![(name(), entries())])), "/"),
            (mirrors(MirrorChange::Applied(vec![(name(), MirrorObject::Malformed("x".into()))])), "/ resolve-soon"),
            (mirrors(MirrorChange::Failing(refused(), now)), "/"),
            (mirrors(MirrorChange::Failing(refused(), later)), "a/a references"),
            (mirrors(MirrorChange::Deleted(name())), "/ resolve-soon"),
            (mirrors(MirrorChange::Deleted(name())), "/"),
            (mirrors(MirrorChange::Restored(BTreeSet::new())), "/"),
            (mirrors(MirrorChange::Presence(Presence::Absent)), "a/a references resolve-soon"),
        ],
    );
}

#[test]
fn a_kind_that_is_removed_from_the_lease_is_resolved_again() {
    let mut index = Index::new(1);
    follow(
        &mut index,
        vec![
            (Change::RecordedKinds([MirrorKind::Idms].into()), "/"),
            (Change::RecordedKinds([MirrorKind::Idms, MirrorKind::Itms].into()), "/"),
            (Change::RecordedKinds([MirrorKind::Itms].into()), "/ resolve"),
        ],
    );
}
