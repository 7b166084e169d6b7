//! The manifest of the operator that built images with Jobs.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::super::images::digest;
use super::super::stage::{Stage, condition};
use super::{End, allow, end, jobs, objects, phase, push};

/// As its documentation has it, but for the namespace.
const MANIFEST: &str = r#"
apiVersion: buildah.io/v1alpha1
kind: ImageBuilder
metadata:
  name: name
  namespace: builders-seed
spec:
  architecture: "arm64" # Accepted: arm64;amd64;both
  image:
    name: destination/node
    version: 22-updated
    useAwsIRSA: false # Accepted: false,true
  source: | # This field is a Dockerfile
    FROM node:22
    RUN apt update -y && apt upgrade -y
  resources:
    limits:
      cpu: 1000m # Decouraged to setup a cpu limit
      memory: 2Gi
    requests:
      cpu: 500m
      memory: 1Gi
"#;

#[tokio::test]
async fn the_manifest_of_image_operator_applies_unchanged_and_builds_the_one_architecture_under_the_plain_tag()
-> Result<()> {
    let stage = Stage::new("builders-seed").await?;
    allow(&stage.fleet, "builders-seed").await?;
    let object: Value = serde_yaml::from_str(MANIFEST)?;
    stage.fleet.apply(&object).await?;
    let jobs_found = jobs(&stage.fleet, "builders-seed", 1).await?;
    let job = &jobs_found[0];
    let building = phase(&stage, &object, "BUILDING").await?;
    assert_eq!(condition(&building, "Reconciling"), Some(("True", "Building")));
    assert_eq!(building["baseImages"], json!([{"name": "node:22", "pinned": false}]));
    assert_eq!(building["ranJobs"], json!([job["metadata"]["name"]]));

    let pod = &job["spec"]["template"]["spec"];
    assert_eq!((&pod["hostUsers"], &pod["automountServiceAccountToken"]), (&json!(false), &json!(false)));
    let resources = &object["spec"]["resources"];
    for container in [&pod["initContainers"][0], &pod["containers"][0]] {
        assert_eq!(container["image"], "quay.io/containers/buildah:v1.37.3");
        assert_eq!(container["resources"]["requests"], resources["requests"], "the seed never applied them");
        // The API server prints 1000m as 1.
        assert_eq!(container["resources"]["limits"], json!({"cpu": "1", "memory": "2Gi"}));
    }
    let owner = &job["metadata"]["ownerReferences"][0];
    assert_eq!((&owner["kind"], &owner["controller"]), (&json!("ImageBuilder"), &json!(true)));
    for (version, kind) in [("v1", "ConfigMap"), ("v1", "Secret")] {
        let found = objects(&stage.fleet, version, kind, "builders-seed").await?;
        ensure!(found.len() == 1 && found[0]["immutable"] == true, "{kind}: {found:#?}");
        assert_eq!(found[0]["metadata"]["ownerReferences"][0]["uid"], job["metadata"]["uid"]);
    }

    let hub = &stage.world.registries.hub;
    let built = push(hub, "destination/node", "22-updated-arm64", "arm64").to_string();
    end(&stage.fleet, job, &End::Pushed(&built)).await?;
    let done = phase(&stage, &object, "COMPLETED").await?;
    assert_eq!(condition(&done, "Ready"), Some(("True", "Built")));
    assert_eq!(digest(hub, "destination/node", "22-updated"), Some(built.clone()), "no index of one image");
    assert_eq!((&done["digest"], &done["pushed"]), (&json!(built), &json!(true)));
    assert_eq!(done["architectures"][0]["baseDigest"], json!(format!("sha256:{}", "b".repeat(64))));
    jobs(&stage.fleet, "builders-seed", 0).await?;

    let table = stage.fleet.table("/apis/buildah.io/v1alpha1/namespaces/builders-seed/imagebuilders", false).await?;
    assert_eq!(table[0], ["NAME", "ARCHITECTURE", "IMAGE", "VERSION", "PHASE", "AGE"]);
    assert_eq!(table[1][1..5], ["arm64", "destination/node", "22-updated", "COMPLETED"]);
    Ok(())
}
