//! What is not built, and which condition says so.

use anyhow::{Result, ensure};
use kube::api::PostParams;
use serde_json::{Value, json};

use super::super::stage::{Stage, condition, secret};
use super::{allow, builder, jobs, objects, phase};

#[tokio::test]
async fn destinations_credentials_secrets_and_namespaces_that_are_not_allowed_are_conditions_and_no_job_is_created()
-> Result<()> {
    let stage = Stage::new("builders-refused").await?;
    // Without the role, the registry-manager may do nothing in this namespace.
    let creds = secret("builders-refused", "creds", "Opaque", &json!({"username": "u", "password": "p"}));
    stage.fleet.apply(&creds).await?;
    let none = json!({"credentialsSecret": null});
    let with = |more: Value| {
        let mut image = none.clone();
        image.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
        json!({"image": image})
    };
    for (name, more, reason, text) in [
        ("namespace", json!({}), "NamespaceForbidden", "overlay image-builder-namespace"),
        ("elsewhere", with(json!({"name": "elsewhere.example/app"})), "DestinationNotAllowed", "--destination-allow"),
        ("process", with(json!({})), "CredentialsNotAllowed", "--build-credentials-allow"),
        ("ecr", with(json!({"useAwsIRSA": true})), "InvalidSpec", "image.useAwsIRSA"),
        ("tag", json!({"image": {"version": "a b"}}), "InvalidSpec", "image.version"),
        ("gone", json!({"pullSecrets": [{"name": "gone"}]}), "SecretMissing", "gone"),
        ("opaque", json!({"pullSecrets": [{"name": "creds"}]}), "SecretInvalid", "creds"),
    ] {
        let mut object = builder("builders-refused", name, &more);
        if object["spec"]["image"]["credentialsSecret"].is_null() {
            object["spec"]["image"].as_object_mut().unwrap().remove("credentialsSecret");
        }
        if name == "gone" {
            // These are found only where Jobs may be created.
            allow(&stage.fleet, "builders-refused").await?;
        }
        stage.fleet.apply(&object).await?;
        let status = phase(&stage, &object, "FAILED").await?;
        assert_eq!(condition(&status, "Stalled"), Some(("True", reason)), "{name}: {status}");
        ensure!(status["message"].as_str().is_some_and(|message| message.contains(text)), "{name}: {status}");
    }
    jobs(&stage.fleet, "builders-refused", 0).await?;
    let secrets = objects(&stage.fleet, "v1", "Secret", "builders-refused").await?;
    assert_eq!(secrets.len(), 1, "no credential was copied");

    for wrong in [
        json!({"architecture": "s390x"}),
        json!({"source": ""}),
        json!({"source": "x".repeat(140_000)}),
        json!({"storageLimit": "lots"}),
        json!({"resources": {"limits": {"memory": "2Gi; rm"}}}),
        json!({"image": {"name": "https://r.example/a"}}),
    ] {
        let object = builder("builders-refused", "wrong", &wrong);
        ensure!(
            stage.fleet.apply(&object).await.is_err(),
            "the API server takes {}",
            &wrong.to_string()[..40.min(wrong.to_string().len())]
        );
    }
    Ok(())
}

#[tokio::test]
async fn pod_security_admits_the_pod_at_privileged_and_with_a_seccomp_profile_of_its_own_at_baseline() -> Result<()> {
    let stage = Stage::new("builders-levels").await?;
    allow(&stage.fleet, "builders-levels").await?;
    let creds = secret("builders-levels", "creds", "Opaque", &json!({"username": "u", "password": "p"}));
    stage.fleet.apply(&creds).await?;
    stage.fleet.apply(&builder("builders-levels", "app", &json!({"architecture": "amd64"}))).await?;
    let found = jobs(&stage.fleet, "builders-levels", 1).await?;
    let spec = &found[0]["spec"]["template"]["spec"];
    let mut with_profile = spec.clone();
    // As units show that it is with BUILDAH_SECCOMP_PROFILE.
    with_profile["securityContext"]["seccompProfile"] = json!({"type": "Localhost", "localhostProfile": "b.json"});
    for containers in ["initContainers", "containers"] {
        with_profile[containers][0]["securityContext"]["capabilities"]["add"] = json!(["SETUID", "SETGID"]);
    }
    for (level, spec, is_admitted) in [
        ("privileged", spec, true),
        ("baseline", spec, false),
        ("baseline", &with_profile, true),
        ("restricted", &with_profile, false),
    ] {
        let name = format!("builders-{level}");
        let namespace = json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": name, "labels": {"pod-security.kubernetes.io/enforce": level}},
        });
        stage.fleet.apply(&namespace).await?;
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "build", "namespace": name},
            "spec": spec,
        });
        let params = PostParams { dry_run: true, ..PostParams::default() };
        let created = stage.fleet.api_of(&pod)?.create(&params, &serde_json::from_value(pod.clone())?).await;
        assert_eq!(created.is_ok(), is_admitted, "{level}: {created:?}");
    }
    Ok(())
}
