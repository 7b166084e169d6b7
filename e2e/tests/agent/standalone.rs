//! The agent alone: the seed's sample as it is, and values that would break every pull.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use hypermirror_e2e::Crds;
use serde_json::{Value, json};

use super::stage::{Stage, condition};

/// The sample of the seed's README.
const SAMPLE: &str = r#"
apiVersion: config.openshift.io/v1alpha1
kind: ImageMirrorDigestSet
metadata:
  name: quay-mirror
spec:
  mirrors:
  - source: "quay.io"
    mirrors:
    - "mirror-registry.example.com/quay"
    - "backup-mirror.example.com/quay"
    insecureSkipTLSVerify: false
  - source: "registry.redhat.io"
    mirrors:
    - "mirror-registry.example.com/redhat"
    insecureSkipTLSVerify: false
"#;

#[tokio::test]
async fn the_seeds_sample_applies_unchanged() -> Result<()> {
    let stage = Stage::start().await?;
    let node = stage.node("a", &json!({})).await?;
    let file = node.path("sample.yaml");
    std::fs::write(&file, SAMPLE)?;
    stage.guest.apply_file(&file).await?;
    let _agent = node.agent(&["--source=cluster"]).await?;
    let ours = node.wait_for_text("registry.redhat.io").await?;
    for mirror in
        ["mirror-registry.example.com/quay", "backup-mirror.example.com/quay", "mirror-registry.example.com/redhat"]
    {
        ensure!(ours.contains(mirror), "{ours}");
    }
    Ok(())
}

/// Sources and mirrors that no node survives, or that no registry could be.
const HOSTILE: &[(&str, &str)] = &[
    ("quay.io", ""),
    ("quay.io", "/"),
    ("quay.io", "https://m.example/x"),
    ("quay.io", "http://m.example/x"),
    ("quay.io", "docker://m.example/x"),
    ("quay.io", "m.example/UP"),
    ("quay.io", "m.example/x:v1"),
    ("quay.io", "m.example/x/"),
    ("quay.io", "m .example"),
    ("quay.io", "mirror/ns"),
    ("quay.io", "index.docker.io/x"),
    ("quay.io", "m.example/\"\nblocked = true\n[[registry]]\nlocation = \"evil.example"),
    ("quay.io", "m.example/\u{0}"),
    ("quay.io", "\u{feff}m.example"),
    ("", "m.example"),
    ("/", "m.example"),
    ("https://quay.io", "m.example"),
    ("quay.io/", "m.example"),
    ("*.quay.io/x", "m.example"),
    ("*.quay.io:5000", "m.example"),
    ("*", "m.example"),
    ("quay.io@sha256:0", "m.example"),
    ("quay.io\"]\n[registries.search]\nregistries = [\"evil.example\"]", "m.example"),
    ("quay.io\r", "m.example"),
    ("# quay.io", "m.example"),
    ("[::1]:5000", "m.example"),
];

/// One object for each value, in a cluster whose CRD refuses nothing; and one that is good.
#[tokio::test]
async fn no_value_of_an_object_makes_a_node_worse_and_each_is_named() -> Result<()> {
    let kinds = Crds::of_the_fleet()?.only(&["imagedigestmirrorsets.config.openshift.io"])?.relaxed();
    let stage = Stage::with(&kinds).await?;
    let node = stage.node("a", &json!({})).await?;
    node.write("etc/containers/registries.conf", "")?;
    let set = |name: &str, spec: Value| json!({"apiVersion": "config.openshift.io/v1", "kind": "ImageDigestMirrorSet", "metadata": {"name": name}, "spec": spec});
    for (index, (source, mirror)) in HOSTILE.iter().enumerate() {
        let list = json!([{"source": source, "mirrors": [mirror, "other.example/x"]}]);
        stage.guest.apply(&set(&format!("h{index:02}"), json!({"imageDigestMirrors": list}))).await?;
    }
    for (name, spec) in [
        ("s1", json!("a string")),
        ("s2", json!({"imageDigestMirrors": "a string"})),
        ("s3", json!({"imageDigestMirrors": [{"source": ["a", "list"]}]})),
        ("s4", json!({"imageDigestMirrors": [{"source": "quay.io", "mirrors": [1]}]})),
    ] {
        stage.guest.apply(&set(name, spec)).await?;
    }
    stage
        .guest
        .apply(&set("good", json!({"imageDigestMirrors": [{"source": "good.example", "mirrors": ["m.example/good"]}]})))
        .await?;
    let _agent = node.agent(&["--source=cluster"]).await?;
    let ours = node.wait_for_text("m.example/good").await?;
    ensure!(!ours.contains("evil"), "{ours}");

    let all = |status: &Value| status["rejectedCount"].as_u64() >= u64::try_from(HOSTILE.len() + 4).ok();
    let status = stage.wait_for_report("a", "every one of them", all).await?;
    ensure!(condition(&status, "Applied")["status"] == "True", "{status}");
    let named = status["rejected"].to_string();
    for name in
        (0..HOSTILE.len()).map(|index| format!("h{index:02}")).chain(["s1", "s2", "s3", "s4"].map(str::to_owned))
    {
        ensure!(named.contains(&format!("ImageDigestMirrorSet/{name}")), "{name} is not named: {named}");
    }

    // skopeo, with the node's files as its own, still finds an image that nobody's table is about.
    let home = node.path(".config");
    std::fs::create_dir(&home)?;
    std::os::unix::fs::symlink("../etc/containers", home.join("containers"))?;
    let output = Command::new("skopeo")
        .args(["--debug", "inspect", "--raw", "docker://127.0.0.1:1/other/app:v1"])
        .env_clear()
        .env("HOME", node.root.path())
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .output()
        .context("skopeo does not start: apt-get install skopeo, or make test, which installs it")?;
    let text = String::from_utf8_lossy(&output.stderr);
    ensure!(text.contains("Trying to access \\\"127.0.0.1:1/other/app:v1"), "{text}");
    Ok(())
}
