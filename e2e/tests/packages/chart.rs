//! The chart: it upgrades the last release's, what it installs is enough for the manager's work, and an uninstall leaves nothing.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use hypermirror_e2e::fleet::manager::ManagerLaunch;
use hypermirror_e2e::fleet::objects::idms;
use hypermirror_e2e::fleet::{SERVICE_ACCOUNT, SYSTEM};
use hypermirror_e2e::{Cluster, Fleet, Testbed, binaries, eventually};
use kube::api::{DynamicObject, ListParams};
use kube::discovery::{Discovery, verbs};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

use super::helm::{Helm, chart};
use super::release::previous_chart;
use super::stage;

const AGENT_NAMESPACE: &str = "hypermirror-agent";

/// The API server ends a CRD after its objects, and tries again ever later if it has just changed how it stores a kind.
const END_OF_CRDS: Duration = Duration::from_mins(2);

/// Longer than the API server needs for one attempt.
const TOUCH: Duration = Duration::from_secs(10);

/// Lists that are read at the same time.
const LISTS_AT_ONCE: usize = 8;

/// What the release has in both versions of it. There is no controller manager, which would end the agent's namespace.
const ALWAYS: [&str; 2] =
    ["--set=image.registry=registry.test,image.tag=v1,crds.keep=false", "--set=agent.createNamespace=false"];

/// Everything at once that needs no CRDs of others.
const EVERYTHING: &str = "--set=admission.type=policy,registryManager.enabled=true,manager.rolloutDelivery=true,agent.enabled=true,\
                          uninstall.enabled=true";

#[tokio::test]
async fn the_chart_does_the_main_job_and_an_uninstall_leaves_nothing() -> Result<()> {
    let bed = Testbed::builder().start().await?;
    let cluster = bed.management();
    let fleet = prepare(cluster).await?;
    fleet.hosted_cluster("a", &[], "=").await?;
    fleet.apply(&idms("one", &[("s.example", &["m.example/s"], None)])).await?;
    let before = objects(&fleet).await?;

    works(&fleet, cluster, &Helm::new("helm3", &cluster.kubeconfig_path())?).await?;
    left(&fleet, &before).await?;
    takes_over(&fleet, &Helm::new("helm4", &cluster.kubeconfig_path())?).await?;
    left(&fleet, &before).await
}

/// The kinds of the fleet, and namespaces: that of the release takes restricted pods only.
async fn prepare(cluster: &Cluster) -> Result<Fleet> {
    let fleet = stage::fleet(cluster).await?;
    for (name, level) in [(SYSTEM, "restricted"), (AGENT_NAMESPACE, "privileged")] {
        stage::namespace(&fleet, name, level).await?;
    }
    Ok(fleet)
}

/// Installs an observer of the last release, upgrades it to everything of this one, removes it as the hook does, and goes back:
/// always with the rights of the chart.
async fn works(fleet: &Fleet, cluster: &Cluster, helm: &Helm) -> Result<()> {
    let notes = helm.apply("install", &previous_chart(), &[ALWAYS[0], ALWAYS[1], "--set=mode=observe"]).await?;
    assert!(notes.contains("The manager only observes"), "{notes}");
    let manager = || ManagerLaunch::new("manager", cluster.directory()).arg("--guest-agent=off");
    let observer = manager().arg("--mode=observe").start_ready(cluster).await?;
    fleet.condition("a", "ControlPlaneUpToDate", "False", "Observing").await?;
    drop(observer);

    // As docs/install-helm.md upgrades.
    helm.apply("upgrade", &chart(), &["--reset-then-reuse-values", "--set=mode=enforce", EVERYTHING]).await?;
    let mut pods = stage::pods(fleet, SYSTEM).await?;
    let hooks = helm.hooks().await?;
    pods.extend(hooks.iter().map(pod_of_hook));
    assert_eq!(pods.len(), 4, "manager, registry-manager, uninstall and check: {pods:?}");
    stage::allowed(fleet, SYSTEM, pods).await?;
    let _manager = manager().start_ready(cluster).await?;
    fleet.reads(&["a"], "s.example=m.example/s").await?;

    let job = hooks.iter().find(|hook| hook["kind"] == "Job").context("no Job among the hooks")?;
    run_job(cluster, job).await?;
    fleet.reads(&["a"], "=").await?;
    helm.roll_back(1).await?;
    let pods = stage::pods(fleet, SYSTEM).await?;
    assert_eq!(pods.len(), 1, "the manager of the last release: {pods:?}");
    helm.uninstall().await
}

