//! The manifests of the first operator.

use anyhow::{Result, ensure};
use hypermirror_e2e::fleet::SOON;
use hypermirror_e2e::{consistently, eventually};
use serde::Deserialize as _;
use serde_json::{Value, json};

use super::stage::{QUIET, Stage, registry, tags};

/// As they are in its README, in their order.
const MANIFESTS: &str = r"
apiVersion: registry.kubecontroller.io/v1alpha1
kind: Registry
metadata:
  name: nginx
spec:
  url: https://registry-1.docker.io
  repository: library/nginx
  scanInterval: 300  # seconds
---
apiVersion: v1
kind: Secret
metadata:
  name: registry-creds
stringData:
  username: myuser
  password: mypass
---
apiVersion: registry.kubecontroller.io/v1alpha1
kind: Registry
metadata:
  name: private-app
spec:
  url: https://registry.example.com
  repository: company/app
  scanInterval: 600
  credentialsSecret:
    name: registry-creds
";

#[tokio::test]
async fn the_manifests_of_the_first_operator_apply_unchanged_and_show_its_status() -> Result<()> {
    let stage = Stage::new("seed").await?;
    for document in serde_yaml::Deserializer::from_str(MANIFESTS) {
        let mut document = Value::deserialize(document)?;
        // As `kubectl -n seed apply` does.
        document["metadata"]["namespace"] = "seed".into();
        stage.fleet.apply(&document).await?;
    }
    let nginx = registry("seed", "nginx", &json!({}));
    let app = registry("seed", "private-app", &json!({}));
    let good = |status: &Value| status["lastScanStatus"] == "Success";
    let status = stage.wait_for_status(&nginx, "Success", good).await?;
    assert_eq!(tags(&status), ["1.25.3", "latest"]);
    for image in status["images"].as_array().unwrap() {
        let mut names: Vec<&String> = image.as_object().unwrap().keys().collect();
        names.sort_unstable();
        assert_eq!(names, ["digest", "size", "tag"], "{image}");
        assert!(image["digest"].as_str().unwrap().starts_with("sha256:") && image["size"].as_i64() > Some(2));
    }
    let time = status["lastScanTime"].as_str().unwrap();
    ensure!(time.len() == "2026-01-21T10:30:00Z".len() && time.ends_with('Z'), "{time}");
    assert_eq!(status["canonicalImageName"], "docker.io/library/nginx");
    assert_eq!(tags(&stage.wait_for_status(&app, "Success", good).await?), ["v1"]);

    let path = "/apis/registry.kubecontroller.io/v1alpha1/namespaces/seed/registries";
    let table = stage.fleet.table(path, false).await?;
    assert_eq!(table[0], ["NAME", "URL", "REPOSITORY", "STATUS", "AGE"]);
    assert_eq!(table[1][..4], ["nginx", "https://registry-1.docker.io", "library/nginx", "Success"]);
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_scanned_is_refused_with_its_field_and_the_way_out() -> Result<()> {
    let stage = Stage::new("invalid").await?;
    let base = json!({"url": "https://r.example", "repository": "a/b"});
    let cases = [
        (json!({"url": "https://u:p@r.example"}), "use credentialsSecret"),
        (json!({"url": "ftp://r.example"}), "url must be https://HOST"),
        (json!({"url": "https://r.example/?x"}), "url must be https://HOST"),
        (json!({"repository": "App"}), "repository must be a path"),
        (json!({"repository": "app:v1"}), "without a tag"),
        (json!({"scanInterval": 0}), "scanInterval"),
        (json!({"timeout": "soon"}), "timeout"),
        (json!({"credentialsSecret": {"name": "../../other/secrets/x"}}), "must be the name of a Secret"),
        (json!({"tagFilter": {"include": "("}}), "include"),
        (json!({"tagFilter": {"sortBy": "random"}}), "sortBy"),
        (json!({"exclusionList": ["("]}), "exclusionList"),
    ];
    for (more, why) in cases {
        let mut spec = base.clone();
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = stage.fleet.apply(&registry("invalid", "x", &spec)).await;
        let error = format!("{:#}", answer.err().ok_or_else(|| anyhow::anyhow!("{more} is accepted"))?);
        ensure!(error.contains(why), "{more}: {error}");
    }
    for url in ["r.example", "http://r.example:5000", "https://[fd00::1]:5000", "https://r.example/artifactory/x/"] {
        let spec = json!({"url": url, "repository": "a", "suspend": true, "timeout": 30, "exclusionList": []});
        stage.fleet.apply(&registry("invalid", "good", &spec)).await?;
    }
    // Suspended: told so, and not scanned.
    let good = registry("invalid", "good", &json!({}));
    eventually(SOON, "the suspended object is handled", async || {
        let object = stage.fleet.api_of(&good)?.get("good").await?;
        let observed = &object.data["status"]["observedGeneration"];
        ensure!(observed.as_i64() == object.metadata.generation, "{observed}");
        Ok(Some(()))
    })
    .await?;
    consistently(QUIET, "a suspended object is not scanned", async || {
        ensure!(stage.status(&good).await?.get("lastScanStatus").is_none());
        Ok(())
    })
    .await
}
