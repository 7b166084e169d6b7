//! Where a secret could appear: everything that the process tells anybody.

use anyhow::{Context as _, Result, ensure};
use hypermirror_e2e::fleet::SOON;
use hypermirror_e2e::{endpoint, eventually};
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::ListParams;
use serde_json::Value;

use super::stage::{Stage, USER};

/// None of these texts is in an argument, the environment, the log, an event, the status, a metric, the audit log or a trace.
pub async fn never_told(stage: &Stage, object: &Value, secrets: &[&str]) -> Result<()> {
    for (place, text) in places(stage, object).await? {
        ensure!(!text.is_empty(), "{place} is empty");
        for secret in secrets {
            ensure!(secret.len() > 8 && !text.contains(secret), "{place} has {secret}");
        }
    }
    Ok(())
}

async fn places(stage: &Stage, object: &Value) -> Result<Vec<(&'static str, String)>> {
    let mut places = vec![("status", stage.status(object).await?.to_string())];
    places.push(("metrics", endpoint::get(&stage.world.metrics).await?.body));
    places.push(("log", stage.world.manager.log()?));
    let id = stage.world.manager.handle().id();
    for name in ["cmdline", "environ"] {
        let bytes = std::fs::read(format!("/proc/{id}/{name}")).context(name)?;
        places.push((name, String::from_utf8_lossy(&bytes).into_owned()));
    }
    let events: Api<Event> = Api::namespaced(stage.fleet.client.clone(), &stage.namespace);
    let events = events.list(&ListParams::default()).await?;
    places.push(("events", serde_json::to_string(&events)?));
    stage.audit.mark().await?;
    let audit = std::fs::read_to_string(stage.audit.path())?;
    places.push(("audit log", audit.lines().filter(|line| line.contains(USER)).collect()));
    let key = format!("{}/{}", stage.namespace, object["metadata"]["name"].as_str().context("no name")?);
    let traces = eventually(SOON, &format!("there are traces of {key}"), async || {
        let text = stage.world.traces.text();
        Ok(text.contains(&key).then_some(text))
    })
    .await?;
    places.push(("traces", traces));
    Ok(places)
}
