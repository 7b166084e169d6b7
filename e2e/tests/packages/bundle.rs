//! The OLM bundle: what OLM makes of it does the main job, installed with the rights of its installer. There is no OLM here: the
//! scenario applies what OLM v1 does, in its order. OLM v0 makes the same objects of the CSV.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use hypermirror_e2e::binaries::repository_root;
use hypermirror_e2e::fleet::objects::idms;
use hypermirror_e2e::fleet::{SERVICE_ACCOUNT, SOON, SYSTEM};
use hypermirror_e2e::{Fleet, Testbed, eventually};
use serde::Deserialize as _;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::release::launch;
use super::stage;

/// The ServiceAccount of `installer.yaml`.
const INSTALLER: &str = "hypermirror-installer";

/// Kinds that others use, in the order in which they are applied. The rest follows.
const FIRST: [&str; 6] =
    ["ServiceAccount", "CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"];

#[tokio::test]
async fn the_bundle_that_olm_installs_does_the_main_job() -> Result<()> {
    let bundle = TempDir::new()?;
    generate(bundle.path()).await?;
    let bed = Testbed::builder().start().await?;
    let cluster = bed.management();
    let fleet = stage::fleet(cluster).await?;
    fleet.hosted_cluster("a", &[], "=").await?;

    // What docs/install-olm.md has a person apply, which creates the namespace.
    for file in ["prerequisites.yaml", "installer.yaml"] {
        fleet.apply_file(&bundle.path().join(file)).await?;
    }
    let installer = Fleet { client: cluster.client_for_service_account(SYSTEM, INSTALLER).await? };
    for object in in_order(installed(&bundle.path().join("manifests"))?) {
        // A kind is served a moment after its CRD is applied.
        eventually(SOON, &format!("{} is applied", object["kind"]), async || {
            installer.apply_as("olm", &object).await.map(Some)
        })
        .await?;
    }

    let pods = stage::pods(&fleet, SYSTEM).await?;
    ensure!(pods.len() == 1 && pods[0]["spec"]["serviceAccountName"] == SERVICE_ACCOUNT, "{pods:?}");
    stage::allowed(&fleet, SYSTEM, pods).await?;
    let manager = launch(&fleet, "manager", cluster).await?.start_ready(cluster).await?;
    manager.leads().await?;
    fleet.apply(&idms("one", &[("s.example", &["m.example/s"], None)])).await?;
    fleet.reads(&["a"], "s.example=m.example/s").await?;
    fleet.condition("a", "ControlPlaneUpToDate", "True", "AsExpected").await.map(|_| ())
}

/// As `make bundle`.
async fn generate(directory: &Path) -> Result<()> {
    let mut command = tokio::process::Command::new(repository_root().join("hack/bundle/generate"));
    let digest = "0".repeat(64);
    command.arg(directory).env("VERSION", "0.1.0").env("MONITORING", "no").kill_on_drop(true);
    let output = command.env("IMAGE", format!("registry.test/hypermirror@sha256:{digest}")).output().await?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// The objects that OLM applies: those of the bundle, in the namespace of the installation, and those that it makes of the CSV.
fn installed(manifests: &Path) -> Result<Vec<Value>> {
    let mut objects = Vec::new();
    for file in std::fs::read_dir(manifests)? {
        let text = std::fs::read_to_string(file?.path())?;
        for document in serde_yaml::Deserializer::from_str(&text) {
            let object = Value::deserialize(document)?;
            if object["kind"] == "ClusterServiceVersion" {
                objects.extend(of_csv(&object)?);
            } else {
                objects.push(object);
            }
        }
    }
    for object in &mut objects {
        let kind = object["kind"].as_str().unwrap_or_default();
        if !kind.starts_with("Cluster") && kind != "CustomResourceDefinition" {
            object["metadata"]["namespace"] = SYSTEM.into();
        }
    }
    Ok(objects)
}

/// Accounts, their permissions under generated names, and Deployments, whose pods get the annotations of the CSV.
fn of_csv(csv: &Value) -> Result<Vec<Value>> {
    let install = &csv["spec"]["install"]["spec"];
    let mut objects = Vec::new();
    for (index, granted) in install["clusterPermissions"].as_array().into_iter().flatten().enumerate() {
        let account = granted["serviceAccountName"].as_str().context("permissions of nobody")?;
        let name = format!("{}-{index}", csv["metadata"]["name"].as_str().context("no name")?);
        let rbac = "rbac.authorization.k8s.io";
        objects.extend([
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": account}}),
            json!({
                "apiVersion": format!("{rbac}/v1"), "kind": "ClusterRole",
                "metadata": {"name": name}, "rules": granted["rules"]
            }),
            json!({
                "apiVersion": format!("{rbac}/v1"), "kind": "ClusterRoleBinding", "metadata": {"name": name},
                "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": name},
                "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": SYSTEM}]
            }),
        ]);
    }
    ensure!(install["permissions"].is_null(), "OLM would turn the permissions of a namespace into cluster-wide ones");
    for deployment in install["deployments"].as_array().context("no deployments")? {
        let mut spec = deployment["spec"].clone();
        let annotations = spec["template"]["metadata"]["annotations"].as_object_mut().context("no annotations")?;
        annotations.extend(csv["metadata"]["annotations"].as_object().cloned().unwrap_or_default());
        // All namespaces.
        annotations.insert("olm.targetNamespaces".to_owned(), "".into());
        spec["revisionHistoryLimit"] = 1.into();
        let metadata = json!({"name": deployment["name"], "labels": deployment["label"]});
        objects.push(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}));
    }
    Ok(objects)
}

/// What others use comes first.
fn in_order(mut objects: Vec<Value>) -> Vec<Value> {
    objects.sort_by_key(|object| FIRST.iter().position(|kind| object["kind"] == *kind).unwrap_or(FIRST.len()));
    objects
}
