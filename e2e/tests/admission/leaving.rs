//! The fleet is left: the admission goes first.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use hypermirror_e2e::fleet::admission::{Admission, webhook_configuration};
use hypermirror_e2e::fleet::manager::Manager;
use hypermirror_e2e::fleet::{SOON, objects};
use hypermirror_e2e::{Scene, eventually};
use serde_json::json;

const UNINSTALL: &str = "hypermirror.dev/uninstall";

/// Two hosted clusters with mirrors, both reported, and an admission that answers.
async fn ready(admission: Admission) -> Result<(Scene, Manager)> {
    let scene = Scene::start().await?;
    let fleet = &scene.fleet;
    fleet.hosted_clusters(&["a", "b"], "=").await?;
    fleet.apply(&objects::idms("one", &[("s.example", &["m.example/s"], None)])).await?;
    fleet.admit(admission).await?;
    let launch = admission.serve(scene.launch("manager")).arg("--guest-agent=off");
    let manager = launch.start_ready(scene.management()).await?;
    fleet.admits().await?;
    fleet.reads(&["a", "b"], "s.example=m.example/s").await?;
    for cluster in ["a", "b"] {
        fleet.condition(cluster, "ControlPlaneUpToDate", "True", "AsExpected").await?;
    }
    Ok((scene, manager))
}

async fn the_admission_goes_first(admission: Admission, resource: &str) -> Result<()> {
    let (scene, _manager) = ready(admission).await?;
    let fleet = &scene.fleet;
    let mark = scene.audit.mark().await?;
    let annotations = json!({"metadata": {"annotations": {UNINSTALL: "true"}}});
    fleet.merge(&objects::lease(), &annotations).await?;
    fleet.reads(&["a", "b"], "=").await?;
    let writes = eventually(SOON, "the reports are gone", async || {
        let writes = scene.writes(mark).await?;
        let gone = writes.iter().filter(|write| write.verb == "delete" && write.resource == "hostedclustermirrors");
        let gone: BTreeSet<&str> = gone.map(|write| write.name.as_str()).collect();
        Ok((gone.len() == 2).then(|| writes.clone()))
    })
    .await?;
    let place = |resource: &str, verb: &str| {
        let found =
            writes.iter().position(|write| write.resource == resource && write.verb == verb && write.succeeded());
        found.with_context(|| format!("no {verb} of {resource}"))
    };
    ensure!(place(resource, "delete")? < place("deployments", "patch")?, "{writes:#?}");
    let patches = writes.iter().filter(|write| write.resource == "deployments" && write.succeeded()).count();
    ensure!(patches == 6, "{patches} writes for six Deployments");
    eventually(SOON, "nothing is given back any more", async || {
        Ok((!fleet.restores_entry("ignition-server").await?).then_some(()))
    })
    .await?;
    let configuration = webhook_configuration();
    let left = fleet.api_of(&configuration)?.get_opt("hypermirror").await?;
    ensure!(left.is_none(), "the configuration is still there");
    Ok(())
}

#[tokio::test]
async fn uninstall_removes_the_webhook_first() -> Result<()> {
    the_admission_goes_first(Admission::webhook()?, "mutatingwebhookconfigurations").await
}

#[tokio::test]
async fn uninstall_removes_the_policies_first() -> Result<()> {
    the_admission_goes_first(Admission::Policy, "mutatingadmissionpolicies").await
}

#[tokio::test]
async fn one_hosted_cluster_leaves_while_the_admission_stays() -> Result<()> {
    let (scene, _manager) = ready(Admission::webhook()?).await?;
    let fleet = &scene.fleet;
    let mark = scene.audit.mark().await?;
    let annotations = json!({"metadata": {"annotations": {UNINSTALL: "true"}}});
    fleet.merge(&objects::hosted_cluster("a", &[]), &annotations).await?;
    fleet.reads(&["a"], "=").await?;
    ensure!(scene.patches(mark).await?.len() == 3, "one write for each Deployment");
    ensure!(fleet.restores_entry("ignition-server").await?, "the admission stays");
    fleet.reads(&["b"], "s.example=m.example/s").await
}
