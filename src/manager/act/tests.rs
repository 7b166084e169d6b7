use http::Method;
use hypermirror_api::annotations;
use hypermirror_api::hypershift::{HostedCluster, NodePool, NodePoolSpec};
use serde_json::{Value, json};

use super::*;
use crate::client::testing::Step;
use crate::client::watch::Update;
use crate::hosted::catalogs::Catalog;
use crate::hosted::mirror_config::KEY_NAMES;
use crate::management::index::change::{Change, Decoded};
use crate::management::index::config_maps::LoadedConfigMap;
use crate::management::index::guests::SeenPool;
use crate::manager::reconcile::reconcile;
use crate::manager::store::ConfigMapContent;
use crate::manager::testing::{CLUSTER, Stage, hosted_cluster, key, patched, reads, stock_deployment, target_path};

const BOOT: &str = "/api/v1/namespaces/clusters-a/configmaps/hypermirror-boot-p";
const IMAGE_STREAM: &str = "/apis/image.openshift.io/v1/namespaces/clusters-a/imagestreams/catalogs";

fn annotated(pairs: &[(&str, &str)]) -> HostedCluster {
    let mut cluster = hosted_cluster();
    let annotations = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    cluster.metadata.annotations = Some(annotations.collect());
    cluster
}

/// The reads and writes of the targets, which come before everything else.
fn targets(env: &[&str]) -> Vec<Step> {
    [reads(env), (0..3).map(|place| patched(place, env)).collect()].concat()
}

/// A hosted cluster whose only NodePool boots with its mirrors, one of which stock HyperShift does not know.
fn booting(steps: impl IntoIterator<Item = Step>) -> Stage {
    let reference = (annotations::IMAGE_MIRROR_CONFIG_REF, "mirrors");
    let cluster = annotated(&[reference, (annotations::NODE_DELIVERY, "AgentAndRollout")]);
    let stage = Stage::new(&["--rollout-batch=0s", "--guest-agent=off"], steps).with_cluster(cluster);
    let mut pool = NodePool::new("p", NodePoolSpec { cluster_name: "a".to_owned(), ..NodePoolSpec::default() });
    pool.metadata.namespace = Some("clusters".to_owned());
    let store = &stage.ctx.store;
    store.apply(Change::NodePools(Update::Replaced(vec![Decoded::Object(SeenPool::from(&pool))])));
    let listed = Update::Replaced(vec![("mirrors".to_owned(), "1".to_owned())]);
    store.apply(Change::ConfigMaps("clusters".to_owned(), listed));
    let set = "apiVersion: config.openshift.io/v1\nkind: ImageDigestMirrorSet\nspec:\n  imageDigestMirrors:\n  \
               - {source: quay.io/b, mirrors: [m.example/b]}\n";
    let data = [(KEY_NAMES[0].to_owned(), set.to_owned())].into();
    let content = LoadedConfigMap::read("clusters", "mirrors", "1".to_owned(), &data);
    let name = ("clusters".to_owned(), "mirrors".to_owned());
    store.record_config_map(&name, ConfigMapContent::Loaded(content, Some("1".to_owned())));
    stage
}

async fn reconcile_once(stage: &Stage) -> Result<(), WriteError> {
    reconcile(&stage.ctx, &stage.reporter, &key()).await
}

fn applied() -> Step {
    Step::new(Method::PATCH, BOOT, 200, &json!({"metadata": {"name": "hypermirror-boot-p"}}))
}

