//! The ConfigMaps that nodes boot with, in the control-plane namespace: written when a set changed, and taken away.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use hypermirror_api::Reason;
use hypermirror_api::report::BootReport;
use serde_json::Value;

use super::case::Case;
use super::context::Context;
use crate::hosted::boot::{self, config_map, config_map_name};
use crate::hosted::delivery::Delivery;
use crate::hosted::observed::short_digest;
use crate::hosted::report::SourceTrouble;
use crate::management::apply::WriteError;
use crate::management::index::boots::{Boot, Boots};

/// Brings the ConfigMaps to what is wanted; what could not be written is a trouble of its NodePool.
///
/// Stock HyperShift replaces nodes at each change of one: so it waits for further edits (`--rollout-batch`).
pub(super) async fn deliver(ctx: &Context, case: &mut Case) {
    let mut boots = ctx.index().cluster(&case.key).map(|cluster| cluster.boots.clone()).unwrap_or_default();
    for pool in concerned(ctx, case, &boots) {
        let wanted = match wanted(ctx, case, &pool) {
            Wanted::Left => continue,
            Wanted::Absent => None,
            Wanted::Text(text) => Some(text),
            Wanted::Broken(message) => {
                trouble(case, &pool, Reason::InvalidEntries, message);
                continue;
            }
        };
        if let Err(error) = bring(ctx, case, &mut boots, &pool, wanted.as_deref()).await {
            let hint = "install manifests/overlays/rollout-delivery, which has the required RBAC";
            trouble(case, &pool, Reason::WriteFailed, format!("{error} ({hint})"));
            ctx.queue.add_after(case.key.clone(), Duration::from_secs(30));
        }
    }
    if let Some(cluster) = ctx.index().cluster_mut(&case.key) {
        cluster.boots = boots;
    }
}

fn trouble(case: &mut Case, pool: &str, reason: Reason, message: String) {
    case.pools.entry(pool.to_owned()).or_default().troubles.push(SourceTrouble { reason, message });
}

/// NodePools that are to have a ConfigMap, or may have one.
fn concerned(ctx: &Context, case: &Case, boots: &Boots) -> BTreeSet<String> {
    let index = ctx.index();
    let report = index.cluster(&case.key).and_then(|cluster| cluster.report.clone());
    let told = report.iter().flat_map(|report| &report.boot).map(|boot| boot.node_pool.clone());
    let delivered = index
        .guests
        .pools(&case.key)
        .into_iter()
        .filter(|(_, pool)| Delivery::of_pool(Delivery::of(&*case.object), pool.delivery).is_by_rollout());
    delivered.map(|(name, _)| name).chain(told).chain(boots.keys().cloned()).collect()
}

enum Wanted {
    /// What stands stays: something of it cannot be read now.
    Left,
    Absent,
    Text(String),
    Broken(String),
}

fn wanted(ctx: &Context, case: &Case, name: &str) -> Wanted {
    let pool = ctx.index().guests.pools(&case.key).remove(name);
    let delivery = pool.map(|pool| Delivery::of_pool(Delivery::of(&*case.object), pool.delivery));
    if case.leaving || !delivery.is_some_and(Delivery::is_by_rollout) {
        return Wanted::Absent;
    }
    let of_pool = case.pools.get(name).cloned().unwrap_or_default();
    if case.own.is_lost || !of_pool.lost.is_empty() {
        return Wanted::Left;
    }
    match ctx.heavy.compute(&case.load, || boot::of_pool(&case.own, &of_pool)) {
        Ok(Some(text)) => Wanted::Text(text),
        Ok(None) => Wanted::Absent,
        Err(error) => Wanted::Broken(format!("failed to write the file that nodes boot with: {error}")),
    }
}

async fn bring(
    ctx: &Context,
    case: &Case,
    boots: &mut Boots,
    pool: &str,
    text: Option<&str>,
) -> Result<(), WriteError> {
    let namespace = case.key.control_plane_namespace();
    let object = text.map(|text| config_map(&namespace, pool, text));
    let wanted = object.as_ref().map(digest);
    let now = Instant::now();
    let boot = boots.entry(pool.to_owned()).or_insert(Boot { wanted: None, since: now, stands: None, looked: now });
    if boot.wanted != wanted {
        (boot.wanted, boot.since) = (wanted.clone(), now);
    }
    // Nobody tells when somebody edits or deletes it.
    let interval = ctx.settings.guests.guest_interval;
    let known = boot.stands.clone().filter(|_| boot.looked.elapsed() < interval);
    let stands = if let Some(stands) = known {
        stands
    } else {
        boot.looked = now;
        ctx.writer.read_config_map(&namespace, &config_map_name(pool)).await?.as_ref().map(digest)
    };
    boot.stands = Some(stands.clone());
    if stands == wanted {
        if wanted.is_some() {
            ctx.queue.add_after(case.key.clone(), interval);
        }
        return Ok(());
    }
    if let Some(left) = ctx.settings.rollout_batch.checked_sub(boot.since.elapsed()).filter(|left| !left.is_zero()) {
        ctx.queue.add_after(case.key.clone(), left);
        return Ok(());
    }
    boot.stands = None; // nobody knows how a failed write ended
    match &object {
        Some(object) => ctx.writer.apply_config_map(object).await?,
        None => ctx.writer.delete_config_map(&namespace, &config_map_name(pool)).await?,
    }
    boot.stands = Some(wanted);
    ctx.queue.add_after(case.key.clone(), interval);
    Ok(())
}

/// What of a ConfigMap reaches nodes.
fn digest(object: &Value) -> String {
    short_digest(&format!("{}{}", object["data"]["config"], object["metadata"]["labels"]))
}

/// What stands, for the report, by NodePool; of what was not looked at yet what the last one says.
pub(super) fn reports(boots: &Boots, before: &[BootReport]) -> Vec<BootReport> {
    let is_known = |pool: &str| boots.get(pool).is_some_and(|boot| boot.stands.is_some());
    let report = |(pool, boot): (&String, &Boot)| {
        let digest = boot.stands.clone()??;
        Some(BootReport { node_pool: pool.clone(), config_map: config_map_name(pool), digest })
    };
    let unknown = before.iter().filter(|before| !is_known(&before.node_pool)).cloned();
    let mut reports: Vec<BootReport> = boots.iter().filter_map(report).chain(unknown).collect();
    reports.sort_by(|a, b| a.node_pool.cmp(&b.node_pool));
    reports
}
