//! The stock admission policies of a guest (measured on the real operators).

use anyhow::{Context as _, Result, ensure};
use hypermirror_e2e::fleet::objects::{icsp, idms};
use hypermirror_e2e::fleet::{Fleet, SOON};
use hypermirror_e2e::pki::Validity;
use hypermirror_e2e::{Crds, eventually};
use kube::api::{Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};

use super::stage::{HCCO, Stage, awaits, found, object};

#[tokio::test]
async fn a_guest_accepts_the_allowed_identity_and_its_refusals_are_reported_verbatim() -> Result<()> {
    let stage = Stage::start(1).await?;
    stage.hosted_cluster(0, &[]).await?;
    let guest = &stage.guests[0];
    guest.apply(&icsp("cluster", &[("registry.example/a", &["mirror.example/a"], None)])).await?;
    guest.apply(&idms("cluster", &[("registry.example/a", &["mirror.example/a"], None)])).await?;
    // What an earlier manager left there.
    let mut ours = idms("hypermirror", &[("registry.example/b", &["mirror.example/b"], None)]);
    ours["metadata"]["labels"] = json!({"hypermirror.dev/managed": "true"});
    guest.apply(&ours).await?;
    stock_policies(guest).await?;
    let _manager = stage.manager().await?;
    stage.secret(0, "admin-kubeconfig", &stage.kubeconfig_of(0, "system:admin", Validity::Current)?).await?;
    let message = stage.condition(0, "GuestSynced", "False", "DeniedByGuest").await?;
    ensure!(message.contains("Please ask your administrator"), "{message}");
    stage.kubeconfig(0, &stage.kubeconfig_of(0, HCCO, Validity::Current)?).await?;
    stage.condition(0, "GuestSynced", "True", "AsExpected").await?;
    let icsps = object("operator.openshift.io/v1alpha1", "ImageContentSourcePolicy", "cluster");
    awaits(guest, &icsps, false).await?;
    awaits(guest, &object("config.openshift.io/v1", "ImageDigestMirrorSet", "hypermirror"), false).await?;
    let stock = found(guest, &object("config.openshift.io/v1", "ImageDigestMirrorSet", "cluster")).await?.unwrap();
    ensure!(stock["metadata"]["managedFields"].as_array().unwrap().len() == 1, "the stock set was touched: {stock}");
    Ok(())
}

#[tokio::test]
async fn objects_of_other_owners_are_never_adopted() -> Result<()> {
    let stage = Stage::start(1).await?;
    stage.hosted_cluster(0, &[]).await?;
    let foreign = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": "hypermirror-agent"}, "rules": []
    });
    stage.guests[0].apply(&foreign).await?;
    let _manager = stage.manager().await?;
    stage.kubeconfig(0, &stage.usual_kubeconfig(0)?).await?;
    let message = stage.condition(0, "GuestSynced", "False", "PushFailed").await?;
    ensure!(message.contains("ClusterRole hypermirror-agent"), "{message}");
    let live = found(&stage.guests[0], &foreign).await?.unwrap();
    ensure!(live["rules"].as_array().is_none_or(Vec::is_empty), "{live}");
    Ok(())
}

#[tokio::test]
async fn the_report_of_an_agent_can_be_deleted() -> Result<()> {
    let stage = Stage::populated(1, &[("registry.example/a", &["mirror.example/a"], None)]).await?;
    let _manager = stage.manager().await?;
    let (node, _agent) = stage.node(0, "node-a", "a").await?;
    stage.condition(0, "NodesUpToDate", "True", "AsExpected").await?;
    let kubeconfig = Kubeconfig::read_from(&node.kubeconfig)?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    let agent = Fleet { client: Client::try_from(config)? };
    let status = object("hypermirror.dev/v1alpha1", "NodeMirrorStatus", "node-a");
    // A policy is in force a moment after it is written.
    eventually(SOON, "the policy is in force", async || {
        let params = PatchParams { dry_run: true, ..PatchParams::default() };
        let finalizer = Patch::Merge(json!({"metadata": {"finalizers": ["example.test/stays"]}}));
        let refused = agent.api_of(&status)?.patch("node-a", &params, &finalizer).await.is_err();
        ensure!(refused, "it is not");
        Ok(Some(()))
    })
    .await?;
    let owner = |name: &str, blocks: bool| json!({"apiVersion": "v1", "kind": "Node", "name": name, "uid": "u", "blockOwnerDeletion": blocks});
    for metadata in [
        json!({"finalizers": ["example.test/stays"]}),
        json!({"ownerReferences": [owner("node-b", false)]}),
        json!({"ownerReferences": [owner("node-a", true)]}),
        json!({"ownerReferences": []}),
    ] {
        let refused = agent.merge(&status, &json!({"metadata": metadata})).await.err();
        let refused = format!("{:#}", refused.context("it was taken")?);
        ensure!(refused.contains("may not change finalizers or ownerReferences"), "{refused}");
    }
    agent.merge(&status, &json!({"metadata": {"labels": {"example.test/x": "y"}}})).await?;
    // What somebody else has set there does not stop it.
    let guest = &stage.guests[0];
    guest.merge(&status, &json!({"metadata": {"finalizers": ["example.test/stays"]}})).await?;
    agent.merge(&status, &json!({"metadata": {"labels": {"example.test/x": "z"}}})).await?;
    guest.merge(&status, &json!({"metadata": {"finalizers": null}})).await.map(|_| ())
}

