//! The bare client, which sends prepared patches.

use anyhow::{Context, Result, ensure};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use hypermirror_e2e::audit::Event;
use kube::Client;
use serde_json::Value;

use crate::fleet::generation;

/// One patch, ready to be sent.
#[derive(Clone)]
pub struct BarePatch {
    path: String,
    body: Value,
}

impl BarePatch {
    /// A patch that the manager sent for an edit, as a template for later edits.
    ///
    /// # Errors
    ///
    /// If the audit log does not have its body.
    pub fn of(event: &Event) -> Result<Self> {
        let path = event.uri.split('?').next().unwrap_or_default().to_owned();
        Ok(Self { path, body: event.request_object.clone().context("a patch without a body")? })
    }

    /// The same patch for the next edit, with the next values and guards.
    ///
    /// # Errors
    ///
    /// If it has no generation as a guard.
    pub fn next(&self, edit: usize) -> Result<Self> {
        let text = self.body.to_string();
        // The order matters: the values of the last edit are the current ones of the next edit.
        let text = text.replace(&generation(edit), &generation(edit + 1));
        let text = text.replace(&generation(edit - 1), &generation(edit));
        let mut body: Value = serde_json::from_str(&text)?;
        for operation in body.as_array_mut().into_iter().flatten() {
            if operation["path"] == "/metadata/generation" {
                operation["value"] = (operation["value"].as_i64().context("a generation")? + 1).into();
            }
        }
        Ok(Self { path: self.path.clone(), body })
    }
}

/// Sends all patches, with this number of concurrent requests.
///
/// # Errors
///
/// If there are none, or one is rejected.
pub async fn send(client: &Client, patches: &[BarePatch], at_once: usize) -> Result<()> {
    ensure!(!patches.is_empty(), "nothing to send");
    let requests = patches.iter().map(|patch| {
        let request = http::Request::patch(&patch.path);
        let request = request.header(http::header::CONTENT_TYPE, "application/json-patch+json");
        Ok(request.body(serde_json::to_vec(&patch.body)?)?)
    });
    // Create all requests first, because only sending is measured.
    let requests: Vec<http::Request<Vec<u8>>> = requests.collect::<Result<_>>()?;
    let one = |request: http::Request<Vec<u8>>| async move {
        let path = request.uri().to_string();
        client.request_text(request).await.with_context(|| format!("patch {path}"))?;
        Ok::<_, anyhow::Error>(())
    };
    stream::iter(requests).map(one).buffer_unordered(at_once).try_collect::<Vec<_>>().await?;
    Ok(())
}
