//! The real registry that scenarios pull from.

use std::time::Duration;

use anyhow::Result;
use hypermirror_e2e::{endpoint, eventually, registry::Registry};

#[tokio::test]
async fn a_registry_answers_and_tells_what_it_was_asked() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let registry = Registry::start(directory.path()).await?;
    let answer = endpoint::get(&format!("http://{}/v2/q/app/tags/list", registry.host())).await?;
    assert_eq!(answer.status, 404, "{answer:?}");
    eventually(Duration::from_secs(10), "the request is in the access log", async || {
        Ok((registry.requests("GET /v2/q/app/tags/list")?.len() == 1).then_some(()))
    })
    .await?;
    registry.stop().await
}
