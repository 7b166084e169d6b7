//! One job: reads Secrets, scans, writes the status, and records an event if the revision changed.

use std::sync::Arc;
use std::time::Instant;

use hypermirror_api::{Registry, RegistryReason, RegistrySpec};
use jiff::Timestamp;
use serde_json::Value;
use tokio::time::timeout;

use super::access::Access;
use super::agenda::{Finished, Job, Watched};
use super::changes::describe;
use super::context::Context;
use super::due::Work;
use super::queue::Ending;
use super::settings::Settings;
use super::status::{self, Known, Report, ScanFailure, after, judged};
use super::write;
use crate::management::events::About;
use crate::registry::Target;
use crate::registry::scan::inventory::Inventory;
use crate::registry::scan::scan;

/// Does a job.
pub async fn run(ctx: Arc<Context>, job: Job) {
    let mut ending = Ending::new(ctx.scans.clone(), &job);
    let mut change = None;
    let (patch, known) = match job.work {
        Work::Settle => status::suspended(&job.known, job.object.generation, Timestamp::now()),
        Work::Scan => scanned(&ctx, &job, &mut ending.finished, &mut change).await,
    };
    ending.finished.known = Some(known.clone());
    ending.finished.version = write::status::<Registry, _>(&ctx.client, &job.object, patch, || ctx.term.lasts()).await;
    let is_new = known.revision != job.known.revision && ending.finished.version.is_some();
    if let Some(change) = change.filter(|_| is_new) {
        announce(&ctx, &job, &change).await;
    }
}

/// Scans and makes the status.
async fn scanned(ctx: &Context, job: &Job, finished: &mut Finished, change: &mut Option<String>) -> (Value, Known) {
    let begun = Instant::now();
    let object = &job.object;
    let settings = settings(object);
    let result = match (&settings, &object.spec) {
        (Ok((settings, _)), Ok(spec)) => found(ctx, object, settings, spec).await,
        (Err(failure), _) => Err(failure.clone()),
        (_, Err(error)) => Err(ScanFailure::new(RegistryReason::InvalidSpec, error.clone())),
    };
    let outcome = result.as_ref().map_or_else(|failure| failure.reason, |_| RegistryReason::Succeeded);
    ctx.metrics.count_scan(outcome.as_str(), result.is_ok(), begun.elapsed().as_secs_f64());
    if let Err(failure) = &result {
        tracing::info!(registry = %object.key, reason = outcome.as_str(), message = failure.message, "a scan failed");
        finished.throttled_until = failure.throttled_until;
        let is_unreachable = matches!(outcome, RegistryReason::Unreachable | RegistryReason::Timeout);
        finished.unreachable = object.hosts.first().filter(|_| is_unreachable).cloned();
    }
    let valid = settings.as_ref().ok();
    let report = Report {
        at: Timestamp::now(),
        generation: object.generation,
        scan_now: object.scan_now.as_deref(),
        canonical_name: valid.map(|(_, name)| name.as_str()),
        warning: valid.and_then(|(settings, _)| settings.warning),
        result: result.as_ref(),
    };
    let answer = after(&job.known, report);
    if let Ok(inventory) = result {
        let before = ctx.inventories.get(&object.key, &object.uid);
        *change = Some(describe(before.as_deref(), &inventory));
        ctx.inventories.put(&object.key, &object.uid, Arc::new(inventory));
    }
    answer
}

fn settings(object: &Watched) -> Result<(Settings, String), ScanFailure> {
    let refused = |message: String| ScanFailure::new(RegistryReason::InvalidSpec, message);
    let spec = object.spec.as_ref().map_err(|error| refused(error.clone()))?;
    let settings = Settings::of(spec).map_err(|error| refused(error.to_string()))?;
    let name = settings.repository.to_string();
    Ok((settings, name))
}

async fn found(
    ctx: &Context,
    object: &Watched,
    settings: &Settings,
    spec: &RegistrySpec,
) -> Result<Inventory, ScanFailure> {
    let access = Access::read(&ctx.client, &object.key.namespace, spec.into(), ctx.clients.narrowest()).await?;
    let repository = &settings.repository;
    let no_credential =
        |cause: crate::registry::Cause| ScanFailure::new(RegistryReason::CredentialsUnavailable, cause.to_string());
    let credential = access.keychain.credential(repository).await.map_err(no_credential)?;
    let reader = ctx.clients.reader(&object.key, &access, &credential, spec.insecure_skip_verify, settings.policy)?;
    let target = Target { repository, credential: &credential };
    let scan = scan(&reader.client, target, &reader.contents, &settings.options, |_| {});
    let Ok(inventory) = timeout(settings.timeout, scan).await else {
        let message = format!("the scan did not end within {} s (scanConfig.timeout)", settings.timeout.as_secs());
        return Err(ScanFailure::new(RegistryReason::Timeout, message));
    };
    for notice in reader.client.take_notices() {
        tracing::info!(registry = %object.key, notice, "a registry announces something");
    }
    judged(inventory.map_err(|error| ScanFailure::from(&error))?)
}

async fn announce(ctx: &Context, job: &Job, described: &str) {
    let object = &job.object;
    let about = About {
        api_version: "registry.kubecontroller.io/v1alpha1",
        kind: "Registry",
        namespace: &object.key.namespace,
        name: &object.key.name,
        uid: &object.uid,
    };
    ctx.events.record(&about, true, "RevisionChanged", described, None).await;
}
