//! `check` on real API servers: what usually fails on the first day, all of it on one stage.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hypermirror_e2e::binaries::repository_root;
use hypermirror_e2e::fleet::objects::{hosted_cluster, idms, itms};
use hypermirror_e2e::fleet::{Fleet, NAMESPACE, SERVICE_ACCOUNT, SOON, SYSTEM, TARGETS, deployments};
use hypermirror_e2e::pki::Validity;
use hypermirror_e2e::{Crds, eventually};
use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};

use super::ran::{Ran, run_with};
use super::stage::{HCCO, Stage, name};

const PASSWORD: &str = "canary-fd3";
/// A person that may read what docs/check.md lists, and nothing else.
const PERSON: &str = "support";
const RELEASE: &str =
    "quay.example/ocp/release@sha256:0000000000000000000000000000000000000000000000000000000000000001";

fn secret(name: &str, host: &str) -> Value {
    let auth = BASE64_STANDARD.encode(format!("alice:{PASSWORD}"));
    json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": NAMESPACE},
        "type": "kubernetes.io/dockerconfigjson",
        "stringData": {".dockerconfigjson": json!({"auths": {host: {"auth": auth}}}).to_string()}
    })
}

fn crd() -> Value {
    let name = "hostedclustermirrors.hypermirror.dev";
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": name}})
}

/// The role in the page, as somebody copies it.
fn documented_role() -> Result<Value> {
    let page = std::fs::read_to_string(repository_root().join("docs/check.md"))?;
    let block = page.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).context("no role")?;
    Ok(serde_yaml::from_str(block)?)
}

/// Gives a person the rights of the page.
async fn person(stage: &Stage) -> Result<PathBuf> {
    let role = documented_role()?;
    stage.fleet().apply(&role).await?;
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": PERSON},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role["metadata"]["name"]},
        "subjects": [{"kind": "ServiceAccount", "name": PERSON, "namespace": NAMESPACE}]
    });
    stage.fleet().apply(&binding).await?;
    stage.scene.management().kubeconfig_for_service_account(NAMESPACE, PERSON).await
}

/// A hosted cluster whose Deployments are written by the field managers of stock HyperShift.
async fn cluster(fleet: &Fleet, name: &str, spec: &Value) -> Result<()> {
    fleet.apply(&deployments::namespace_of(name)).await?;
    for target in TARGETS {
        fleet.apply_as("hypershift-operator-manager", &deployments::target(name, target, Some("="), "=")).await?;
    }
    let mut object = hosted_cluster(name, &[]);
    for (field, value) in spec.as_object().into_iter().flatten() {
        object["spec"][field] = value.clone();
    }
    fleet.apply(&object).await.map(|_| ())
}

/// A node of the guest, with its runtime and the version of its agent.
async fn node(guest: &Fleet, name: &str, runtime: &str, agent: &str) -> Result<()> {
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}});
    let nodes: Api<DynamicObject> = guest.api_of(&node)?;
    guest.apply(&node).await?;
    let words = ["machineID", "systemUUID", "bootID", "kernelVersion", "osImage", "kubeletVersion", "kubeProxyVersion"];
    let mut info: BTreeMap<&str, &str> = words.into_iter().map(|word| (word, "x")).collect();
    info.extend([("operatingSystem", "linux"), ("architecture", "amd64"), ("containerRuntimeVersion", runtime)]);
    let status = json!({"status": {"nodeInfo": info}});
    nodes.patch_status(name, &PatchParams::default(), &Patch::Merge(&status)).await?;
    let mut report = json!({
        "apiVersion": "hypermirror.dev/v1alpha1", "kind": "NodeMirrorStatus", "metadata": {"name": name}, "spec": {}
    });
    let reports: Api<DynamicObject> = guest.api_of(&report)?;
    guest.apply(&report).await?;
    report["status"] = json!({"agentVersion": agent});
    reports.patch_status(name, &PatchParams::default(), &Patch::Merge(&report)).await?;
    Ok(())
}

