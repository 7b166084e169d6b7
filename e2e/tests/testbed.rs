//! What the other scenarios rely on: the bed itself.

use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use futures::TryStreamExt;
use hypermirror_e2e::{
    Cluster, Crds, Launch, SharedBed, Testbed, credentials, eventually, pki::Validity, process::Handle,
};
use k8s_openapi::api::{
    apps::v1::{Deployment, ReplicaSet},
    core::v1::{ConfigMap, Namespace, Pod, Secret},
    rbac::v1::{Role, RoleBinding},
};
use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams, PostParams},
    runtime::{WatchStreamExt, watcher},
};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(30);

static BED: SharedBed = SharedBed::new(|| Testbed::builder().controller_manager(true));

async fn create<K>(api: &Api<K>, object: Value) -> Result<K>
where
    K: kube::Resource + Clone + std::fmt::Debug + serde::Serialize + serde::de::DeserializeOwned,
{
    Ok(api.create(&PostParams::default(), &serde_json::from_value(object)?).await?)
}

async fn create_namespace(client: &Client, name: &str) -> Result<()> {
    create::<Namespace>(&Api::all(client.clone()), json!({ "metadata": { "name": name } })).await.map(|_| ())
}

async fn create_config_map(client: &Client, namespace: &str, name: &str) -> Result<ConfigMap> {
    create(&Api::namespaced(client.clone(), namespace), json!({ "metadata": { "name": name } })).await
}

/// The status code of a refusal.
fn refusal<T>(answer: kube::Result<T>) -> Option<u16> {
    match answer {
        Err(kube::Error::Api(status)) => Some(status.code),
        _ => None,
    }
}

#[tokio::test]
async fn three_servers_are_ready_isolated_and_leave_nothing_behind() -> Result<()> {
    let bed = Testbed::builder().guests(2).start().await?;

    let management = bed.management();
    create_namespace(&management.admin_client().await?, "only-here").await?;
    let foreign = management.certificate("admin", Some("system:masters"), Validity::Current)?;
    for guest in bed.guests() {
        let namespaces: Api<Namespace> = Api::all(guest.admin_client().await?);
        assert!(namespaces.get_opt("only-here").await?.is_none(), "{} shares data", guest.name());
        let foreign = guest.client(&foreign).await?;
        let answer = Api::<Namespace>::all(foreign).list(&ListParams::default()).await;
        assert_eq!(refusal(answer), Some(401), "{} trusts a foreign authority", guest.name());
    }

    let directory = bed.directory().to_owned();
    let ids: Vec<u32> = bed.clusters().iter().filter_map(Cluster::api_server_id).chain([bed.etcd_id()]).collect();
    assert_eq!(ids.len(), 4);
    drop(bed);
    assert!(!directory.exists());
    for id in ids {
        assert!(Handle::open(id)?.is_none(), "process {id} still runs");
    }
    Ok(())
}

const HOLD: &str = "HYPERMIRROR_E2E_HOLD";

#[tokio::test]
async fn servers_and_files_are_removed_when_a_test_is_killed() -> Result<()> {
    // The test program starts itself again with only this test, which holds a bed until it is killed.
    if std::env::var_os(HOLD).is_some() {
        let bed = Testbed::builder().start().await?;
        let ids = [bed.etcd_id(), bed.management().api_server_id().unwrap_or_default()];
        eprintln!("\n{}", json!({ "message": "holding", "directory": bed.directory(), "ids": ids }));
        return std::future::pending().await;
    }
    let logs = tempfile::tempdir()?;
    let test = "servers_and_files_are_removed_when_a_test_is_killed";
    let mut held = Launch::own_test("held", module_path!(), test, logs.path())?.env(HOLD, "1").spawn()?;
    let directory = held.wait_for_log_field("holding", "directory", LIMIT).await?;
    let ids: Vec<u32> = serde_json::from_str(&held.wait_for_log_field("holding", "ids", LIMIT).await?)?;
    assert!(std::path::Path::new(&directory).exists() && ids.len() == 2);
    held.kill()?;
    eventually(LIMIT, "servers and files are gone", async || {
        for id in &ids {
            ensure!(Handle::open(*id)?.is_none(), "process {id} runs");
        }
        ensure!(!std::path::Path::new(&directory).exists(), "{directory} is there");
        Ok(Some(()))
    })
    .await
}