#[tokio::test(start_paused = true)]
async fn nodes_boot_with_mirrors_that_were_written_after_the_control_plane() {
    let read = Step::refused(Method::GET, BOOT, 404);
    let stage = booting([targets(&["="]), vec![read, applied()]].concat());
    reconcile_once(&stage).await.unwrap();
    // It is known now, so it is not read again within the interval.
    reconcile_once(&stage).await.unwrap();
    let bodies = stage.end().await;
    let text = bodies[7]["data"]["config"].as_str().unwrap();
    assert!(text.contains("MachineConfig"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_boot_file_that_may_not_be_written_is_tried_again_and_fails_nothing_else() {
    for code in [403, 409, 422, 503] {
        let read = || Step::refused(Method::GET, BOOT, 404);
        let refused = Step::refused(Method::PATCH, BOOT, code);
        let stage = booting([targets(&["="]), vec![read(), refused, read(), applied()]].concat());
        reconcile_once(&stage).await.unwrap();
        // Whether the failed write has happened is not known.
        reconcile_once(&stage).await.unwrap();
        stage.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn no_boot_file_is_touched_while_a_gate_holds_nodes() {
    let mut stage = booting(reads(&["="]));
    let paused = annotated(&[(annotations::NODE_DELIVERY, "Rollout"), (annotations::PAUSED, "true")]);
    stage = stage.with_cluster(paused);
    reconcile_once(&stage).await.unwrap();
    stage.end().await;
}

fn catalog_path(catalog: Catalog) -> String {
    format!("/apis/apps/v1/namespaces/clusters-a/deployments/{}", catalog.deployment())
}

/// The reads of all catalogs, of which only the first one exists, with an image of this registry.
fn catalogs(registry: &str) -> Vec<Step> {
    let image = format!("{registry}/redhat/redhat-operator-index:v4.18");
    let deployment = json!({
        "metadata": {"name": Catalog::Redhat.deployment(), "resourceVersion": "1"},
        "spec": {"template": {"spec": {"containers": [{"name": "registry", "image": image}]}}},
    });
    let read = |catalog: Catalog| {
        let path = catalog_path(catalog);
        let exists = catalog == Catalog::Redhat;
        if exists { Step::new(Method::GET, &path, 200, &deployment) } else { Step::refused(Method::GET, &path, 404) }
    };
    Catalog::ALL.into_iter().map(read).chain([Step::refused(Method::GET, IMAGE_STREAM, 404)]).collect()
}

const WITH_CATALOGS: (&str, &str) = (annotations::CATALOG_REGISTRY_OVERRIDES, "registry.redhat.io=m.example");

fn with_catalogs(flags: &[&str], steps: &[Vec<Step>]) -> Stage {
    Stage::new(flags, steps.concat()).with_cluster(annotated(&[WITH_CATALOGS]))
}

#[tokio::test(start_paused = true)]
async fn a_catalog_that_stock_hypershift_leaves_is_written_after_the_targets_and_read_again() {
    for code in [200, 409, 404] {
        let written = Step::new(Method::PATCH, &catalog_path(Catalog::Redhat), code, &json!({"code": code}));
        let steps = [targets(&["="]), catalogs("registry.redhat.io"), vec![written], catalogs("m.example")];
        let stage = with_catalogs(&["--catalog-patience=0s"], &steps);
        reconcile_once(&stage).await.unwrap();
        // They match now, and are not read again for some time.
        reconcile_once(&stage).await.unwrap();
        let bodies = stage.end().await;
        assert!(bodies.iter().any(|body| body.to_string().contains("m.example/redhat")), "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn catalogs_are_only_read_while_stock_hypershift_has_time_and_with_report() {
    for flags in [&["--catalog-patience=10m"][..], &["--catalog-patience=0s", "--olm-catalogs=report"]] {
        let stage = with_catalogs(flags, &[targets(&["="]), catalogs("registry.redhat.io")]);
        reconcile_once(&stage).await.unwrap();
        stage.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_annotation_of_a_hosted_cluster_is_removed_last_of_all() {
    let leaving = annotated(&[(annotations::UNINSTALL, "true"), (annotations::MIRRORS_OBSERVED, "x")]);
    let touched = |code| Step::new(Method::PATCH, CLUSTER, code, &json!({"metadata": {"name": "a"}, "code": code}));
    // The targets have nothing of hypermirror any more.
    let stage =
        Stage::new(&["--guest-agent=off"], [reads(&["="]), vec![touched(200)]].concat()).with_cluster(leaving.clone());
    reconcile_once(&stage).await.unwrap();
    let bodies = stage.end().await;
    assert_eq!(bodies[3]["metadata"]["annotations"], json!({annotations::MIRRORS_OBSERVED: Value::Null}));
    // One of them has: it is written first.
    let mut carries = stock_deployment(0, &["=", "quay.io/a=m.example/a"]);
    carries["metadata"]["annotations"] = json!({annotations::OVERRIDES: "quay.io/a=m.example/a"});
    let mut read = reads(&["="]);
    read[0] = Step::new(Method::GET, &target_path(0), 200, &carries);
    let steps = [read, vec![Step::patched(&target_path(0), &carries), touched(200)]].concat();
    let stage = Stage::new(&["--guest-agent=off"], steps).with_cluster(leaving);
    reconcile_once(&stage).await.unwrap();
    stage.end().await;
}
