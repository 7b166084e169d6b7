//! Two replicas and one Lease, and inventories for others than this machine.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use hypermirror_e2e::fleet::{Fleet, SOON, SYSTEM};
use hypermirror_e2e::mock::{Answer, On, Rule};
use hypermirror_e2e::pki::Authority;
use hypermirror_e2e::{Cluster, Credentials, MockRegistry, Process, Testbed, endpoint, eventually};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::stage::{SERVICE_ACCOUNT, add_image, install, launch, registry};

const LEASE: &str = "hypermirror-registry-manager";

/// A process, and the address of its metrics.
async fn start(cluster: &Cluster, name: &str, more: &[String]) -> Result<(Process, String)> {
    let launch = launch(cluster, name).await?.arg(format!("--identity={name}"));
    let launch = if more.is_empty() { launch.arg("--inventory-bind-address=127.0.0.1:0") } else { launch.args(more) };
    let mut process = launch.spawn()?;
    let metrics = process.wait_for_log_field("metrics server listening", "address", SOON).await?;
    let health = process.wait_for_log_field("health server listening", "address", SOON).await?;
    process.wait_until_ready(&format!("http://{health}/readyz"), SOON).await?;
    Ok((process, format!("http://{metrics}/metrics")))
}

async fn leads(metrics: &str, expected: u8) -> Result<()> {
    eventually(SOON, &format!("hypermirror_leader is {expected}"), async || {
        let body = endpoint::get(metrics).await?.body;
        Ok(body.lines().any(|line| line == format!("hypermirror_leader {expected}")).then_some(()))
    })
    .await
}

async fn holder(cluster: &Cluster) -> Result<Option<String>> {
    let leases: Api<Lease> = Api::namespaced(cluster.admin_client().await?, SYSTEM);
    let holder = leases.get(LEASE).await?.spec.and_then(|spec| spec.holder_identity);
    Ok(holder.filter(|holder| !holder.is_empty()))
}

#[tokio::test]
async fn a_replica_waits_for_the_lease_and_one_that_is_told_to_end_in_a_scan_releases_it() -> Result<()> {
    let bed = Testbed::builder().start().await?;
    let cluster = bed.management();
    install(cluster).await?;
    let fleet = Fleet { client: cluster.admin_client().await? };
    let mock = MockRegistry::start().await?;
    add_image(&mock, "app", "v1", "one");
    mock.add(Rule::new(On::any(), Answer::Silence));
    let (mut first, metrics) = start(cluster, "first", &[]).await?;
    leads(&metrics, 1).await?;
    let (mut second, metrics) = start(cluster, "second", &[]).await?;
    let spec = json!({"url": mock.url(), "repository": "app", "scanInterval": 3_600});
    fleet.apply(&registry("default", "app", &spec)).await?;
    eventually(SOON, "a scan has begun", async || Ok((!mock.lines().is_empty()).then_some(()))).await?;
    leads(&metrics, 0).await?;
    ensure!(second.stop().await?.success(), "a replica that waits ends in time");
    assert_eq!(holder(cluster).await?.as_deref(), Some("first"));
    ensure!(first.stop().await?.success(), "a scan does not hold the end up");
    assert_eq!(holder(cluster).await?, None);
    assert_eq!(mock.lines().len(), 1, "only the leader has asked: {:?}", mock.lines());

    mock.clear_rules();
    let authority = Authority::new("inventories")?;
    let directory = tempfile::tempdir()?;
    let certificate = authority.server(&["127.0.0.1"])?;
    std::fs::write(directory.path().join("tls.crt"), certificate.certificate)?;
    std::fs::write(directory.path().join("tls.key"), certificate.key)?;
    let anywhere = "--inventory-bind-address=0.0.0.0:0".to_owned();
    let mut open = launch(cluster, "open").await?.arg(&anywhere).spawn()?;
    ensure!(!open.ended(SOON).await?.success(), "tokens would cross the network in the clear");
    ensure!(open.log()?.contains("set --inventory-certificate-dir"), "{}", open.log()?);
    let certificates = format!("--inventory-certificate-dir={}", directory.path().display());
    let (mut third, metrics) = start(cluster, "third", &[anywhere, certificates]).await?;
    leads(&metrics, 1).await?;
    let address = third.wait_for_log_field("inventory server listening", "address", SOON).await?;
    let port = address.rsplit(':').next().context("no port")?.parse()?;
    let Credentials::Token(token) = cluster.token(SYSTEM, SERVICE_ACCOUNT).await? else { anyhow::bail!("no token") };
    eventually(SOON, "the next leader has an inventory", async || {
        let answer = get(port, &authority, Some(&token)).await?;
        ensure!(answer.starts_with("HTTP/1.0 200") && answer.contains("\"tag\":\"v1\""), "{answer}");
        Ok(Some(()))
    })
    .await?;
    let refused = get(port, &authority, None).await?;
    ensure!(refused.starts_with("HTTP/1.0 401"), "{refused}");
    ensure!(get(port, &Authority::new("another")?, Some(&token)).await.is_err());
    Ok(())
}

/// What the inventory server answers over TLS.
async fn get(port: u16, authority: &Authority, token: Option<&str>) -> Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.certificate().as_bytes())?)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let connector = TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth()));
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let mut stream = connector.connect(ServerName::try_from("127.0.0.1")?, stream).await?;
    let authorization = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    let request = format!(
        "GET /v1/namespaces/default/registries/app/inventory HTTP/1.0\r\nHost: 127.0.0.1\r\n{authorization}\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    // A server may close without TLS's own end.
    _ = stream.read_to_end(&mut answer).await;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