#[tokio::test]
async fn a_service_account_has_only_the_permissions_of_its_role() -> Result<()> {
    let cluster = BED.get().await?.management();
    let admin = cluster.admin_client().await?;
    create_namespace(&admin, "roles").await?;
    let verbs_on_config_maps = json!({ "apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "create"] });
    let role = json!({ "metadata": { "name": "reader" }, "rules": [verbs_on_config_maps] });
    create::<Role>(&Api::namespaced(admin.clone(), "roles"), role).await?;
    let subject = json!({ "kind": "ServiceAccount", "name": "operator", "namespace": "roles" });
    let binding = json!({
        "metadata": { "name": "reader" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader" },
        "subjects": [subject],
    });
    create::<RoleBinding>(&Api::namespaced(admin, "roles"), binding).await?;

    let path = cluster.kubeconfig_for_service_account("roles", "operator").await?;
    let client = credentials::client(&std::fs::read_to_string(path)?).await?;
    let config_maps: Api<ConfigMap> = Api::namespaced(client.clone(), "roles");
    eventually(LIMIT, "the role is in force", async || Ok(config_maps.get_opt("any").await?.is_none().then_some(())))
        .await?;
    create_config_map(&client, "roles", "own").await?;
    assert_eq!(refusal(config_maps.delete("own", &DeleteParams::default()).await), Some(403));
    assert_eq!(refusal(Api::<Secret>::namespaced(client, "roles").list(&ListParams::default()).await), Some(403));
    Ok(())
}

#[tokio::test]
async fn users_are_distinguished_by_their_certificates() -> Result<()> {
    let cluster = BED.get().await?.management();
    let somebody = cluster.client_for_user("somebody", Some("some-group")).await?;
    let message = Api::<Secret>::default_namespaced(somebody).get("any").await.unwrap_err().to_string();
    assert!(message.contains("User \"somebody\" cannot get"), "{message}");
    let expired = cluster.client(&cluster.certificate("admin", Some("system:masters"), Validity::Expired)?).await?;
    assert_eq!(refusal(Api::<Secret>::default_namespaced(expired).get("any").await), Some(401));
    Ok(())
}

#[tokio::test]
async fn the_audit_log_counts_writes() -> Result<()> {
    let cluster = BED.get().await?.management();
    let admin = cluster.admin_client().await?;
    create_namespace(&admin, "audited").await?;
    create_config_map(&admin, "audited", "before").await?;
    let audit = cluster.audit().await?;
    let mark = audit.mark().await?;

    let client = cluster.client_for_user("writer", Some("system:masters")).await?;
    create_config_map(&client, "audited", "map").await?;
    let config_maps: Api<ConfigMap> = Api::namespaced(client, "audited");
    config_maps.list(&ListParams::default()).await?;
    let patch = json!({ "data": { "key": "value" } });
    config_maps.patch("map", &PatchParams::default(), &Patch::Merge(&patch)).await?;
    let dry_run = PatchParams { dry_run: true, ..PatchParams::default() };
    config_maps.patch("map", &dry_run, &Patch::Merge(&patch)).await?;
    assert_eq!(refusal(config_maps.delete("missing", &DeleteParams::default()).await), Some(404));
    create_config_map(&admin, "audited", "somebody-else").await?;

    let writes = audit.writes_by(mark, "writer").await?;
    let reported: Vec<_> = writes.iter().map(|event| (event.verb.as_str(), event.code, event.name.as_str())).collect();
    assert_eq!(reported, [("create", 201, "map"), ("patch", 200, "map"), ("delete", 404, "missing")]);
    assert_eq!(writes[1].request_object.as_ref(), Some(&patch));
    assert!(writes[1].succeeded() && !writes[2].succeeded() && writes[1].at >= writes[1].received);
    let mut reads = audit.since(mark).await?;
    reads.retain(|event| event.user == "writer" && event.verb == "list");
    assert_eq!(reads.len(), 1);
    Ok(())
}

#[tokio::test]
async fn an_api_server_that_is_stopped_and_started_keeps_its_objects() -> Result<()> {
    let bed = Testbed::builder().start().await?;
    let cluster = bed.management();
    let client = cluster.admin_client().await?;
    create_namespace(&client, "kept").await?;
    let namespaces: Api<Namespace> = Api::all(client);
    let uid = namespaces.get("kept").await?.uid();

    // Somebody watches, as the process under test does: that must not hold up the end.
    let stream = watcher(namespaces.clone(), watcher::Config::default()).applied_objects();
    let mut stream = Box::pin(stream);
    stream.try_next().await?;
    tokio::time::timeout(Duration::from_secs(8), cluster.stop_api_server()).await??;
    assert!(!matches!(namespaces.get("kept").await, Ok(_) | Err(kube::Error::Api(_))), "somebody answers");
    cluster.start_api_server().await?;
    assert_eq!(namespaces.get("kept").await?.uid(), uid);

    cluster.kill_api_server()?;
    cluster.start_api_server().await?;
    assert_eq!(namespaces.get("kept").await?.uid(), uid);

    cluster.freeze_api_server().await?;
    let answer = tokio::time::timeout(Duration::from_millis(500), namespaces.get("kept")).await;
    assert!(answer.is_err(), "a frozen server answered: {answer:?}");
    cluster.thaw_api_server()?;
    assert_eq!(namespaces.get("kept").await?.uid(), uid);
    Ok(())
}

#[tokio::test]
async fn the_controller_manager_rolls_out_deployments_and_deletes_namespaces() -> Result<()> {
    let client = BED.get().await?.management().admin_client().await?;
    create_namespace(&client, "rolled-out").await?;
    let deployment = json!({
        "metadata": { "name": "web" },
        "spec": {
            "selector": { "matchLabels": { "app": "web" } },
            "template": {
                "metadata": { "labels": { "app": "web" } },
                "spec": { "containers": [{ "name": "web", "image": "registry.example/web:1" }] },
            },
        },
    });
    create::<Deployment>(&Api::namespaced(client.clone(), "rolled-out"), deployment).await?;
    let replica_sets: Api<ReplicaSet> = Api::namespaced(client.clone(), "rolled-out");
    let pods: Api<Pod> = Api::namespaced(client.clone(), "rolled-out");
    eventually(LIMIT, "one ReplicaSet, one pending Pod", async || {
        let replica_sets = replica_sets.list(&ListParams::default()).await?.items.len();
        let pods = pods.list(&ListParams::default()).await?.items;
        let phases: Vec<_> = pods.iter().filter_map(|pod| pod.status.as_ref()?.phase.as_deref()).collect();
        ensure!(replica_sets == 1 && phases == ["Pending"], "{replica_sets} ReplicaSets, pods {phases:?}");
        Ok(Some(()))
    })
    .await?;

    let namespaces: Api<Namespace> = Api::all(client);
    namespaces.delete("rolled-out", &DeleteParams::default()).await?;
    eventually(LIMIT, "the namespace is gone", async || {
        Ok(namespaces.get_opt("rolled-out").await?.is_none().then_some(()))
    })
    .await
}

#[tokio::test]
async fn reduced_crds_are_established() -> Result<()> {
    let client = BED.get().await?.management().admin_client().await?;
    let crds = Crds::of_the_fleet()?;
    crds.install(&client).await?;

    let kind = GroupVersionKind::gvk("config.openshift.io", "v1", "ImageDigestMirrorSet");
    let sets: Api<DynamicObject> = Api::all_with(client.clone(), &ApiResource::from_gvk(&kind));
    let set = |name: &str, source: &str, policy: &str| {
        let entry = json!({ "source": source, "mirrors": ["mirror.example/q"], "mirrorSourcePolicy": policy });
        let types = json!({ "apiVersion": "config.openshift.io/v1", "kind": "ImageDigestMirrorSet" });
        let mut set = types;
        set["metadata"] = json!({ "name": name });
        set["spec"] = json!({ "imageDigestMirrors": [entry] });
        serde_json::from_value::<DynamicObject>(set).unwrap()
    };
    let params = PostParams::default();
    sets.create(&params, &set("good", "*.quay.io", "NeverContactSource")).await?;
    assert_eq!(refusal(sets.create(&params, &set("tagged", "quay.io/a:tag/b", "NeverContactSource")).await), Some(422));
    assert_eq!(refusal(sets.create(&params, &set("policy", "quay.io", "Sometimes")).await), Some(422));

    let policies = crds.only(&["imagecontentsourcepolicies.operator.openshift.io"])?;
    policies.delete(&client).await?;
    policies.install(&client).await
}

#[tokio::test]
async fn lists_are_streamed() -> Result<()> {
    let client = BED.get().await?.management().admin_client().await?;
    let stream = watcher(Api::<Namespace>::all(client), watcher::Config::default().streaming_lists());
    let first = tokio::time::timeout(LIMIT, Box::pin(stream.applied_objects()).try_next()).await??;
    first.map(|_| ()).ok_or_else(|| anyhow!("the stream ended"))
}