/// The codes of the findings by object; no output has a value of a Secret.
fn findings(ran: &Ran) -> Result<Found> {
    ensure!(!format!("{}{}", ran.stdout, ran.stderr).contains(PASSWORD), "{}", ran.stdout);
    let text = |row: &Value, field: &str| row[field].as_str().unwrap_or_default().to_owned();
    let rows = ran.json()?;
    let rows = rows.as_array().with_context(|| ran.stderr.clone())?;
    for row in rows {
        ensure!(text(row, "cure").is_empty() || text(row, "cure").len() > 8, "{row}");
    }
    Ok(rows.iter().map(|row| (text(row, "reason"), text(row, "object"))).collect())
}

type Found = BTreeSet<(String, String)>;

/// Runs `check` until it finds what is wanted: API servers learn of changed roles a moment later.
async fn check(kubeconfig: &Path, flags: &[&str], code: i32, is_wanted: impl Fn(&Found) -> bool) -> Result<Found> {
    eventually(SOON, "check finds what is wrong", async || {
        let ran = run_with(kubeconfig, &[&["check", "-o", "json"], flags].concat()).await?;
        let found = findings(&ran)?;
        ensure!(ran.code == Some(code) && is_wanted(&found), "{found:#?} {} {}", ran.stdout, ran.stderr);
        Ok(Some(found))
    })
    .await
}

/// What each broken object leads to.
const EXPECTED: [(&str, &str); 19] = [
    ("PullSecretLacksMirror", "Secret/clusters/other"),
    ("PullSecretUnusable", "Secret/clusters/gone"),
    ("AuthorityMissing", "HostedCluster/clusters/east"),
    ("TagMirrorsOnly", "Nodes/management"),
    ("SourceUnproven", "HostedCluster/clusters/east"),
    ("SignatureMissing", "MirrorCoverage/clusters/north"),
    ("AdmissionIneffective", "MutatingAdmissionPolicy/hypermirror-targets"),
    ("AdmissionIneffective", "MutatingWebhookConfiguration/hypermirror"),
    ("NamespaceUnlabelled", "Namespace/clusters-east"),
    ("RightMissing", "ClusterRole/hypermirror-manager"),
    ("CrdOutdated", "CustomResourceDefinition/hostedclustermirrors.hypermirror.dev"),
    ("AgentVersionDiffers", "NodeMirrorStatus/worker-1"),
    ("GuestKubeconfigMissing", "HostedCluster/clusters/east"),
    ("GuestKubeconfigUnusable", "Secret/clusters-west-0/hcco-kubeconfig"),
    ("NodeRuntimeUnsupported", "Node/worker-1"),
    ("NodeRuntimeMisconfigured", "NodeMirrorStatus/worker-1"),
    ("OverridesWrittenByOther", "Deployment/clusters-east/control-plane-operator"),
    ("ConfigMapInvalid", "NodePool/clusters/workers"),
    ("NamespaceClaimedTwice", "HostedCluster/clusters-x/y"),
];

/// A fleet without any finding: `west-0` with a real guest, and a mirror with a certificate of the guest's own authority.
async fn good(stage: &Stage) -> Result<String> {
    let fleet = stage.fleet();
    let guest = stage.cluster(0);
    let host = format!("127.0.0.1:{}", guest.port());
    let root = repository_root().join("manifests");
    let ca = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "ca", "namespace": NAMESPACE},
        "data": {"ca-bundle.crt": guest.authority_certificate()}
    });
    fleet.apply(&ca).await?;
    fleet.apply(&secret("pull-secret", &host)).await?;
    cluster(fleet, &name(0), &json!({"additionalTrustBundle": {"name": "ca"}})).await?;
    stage.kubeconfig(0, &stage.usual_kubeconfig(0)?).await?;
    fleet.apply(&idms("ours", &[("quay.example/other", &[&format!("{host}/other")], None)])).await?;
    Crds::read(&[root.join("crd/guest.yaml")])?.install(&stage.guests[0].client).await?;
    node(&stage.guests[0], "worker-0", "cri-o://1.33.0", env!("CARGO_PKG_VERSION")).await?;
    for file in ["targets.yaml", "hosted-clusters.yaml", "rbac.yaml"] {
        fleet.apply_file(&root.join("components/admission-policy").join(file)).await?;
    }
    Ok(host)
}

