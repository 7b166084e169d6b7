//! Credentials: whose they are, when they are read, and where they never appear.

use anyhow::{Result, ensure};
use base64::Engine as _;
use hypermirror_e2e::MockRegistry;
use hypermirror_e2e::mock::{Fixed, On, Rule, User};
use serde_json::{Value, json};

use super::leaks::never_told;
use super::stage::{Stage, USER, add_image, condition, registry, secret, tags};

const CANARY: &str = "canary-0f3a7c";

#[tokio::test]
async fn a_rotated_secret_works_at_once_and_no_password_appears_anywhere() -> Result<()> {
    let stage = Stage::new("canary").await?;
    let mock = MockRegistry::builder().basic([User::new("robot", CANARY)]).start().await?;
    add_image(&mock, "app", "v1", "one");
    let creds =
        |password: &str| secret("canary", "creds", "Opaque", &json!({"username": "robot", "password": password}));
    stage.fleet.apply(&creds(CANARY)).await?;
    let spec = json!({"credentialsSecret": {"name": "creds"}, "scanConfig": {"retryAttempts": 0}});
    let object = stage.object("app", &mock.url(), "app", &spec);
    stage.fleet.apply(&object).await?;
    let good = stage.wait_for_status(&object, "Success", |status| status["lastScanStatus"] == "Success").await?;

    let rotated = format!("{CANARY}-rotated");
    mock.set_users([User::new("robot", &rotated)]);
    let refused = stage.scan(&object, "refused").await?;
    assert_eq!(condition(&refused, "Stalled"), Some(("True", "Unauthorized")));
    assert_eq!(refused["images"], good["images"]);
    stage.fleet.apply(&creds(&rotated)).await?;
    let back = stage.scan(&object, "back").await?;
    assert_eq!(back["lastScanStatus"], "Success");

    stage.fleet.delete(&creds("")).await?;
    let missing = stage.scan(&object, "missing").await?;
    assert_eq!(condition(&missing, "Stalled"), Some(("True", "SecretMissing")));
    let config = json!({"auths": {mock.host(): {"username": "robot", "password": rotated}}}).to_string();
    let docker = secret("canary", "docker", "kubernetes.io/dockerconfigjson", &json!({".dockerconfigjson": config}));
    stage.fleet.apply(&docker).await?;
    let account = json!({
        "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "puller", "namespace": "canary"},
        "imagePullSecrets": [{"name": "docker"}],
    });
    stage.fleet.apply(&account).await?;
    let by_account = json!({"spec": {"credentialsSecret": null, "serviceAccountName": "puller"}});
    stage.fleet.merge(&object, &by_account).await?;
    stage.wait_for_status(&object, "Success", |status| status["lastScanStatus"] == "Success").await?;

    let encoded = base64::engine::general_purpose::STANDARD.encode(format!("robot:{CANARY}"));
    never_told(&stage, &object, &[CANARY, &encoded]).await?;
    let audit = std::fs::read_to_string(stage.audit.path())?;
    let events: Vec<Value> = audit.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let is_ours = |event: &&Value| event["user"]["username"] == USER && event["objectRef"]["resource"] == "secrets";
    let (builds, reads): (Vec<&Value>, Vec<&Value>) =
        events.iter().filter(is_ours).partition(|event| is_of_build(event));
    ensure!(!reads.is_empty() && reads.iter().all(|event| event["verb"] == "get"), "Secrets are read by name only");
    ensure!(builds.iter().all(|event| ["get", "create"].contains(&event["verb"].as_str().unwrap_or_default())));
    Ok(())
}

#[tokio::test]
async fn the_credential_of_one_namespace_shows_nothing_to_another_one_also_if_a_registry_lies() -> Result<()> {
    let stage = Stage::new("tenant-a").await?;
    stage.add_namespace("tenant-b").await?;
    let mock = MockRegistry::builder().basic([User::new("a", "secret")]).start().await?;
    let digest = add_image(&mock, "private", "v1", "a private image of this length");
    stage.fleet.apply(&secret("tenant-a", "creds", "Opaque", &json!({"username": "a", "password": "secret"}))).await?;
    let own = stage.object("private", &mock.url(), "private", &json!({"credentialsSecret": {"name": "creds"}}));
    stage.fleet.apply(&own).await?;
    let seen = stage.wait_for_status(&own, "Success", |status| status["lastScanStatus"] == "Success").await?;
    ensure!(seen["images"][0]["size"].as_i64() > Some(2), "{seen}");

    // The same repository without the credential, and with a Secret of the other namespace, which is not its own.
    let spec = |url: &str, more: Value| {
        let mut spec =
            json!({"url": url, "repository": "private", "scanInterval": 3_600, "scanConfig": {"retryAttempts": 0}});
        spec.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
        spec
    };
    let anonymous = registry("tenant-b", "anonymous", &spec(&mock.url(), json!({})));
    let borrowed =
        registry("tenant-b", "borrowed", &spec(&mock.url(), json!({"credentialsSecret": {"name": "creds"}})));
    // A registry of their own that names the digest of the private image and cannot show it.
    let lying = MockRegistry::start().await?;
    lying.store().tag("private", "v1", &digest);
    let head = Fixed::status(http::StatusCode::OK)
        .header(http::header::HeaderName::from_static("docker-content-digest"), &digest);
    lying.add(Rule::new(On::any().method(http::Method::HEAD).containing("/manifests/v1"), head));
    let liar = registry("tenant-b", "liar", &spec(&lying.url(), json!({})));
    for object in [&anonymous, &borrowed, &liar] {
        stage.fleet.apply(object).await?;
    }
    for (object, reason) in [(&anonymous, "Unauthorized"), (&borrowed, "SecretMissing")] {
        let status = stage.wait_for_status(object, "Failed", |status| status["lastScanStatus"] == "Failed").await?;
        assert_eq!((condition(&status, "Ready"), tags(&status)), (Some(("False", reason)), vec![]));
    }
    let lied = stage.wait_for_status(&liar, "a result", |status| status["lastScanStatus"].is_string()).await?;
    ensure!(lied["images"][0].get("size").is_none(), "the size is that of somebody else's image: {lied}");
    ensure!(lied["images"][0]["reason"].is_string(), "{lied}");
    Ok(())
}

/// Whether a request is about a Secret where other scenarios have builds, which are given theirs.
fn is_of_build(event: &Value) -> bool {
    event["objectRef"]["namespace"].as_str().is_some_and(|namespace| namespace.starts_with("builders"))
}
