//! A storm of 410: old revisions are compacted away and the API server loses its memory of them, so that each watch has to list
//! anew.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::{Testbed, endpoint};

/// Removes all revisions of etcd before the current one.
///
/// # Errors
///
/// If etcd refuses it.
pub async fn compact(bed: &Testbed) -> Result<i64> {
    // The smallest key, in base64: a range that finds nothing, for the revision in its header.
    let range = post(bed, "kv/range", &json!({"key": "AA=="})).await?;
    let revision = range["header"]["revision"].as_str().context("no revision")?.parse()?;
    post(bed, "kv/compaction", &json!({"revision": revision, "physical": true})).await?;
    Ok(revision)
}

/// Compacts, and kills or stops the API server in between, whose successor knows no event from before its start. Watches that are
/// continued from an earlier revision get 410.
///
/// # Errors
///
/// If a server refuses it or does not come back.
pub async fn expire_watches(bed: &Testbed) -> Result<()> {
    compact(bed).await?;
    bed.management().stop_api_server().await?;
    bed.management().start_api_server().await?;
    compact(bed).await.map(|_| ())
}

async fn post(bed: &Testbed, path: &str, body: &Value) -> Result<Value> {
    let url = format!("{}/v3/{path}", bed.etcd_url());
    let answer = endpoint::post(&url, &body.to_string()).await?;
    ensure!(answer.status == 200, "{url}: {} {}", answer.status, answer.body);
    Ok(serde_json::from_str(&answer.body)?)
}
