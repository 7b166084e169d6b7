//! Whole inventories, for those who may read the Registry.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hypermirror_e2e::{Credentials, MockRegistry, eventually};
use serde_json::{Value, json};

use super::stage::{Stage, add_image};

/// More than a status holds.
const TAGS: usize = 20_000;
/// For a HEAD for each tag, on a machine on which other scenarios run.
const LIMIT: Duration = Duration::from_mins(3);

fn get(address: &str, path: &str, token: Option<&str>) -> Result<(u16, Value)> {
    let mut stream = TcpStream::connect(address)?;
    let authorization = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n{authorization}\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let (head, body) = text.split_once("\r\n\r\n").context("no HTTP")?;
    let code = head.split(' ').nth(1).and_then(|code| code.parse().ok()).context("no status")?;
    Ok((code, serde_json::from_str(body).unwrap_or_default()))
}

#[tokio::test]
async fn a_status_has_a_budget_and_the_whole_inventory_is_paged_for_those_who_may_read_it() -> Result<()> {
    let stage = Stage::new("large").await?;
    let mock = MockRegistry::start().await?;
    let digest = add_image(&mock, "app", "v1.0", "one");
    for number in 1..TAGS {
        mock.store().tag("app", &format!("v1.{number}"), &digest);
    }
    let object = stage.object("app", &mock.url(), "app", &json!({}));
    stage.fleet.apply(&object).await?;
    let status = eventually(LIMIT, "all tags are scanned", async || {
        let status = stage.status(&object).await?;
        Ok((status["lastScanStatus"] == "Success").then_some(status))
    })
    .await?;
    ensure!(status.to_string().len() < 256 * 1024, "{} bytes", status.to_string().len());
    assert_eq!((&status["imagesTruncated"], &status["lastScanResult"]["tagCount"]), (&json!(true), &json!(TAGS)));
    assert_eq!(status["images"][0]["tag"], format!("v1.{}", TAGS - 1), "the newest first");
    let reads = mock.lines().iter().filter(|line| line.starts_with("GET") && line.contains("/manifests/")).count();
    assert_eq!(reads, 1, "one digest is read once");
    // Of the newest tags only: a scan of all of them takes seconds.
    let few = stage.object("few", &mock.url(), "app", &json!({"tagFilter": {"limit": 5}}));
    stage.fleet.apply(&few).await?;
    stage.wait_for_status(&few, "Success", |status| status["lastScanStatus"] == "Success").await?;
    let again = mock.lines().iter().filter(|line| line.starts_with("GET") && line.contains("/manifests/")).count();
    assert_eq!(again, reads, "a digest that is known is not read again");

    let address = &stage.world.inventories;
    let base = "/v1/namespaces/large/registries/app/inventory";
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "reader", "namespace": "large"},
        "rules": [{"apiGroups": ["registry.kubecontroller.io"], "resources": ["registries"], "verbs": ["get"]}],
    });
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "reader", "namespace": "large"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
        "subjects": [{"kind": "ServiceAccount", "name": "reader", "namespace": "large"}],
    });
    stage.fleet.apply(&role).await?;
    stage.fleet.apply(&binding).await?;
    let token = async |name: &str| match stage.cluster.token("large", name).await? {
        Credentials::Token(token) => Ok(token),
        Credentials::Certificate(_) => anyhow::bail!("no token"),
    };
    let (reader, other) = (token("reader").await?, token("other").await?);
    assert_eq!(get(address, base, None)?.0, 401);
    assert_eq!(get(address, base, Some("nonsense"))?.0, 401);
    assert_eq!(get(address, base, Some(&other))?.0, 403);
    let elsewhere = "/v1/namespaces/seed/registries/nginx/inventory";
    assert_eq!(get(address, elsewhere, Some(&reader))?.0, 403);
    let (mut found, mut next) = (Vec::new(), String::new());
    loop {
        let (code, page) = get(address, &format!("{base}?limit=5000&continue={next}"), Some(&reader))?;
        assert_eq!((code, &page["tagCount"]), (200, &json!(TAGS)));
        found.extend(page["tags"].as_array().unwrap().iter().map(|tag| tag["tag"].clone()));
        match page["continue"].as_str() {
            Some(token) => next = token.replace(':', "%3A").replace('@', "%40"),
            None => break,
        }
    }
    assert_eq!((found.len(), &found[TAGS - 1]), (TAGS, &json!("v1.0")));
    Ok(())
}
