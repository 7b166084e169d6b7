//! Registries with an authority of their own that want a certificate of each client, behind a proxy with a password.

use anyhow::{Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hypermirror_e2e::MockRegistry;
use hypermirror_e2e::pki::{Authority, Validity};
use hypermirror_e2e::proxy::{Attempt, Proxy};
use serde_json::json;

use super::leaks::never_told;
use super::stage::{Stage, add_image, secret, tags};

const NAME: &str = "secure.example";
const PASSWORD: &str = "canary-51d0e4";

async fn serve(authority: &Authority, clients: &Authority) -> Result<MockRegistry> {
    let registry = MockRegistry::builder().tls(authority).clients(clients).name(NAME).start().await?;
    add_image(&registry, "app", "v1", "one");
    Ok(registry)
}

#[tokio::test]
async fn a_client_certificate_and_a_proxy_are_used_and_another_authority_is_believed_without_restart() -> Result<()> {
    let stage = Stage::new("secure").await?;
    let (clients, first, second) = (Authority::new("clients")?, Authority::new("first")?, Authority::new("second")?);
    let (proxy, target) = (Proxy::start().await?, format!("{NAME}:443"));
    let before = serve(&first, &clients).await?;
    proxy.route(&target, before.host().parse()?);
    let robot = clients.client("robot", None, Validity::Current)?;
    // Created anew: what an update leaves out would stay.
    let replace = async |authority: &Authority, has_certificate: bool| -> Result<()> {
        let mut data = json!({"ca.crt": authority.certificate()});
        if has_certificate {
            data["tls.crt"] = robot.certificate.as_str().into();
            data["tls.key"] = robot.key.as_str().into();
        }
        let secret = secret("secure", "certificates", "Opaque", &data);
        stage.fleet.delete(&secret).await.ok();
        stage.fleet.apply(&secret).await.map(|_| ())
    };
    replace(&first, true).await?;
    let data = json!({"address": proxy.url(), "username": "robot", "password": PASSWORD});
    stage.fleet.apply(&secret("secure", "proxy", "Opaque", &data)).await?;
    let spec = json!({
        "certSecretRef": {"name": "certificates"}, "proxySecretRef": {"name": "proxy"}, "scanConfig": {"retryAttempts": 0},
    });
    let object = stage.object("app", &format!("https://{NAME}"), "app", &spec);
    stage.fleet.apply(&object).await?;
    let good = stage.wait_for_status(&object, "Success", |status| status["lastScanStatus"] == "Success").await?;
    let credentials = STANDARD.encode(format!("robot:{PASSWORD}"));
    let attempts = proxy.attempts();
    let is_right = |attempt: &Attempt| {
        let is_tunnel = attempt.host == NAME && attempt.is_tls == Some(true) && !attempt.has_credentials;
        is_tunnel && attempt.proxy_authorization == format!("Basic {credentials}")
    };
    ensure!(!attempts.is_empty() && attempts.iter().all(is_right), "{attempts:?}");
    ensure!(before.requests().iter().all(|request| request.header("proxy-authorization").is_empty()));

    let failed = async |value: &str| -> Result<()> {
        let status = stage.scan(&object, value).await?;
        assert_eq!((&status["lastScanStatus"], tags(&status)), (&json!("Failed"), vec!["v1"]), "{value}: {status}");
        Ok(())
    };
    replace(&first, false).await?;
    failed("without-a-certificate").await?;
    // The registry comes back with a certificate of another authority, which nobody has named.
    let after = serve(&second, &clients).await?;
    proxy.route(&target, after.host().parse()?);
    drop(before);
    replace(&first, true).await?;
    failed("unknown-authority").await?;
    ensure!(after.requests().is_empty(), "a registry with an unknown certificate is asked: {:?}", after.lines());
    replace(&second, true).await?;
    let rotated = stage.scan(&object, "rotated").await?;
    assert_eq!((&rotated["lastScanStatus"], &rotated["images"]), (&json!("Success"), &good["images"]));
    let key = robot.key.lines().nth(1).unwrap();
    never_told(&stage, &object, &[PASSWORD, &credentials, key]).await
}