/// What the registry-manager reports of a mirror that has an image without its signature.
async fn unsigned(fleet: &Fleet, name: &str, mirror: &str) -> Result<()> {
    let mut report = json!({
        "apiVersion": "hypermirror.dev/v1alpha1", "kind": "MirrorCoverage",
        "metadata": {"name": name, "namespace": NAMESPACE}, "spec": {}
    });
    let reports: Api<DynamicObject> = fleet.api_of(&report)?;
    fleet.apply(&report).await?;
    report["status"] = json!({"missing": [{
        "image": RELEASE, "group": "release 4.20.1", "consumer": "control-plane pods", "mirror": format!("{mirror}/release"),
        "message": format!("signature of {} is missing", RELEASE.split_once('@').map_or("", |(_, digest)| digest))
    }]});
    reports.patch_status(name, &PatchParams::default(), &Patch::Merge(&report)).await?;
    Ok(())
}

/// What does not fit: a CRD of another version, a node with another runtime and an old agent, which warns.
async fn versions(stage: &Stage) -> Result<()> {
    let field = "/spec/versions/0/schema/openAPIV3Schema/properties/status/properties/sourcesCut";
    stage.fleet().json_patch(&crd(), &json!([{"op": "remove", "path": field}])).await?;
    node(&stage.guests[0], "worker-1", "docker://26.0.0", "0.0.1").await?;
    let mut report = json!({
        "apiVersion": "hypermirror.dev/v1alpha1", "kind": "NodeMirrorStatus", "metadata": {"name": "worker-1"}
    });
    let reports: Api<DynamicObject> = stage.guests[0].api_of(&report)?;
    report["status"] = json!({"warnings": [
        {"severity": "Warning", "reason": "ConfigPathList", "origin": "/etc", "message": "config_path is a list"}
    ]});
    reports.patch_status("worker-1", &PatchParams::default(), &Patch::Merge(&report)).await?;
    Ok(())
}

