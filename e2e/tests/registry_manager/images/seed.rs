//! The manifests of image-operator.

use anyhow::{Result, ensure};
use serde::Deserialize as _;
use serde_json::{Value, json};

use super::super::stage::{Stage, add_image, condition};
use super::{assert_same, digest, image, phase};

/// As they are in its README, in their order.
const MANIFESTS: &str = r#"
apiVersion: skopeo.io/v1alpha1
kind: Image
metadata:
  name: nginx-alpine
spec:
  frequency: 15m
  mode: Recurrent
  source:
    name: quay.io/nginx/nginx-ingress
    version: 3.7-alpine
  destination:
    name: tchoupinax/nginx/nginx-ingress
    version: 3.7-alpine
---
apiVersion: skopeo.io/v1alpha1
kind: Image
metadata:
  name: argocd-2-13-rc
spec:
  allowCandidateRelease: true
  mode: OneShot
  source:
    name: quay.io/argoproj/argocd
    version: v2.13.x
  destination:
    name: tchoupinax/argoproj/argocd
    version: v2.13.x
---
apiVersion: skopeo.io/v1alpha1
kind: Image
metadata:
  name: name
spec:
  allowCandidateRelease: false # Activate if you want release which match *.*.*-rc[O-9]+
  mode: OneShot # Accepted: OneShot,OnceByTag,Recurrent
  frequency: "1m" #  Accepted: [O-9]+(s(second),m(minute),h(hour),d(day),(week)
  source:
    name: source/argoproj/argocd
    version: v2.13.x
  destination:
    name: destination/argoproj/argocd
    version: v2.13.x
"#;

#[tokio::test]
async fn the_manifests_of_image_operator_apply_unchanged_and_copy_each_tag_to_its_own_name() -> Result<()> {
    let stage = Stage::new("images-seed").await?;
    let registries = &stage.world.registries;
    add_image(&registries.quay, "nginx/nginx-ingress", "3.7-alpine", "ingress");
    let candidates: Vec<String> = (1..=12).map(|number| format!("v2.13.0-rc{number}")).collect();
    let mut wanted: Vec<&str> = candidates.iter().map(String::as_str).collect();
    wanted.extend(["v2.13.0", "v2.13.1"]);
    for tag in wanted.iter().copied().chain(["v2.14.0", "v2.14.0-rc1", "latest", "v2.13.0-beta1"]) {
        add_image(&registries.quay, "argoproj/argocd", tag, tag);
        add_image(&registries.hub, "source/argoproj/argocd", tag, tag);
    }
    for document in serde_yaml::Deserializer::from_str(MANIFESTS) {
        let mut document = Value::deserialize(document)?;
        // As `kubectl -n images-seed apply` does.
        document["metadata"]["namespace"] = "images-seed".into();
        stage.fleet.apply(&document).await?;
    }
    let of = |name: &str| image("images-seed", name, &json!({}));
    let (quay, hub) = (&registries.quay, &registries.hub);
    let nginx = phase(&stage, &of("nginx-alpine"), "COMPLETED").await?;
    assert_same((quay, "nginx/nginx-ingress"), (hub, "tchoupinax/nginx/nginx-ingress"), &["3.7-alpine"])?;
    ensure!(nginx["history"][0]["performedAt"].is_string() && nginx["nextRunTime"].is_string(), "{nginx}");
    assert_eq!(nginx["lastGenerationSeen"], 1);

    let argocd = phase(&stage, &of("argocd-2-13-rc"), "COMPLETED").await?;
    assert_same((quay, "argoproj/argocd"), (hub, "tchoupinax/argoproj/argocd"), &wanted)?;
    for other in ["v2.13.x", "v2.14.0", "v2.14.0-rc1", "latest", "v2.13.0-beta1"] {
        assert_eq!(digest(hub, "tchoupinax/argoproj/argocd", other), None, "{other}");
    }
    assert_eq!((&argocd["matchedTags"], &argocd["syncedTags"]), (&json!(14), &json!(14)));
    assert_eq!(condition(&argocd, "Ready"), Some(("True", "Succeeded")));
    ensure!(argocd.get("nextRunTime").is_none(), "it is copied once: {argocd}");

    phase(&stage, &of("name"), "COMPLETED").await?;
    let releases = ["v2.13.0", "v2.13.1"];
    assert_same((hub, "source/argoproj/argocd"), (hub, "destination/argoproj/argocd"), &releases)?;
    assert_eq!(digest(hub, "destination/argoproj/argocd", "v2.13.0-rc1"), None);

    let table = stage.fleet.table("/apis/skopeo.io/v1alpha1/namespaces/images-seed/images", false).await?;
    assert_eq!(table[0], ["NAME", "MODE", "SOURCE", "VERSION", "DESTINATION", "PHASE", "LAST-RUN", "AGE"]);
    let row = table.iter().find(|row| row[0] == "nginx-alpine").unwrap();
    assert_eq!(row[1..4], ["Recurrent", "quay.io/nginx/nginx-ingress", "3.7-alpine"]);
    assert_eq!(row[5], "COMPLETED");
    ensure!(stage.world.manager.log()?.contains("SKOPEO_IMAGE"), "a variable without effect is named");
    Ok(())
}