/// Installs over what kubectl applied.
async fn takes_over(fleet: &Fleet, helm: &Helm) -> Result<()> {
    let manifests = binaries::repository_root().join("manifests");
    fleet.apply_file(&manifests.join("crd/management.yaml")).await?;
    for file in [
        "rbac.yaml",
        "policies.yaml",
        "networkpolicy.yaml",
        "deployment.yaml",
        "service.yaml",
        "poddisruptionbudget.yaml",
    ] {
        fleet.apply_file(&manifests.join("base").join(file)).await?;
    }
    let refused = helm.apply("install", &chart(), &ALWAYS).await.unwrap_err().to_string();
    assert!(refused.contains("invalid ownership metadata"), "{refused}");
    // kubectl's image is another one.
    helm.apply("install", &chart(), &[ALWAYS[0], ALWAYS[1], "--take-ownership", "--force-conflicts"]).await?;
    helm.apply("upgrade", &chart(), &[ALWAYS[0], ALWAYS[1], EVERYTHING]).await?;
    helm.uninstall().await
}

/// Kind, namespace and name of everything that lasts. Leases are the manager's and the API server's own.
async fn objects(fleet: &Fleet) -> Result<BTreeSet<String>> {
    let discovery = Discovery::new(fleet.client.clone()).run().await?;
    let resources = discovery.groups().flat_map(kube::discovery::ApiGroup::recommended_resources);
    let listed = resources.filter(|(resource, can)| {
        can.supports_operation(verbs::LIST) && !["Event", "Lease"].contains(&resource.kind.as_str())
    });
    let lists = listed.map(|(resource, _)| async move {
        let api: Api<DynamicObject> = Api::all_with(fleet.client.clone(), &resource);
        let name = |object: DynamicObject| {
            format!("{}/{}/{}", resource.kind, object.namespace().unwrap_or_default(), object.name_any())
        };
        match api.list(&ListParams::default()).await {
            // A kind that goes while the others are read.
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(Vec::new()),
            list => anyhow::Ok(list?.items.into_iter().map(name).collect::<Vec<String>>()),
        }
    });
    let all: Vec<Vec<String>> = stream::iter(lists).buffer_unordered(LISTS_AT_ONCE).try_collect().await?;
    Ok(all.into_iter().flatten().collect())
}

/// Nothing is there but what was before.
async fn left(fleet: &Fleet, before: &BTreeSet<String>) -> Result<()> {
    let mut touched = Instant::now();
    eventually(END_OF_CRDS, "the cluster is as it was", async || {
        let now = objects(fleet).await?;
        if touched.elapsed() > TOUCH {
            touch_crds(fleet, now.difference(before)).await;
            touched = Instant::now();
        }
        let different: Vec<&String> = now.symmetric_difference(before).collect();
        ensure!(different.is_empty(), "{different:?}");
        Ok(Some(()))
    })
    .await
}

/// Has the API server look again at CRDs that it ends: an event is not delayed, while its next attempt may be minutes away.
async fn touch_crds(fleet: &Fleet, left: impl Iterator<Item = &String>) {
    for name in left.filter_map(|object| object.strip_prefix("CustomResourceDefinition//")) {
        let crd = json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": name}
        });
        let now = json!({"metadata": {"annotations": {"example.com/touched": format!("{:?}", Instant::now())}}});
        // It may be gone by now.
        let _ = fleet.merge(&crd, &now).await;
    }
}

fn pod_of_hook(hook: &Value) -> Value {
    let spec = if hook["kind"] == "Pod" { &hook["spec"] } else { &hook["spec"]["template"]["spec"] };
    json!({"spec": spec})
}

/// Runs what the container of a Job would run, with the rights of its ServiceAccount.
async fn run_job(cluster: &Cluster, job: &Value) -> Result<()> {
    let pod = &job["spec"]["template"]["spec"];
    ensure!(pod["serviceAccountName"] == SERVICE_ACCOUNT, "{pod}");
    let arguments: Vec<String> = serde_json::from_value(pod["containers"][0]["args"].clone())?;
    let kubeconfig = cluster.kubeconfig_for_service_account(SYSTEM, SERVICE_ACCOUNT).await?;
    let mut command = tokio::process::Command::new(binaries::operator()?);
    command.args(arguments).env("KUBECONFIG", kubeconfig).env("POD_NAMESPACE", SYSTEM).kill_on_drop(true);
    let output = command.output().await?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
