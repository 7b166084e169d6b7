//! The proxy of tests records every connection that a client tries.

use anyhow::{Context, Result, ensure};
use hypermirror_e2e::MockRegistry;
use hypermirror_e2e::pki::Authority;
use hypermirror_e2e::proxy::{Attempt, Proxy};
use tokio::process::Command;

async fn inspect(proxy: &Proxy, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new("skopeo");
    command.args(["--insecure-policy", "inspect", "--raw"]).args(arguments).kill_on_drop(true);
    command.env("http_proxy", proxy.url()).env("https_proxy", proxy.url()).env("no_proxy", "");
    let output = command.output().await.context("is skopeo installed? hack/setup test")?;
    ensure!(output.status.success(), "skopeo: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_is_seen_wherever_it_wants_to_go() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let authority = Authority::new("proxy")?;
    std::fs::write(directory.path().join("ca.crt"), authority.certificate())?;
    let certificates = format!("--cert-dir={}", directory.path().display());
    let registry = MockRegistry::builder().tls(&authority).name("registry.test").start().await?;
    let plain = MockRegistry::builder().sharing(&registry).start().await?;
    let manifest = r#"{"schemaVersion":2,"manifests":[]}"#;
    {
        let mut store = registry.store();
        let digest = store.add_manifest("a", "application/vnd.oci.image.index.v1+json", manifest);
        store.tag("a", "v1", &digest);
    }
    let proxy = Proxy::start().await?;
    proxy.route("registry.test:443", registry.host().parse()?);
    proxy.route("plain.test:80", plain.host().parse()?);
    assert_eq!(inspect(&proxy, &[&certificates, "docker://registry.test/a:v1"]).await?, manifest);
    assert!(registry.requests().iter().all(|request| request.host == "registry.test" && request.is_tls));
    let to = |host: &str, port, is_tls| Attempt { host: host.to_owned(), port, is_tls, ..Attempt::default() };
    let first = proxy.attempts();
    assert!(
        !first.is_empty() && first.iter().all(|attempt| *attempt == to("registry.test", 443, Some(true))),
        "{first:?}"
    );

    let credentials = ["--tls-verify=false", "--creds=alice:s3cret", "docker://plain.test/a:v1"];
    assert_eq!(inspect(&proxy, &credentials).await?, manifest);
    let then = proxy.attempts().split_off(first.len());
    // It tries TLS first, which is not there; over HTTP the proxy sees what it sends.
    assert!(then.contains(&to("plain.test", 443, None)), "{then:?}");
    assert!(then.iter().any(|attempt| attempt.port == 80 && attempt.is_tls == Some(false)), "{then:?}");

    inspect(&proxy, &["docker://169.254.169.254/a:v1"]).await.unwrap_err();
    assert!(proxy.attempts().iter().any(|attempt| attempt.host == "169.254.169.254"), "{:?}", proxy.attempts());
    Ok(())
}