#[tokio::test]
async fn the_crds_of_a_guest_reject_invalid_objects() -> Result<()> {
    let stage = Stage::start(1).await?;
    let guest = &stage.guests[0];
    let root = hypermirror_e2e::binaries::repository_root();
    Crds::read(&[root.join("manifests/crd/guest.yaml")])?.install(&guest.client).await?;
    let set = |spec: Value| {
        json!({
            "apiVersion": "hypermirror.dev/v1alpha1", "kind": "NodeMirrorSet", "metadata": {"name": "x"}, "spec": spec
        })
    };
    for (spec, why) in [
        (json!({"layer": "NodePool"}), "needs a nodeSelector"),
        (json!({"layer": "Management"}), "Unsupported value"),
        (json!({"layer": "HostedCluster", "digestMirrors": [{"source": "a b", "mirrors": []}]}), "should match"),
        (json!({"layer": "HostedCluster", "digestMirrors": [{"mirrors": ["m.example/a"]}]}), "Required value"),
        (
            json!({"layer": "HostedCluster", "tagMirrors": [{"source": "a.example", "mirrorSourcePolicy": "Never"}]}),
            "Unsupported value",
        ),
    ] {
        let error = format!("{:#}", guest.apply(&set(spec.clone())).await.unwrap_err());
        ensure!(error.contains(why), "{spec}: {error}");
    }
    guest.apply(&set(json!({"layer": "HostedCluster"}))).await.map(|_| ())
}

/// `mirror` and `icsp` with their bindings, as HyperShift's own operator installs them.
async fn stock_policies(guest: &Fleet) -> Result<()> {
    for (name, group, version, resources) in [
        ("mirror", "config.openshift.io", "v1", json!(["imagedigestmirrorsets", "imagetagmirrorsets"])),
        ("icsp", "operator.openshift.io", "v1alpha1", json!(["imagecontentsourcepolicies"])),
    ] {
        let labels = json!({"hypershift.openshift.io/managed": "true"});
        let expression = "request.userInfo.username in ['system:hosted-cluster-config', \
                          'system:kas-bootstrap-container'] || (has(object.spec) && has(oldObject.spec) && \
                          object.spec == oldObject.spec)";
        guest
            .apply(&json!({
                "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
                "metadata": {"name": name, "labels": labels},
                "spec": {
                    "failurePolicy": "Fail",
                    "matchConstraints": {"matchPolicy": "Equivalent", "resourceRules": [{
                        "apiGroups": [group], "apiVersions": [version], "operations": ["*"], "resources": resources
                    }]},
                    "validations": [{
                        "expression": expression,
                        "message": "This resource cannot be created, updated, or deleted. Please ask your administrator \
                                    to modify the resource in the HostedCluster object."
                    }]
                }
            }))
            .await?;
        guest
            .apply(&json!({
                "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
                "metadata": {"name": format!("{name}-binding"), "labels": labels},
                "spec": {"policyName": name, "validationActions": ["Deny"]}
            }))
            .await?;
    }
    // A policy is in force a moment after it is written.
    eventually(SOON, "the policy is in force", async || {
        let probe = idms("probe", &[]);
        let params = PatchParams { dry_run: true, ..PatchParams::apply("e2e").force() };
        let denied = guest.api_of(&probe)?.patch("probe", &params, &Patch::Apply(&probe)).await.is_err();
        ensure!(denied, "it is not");
        Ok(Some(()))
    })
    .await
}