/// Breaks everything, one object for each finding.
async fn broken(stage: &Stage, host: &str) -> Result<()> {
    let (fleet, root) = (stage.fleet(), repository_root().join("manifests"));
    // Another hosted cluster: without kubeconfig, authority and label, with somebody else's pull secret and release by digest.
    cluster(fleet, "east", &json!({"release": {"image": RELEASE}, "pullSecret": {"name": "other"}})).await?;
    fleet.apply(&secret("other", "elsewhere.example")).await?;
    let label = json!({"metadata": {"labels": {"hypershift.openshift.io/hosted-control-plane": null}}});
    fleet.merge(&deployments::namespace_of("east"), &label).await?;
    cluster(fleet, "north", &json!({"pullSecret": {"name": "gone"}, "additionalTrustBundle": {"name": "ca"}})).await?;
    let mirror = format!("{host}/ocp");
    fleet.apply(&itms("tags", &[("quay.example/ocp", &[&mirror], None)])).await?;
    fleet.apply(&idms("strict", &[("quay.example/strict", &[&mirror], Some("NeverContactSource"))])).await?;
    unsigned(fleet, "north", &mirror).await?;
    // Admission and rights.
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicyBinding",
        "metadata": {"name": "hypermirror-targets"}
    });
    fleet.delete(&binding).await?;
    fleet.apply_file(&root.join("components/webhook/webhook.yaml")).await?;
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "hypermirror-manager"}
    });
    let patch = json!([{"op": "remove", "path": "/rules/4"}]);
    fleet.json_patch(&role, &patch).await?;
    // Two that lead to the namespace clusters-x-y.
    fleet.apply(&hosted_cluster("x-y", &[])).await?;
    fleet.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "clusters-x"}})).await?;
    let mut other = hosted_cluster("y", &[]);
    other["metadata"]["namespace"] = "clusters-x".into();
    fleet.apply(&other).await?;
    versions(stage).await?;
    // The kubeconfig that the manager prefers has expired, and another one works.
    stage.kubeconfig(0, &stage.kubeconfig_of(0, HCCO, Validity::Expired)?).await?;
    stage.secret(0, "admin-kubeconfig", &stage.kubeconfig_of(0, "admin", Validity::Current)?).await?;
    // Other writers.
    let target = deployments::target("east", TARGETS[0], Some("a.example=b.example"), "=");
    fleet.apply_as("argocd", &target).await?;
    let machine_config = json!({
        "apiVersion": "machineconfiguration.openshift.io/v1", "kind": "MachineConfig",
        "metadata": {"name": "99-mirrors", "labels": {"machineconfiguration.openshift.io/role": "worker"}},
        "spec": {"config": {"ignition": {"version": "3.2.0"}, "storage": {"files": [
            {"path": "/etc/containers/registries.conf.d/50-hypermirror.conf", "contents": {"source": "data:,"}}
        ]}}}
    });
    let config = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "mc", "namespace": NAMESPACE},
        "data": {"config": machine_config.to_string()}
    });
    fleet.apply(&config).await?;
    stage.node_pool(0, "workers", &json!({})).await?;
    let pool = json!({
        "apiVersion": "hypershift.openshift.io/v1beta1", "kind": "NodePool",
        "metadata": {"name": "workers", "namespace": NAMESPACE}
    });
    fleet.merge(&pool, &json!({"spec": {"config": [{"name": "mc"}]}})).await.map(|_| ())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_on_the_first_day_is_found_and_a_good_fleet_has_no_finding() -> Result<()> {
    let stage = Stage::start(1).await?;
    let person = person(&stage).await?;
    let host = good(&stage).await?;

    // Before the manager is installed: whoever cannot create its roles learns that.
    let (install, role) = ("InstallRightMissing".to_owned(), "ClusterRole/hypermirror-manager".to_owned());
    check(&person, &["--deep"], 0, |found| found.contains(&(install.clone(), role.clone())) && found.len() == 2)
        .await?;
    let root = repository_root().join("manifests");
    stage.fleet().apply_file(&root.join("base/deployment.yaml")).await?;
    check(&person, &["--deep"], 0, BTreeSet::is_empty).await?;
    let mark = stage.scene.audit.mark().await?;
    let unasked = ("NotChecked".to_owned(), "Secrets/all".to_owned());
    check(&person, &[], 0, |found| *found == [unasked.clone()].into()).await?;
    let user = format!("system:serviceaccount:{NAMESPACE}:{PERSON}");
    let events = stage.scene.audit.since(mark).await?;
    let of_person: Vec<_> = events.iter().filter(|event| event.user == user).collect();
    ensure!(of_person.len() > 20, "{of_person:?}");
    ensure!(of_person.iter().all(|event| event.resource != "secrets"), "Secrets are read without --deep");

    broken(&stage, &host).await?;
    let has = |found: &Found, (code, object): (&str, &str)| found.contains(&(code.to_owned(), object.to_owned()));
    check(&person, &["--deep"], 1, |found| EXPECTED.into_iter().all(|expected| has(found, expected))).await?;
    let (ran, text) = (run_with(&person, &["check", "--deep"]).await?, "kubectl label namespace clusters-east");
    ensure!(ran.stdout.contains(text) && !ran.stdout.contains(PASSWORD), "{}", ran.stdout);

    // The manager's own ServiceAccount is asked for its own rights, and says what it may not see.
    let rule = json!([{"op": "add", "path": "/rules/-", "value":
        {"apiGroups": ["hypershift.openshift.io"], "resources": ["nodepools"], "verbs": ["list"]}}]);
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "hypermirror-manager"}
    });
    stage.fleet().json_patch(&role, &rule).await?;
    let own = stage.scene.management().kubeconfig_for_service_account(SYSTEM, SERVICE_ACCOUNT).await?;
    let unseen = ("NotChecked", "CustomResourceDefinition/images.skopeo.io");
    check(&own, &[], 1, |found| has(found, ("RightMissing", "ClusterRole/hypermirror-manager")) && has(found, unseen))
        .await?;
    Ok(())
}
