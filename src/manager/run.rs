//! Starts all parts of the manager, and stops them in order.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures::FutureExt as _;
use hypermirror_api::{ConditionType, Reason};
use prometheus_client::registry::Registry;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tracing::Instrument as _;

use super::context::{Context, Settings};
use super::guests::Guests;
use super::heavy::Heavy;
use super::options::{GuestAgent, ManagerOptions, Mode};
use super::reconcile::reconcile;
use super::reporter::Reporter;
use super::{admission as admissions, own_image, rollouts, watches, webhook};
use crate::client::connect::connect;
use crate::hosted::facts::Flags;
use crate::management::admission_registration;
use crate::management::apply::WriteError;
use crate::management::events::Events;
use crate::management::lease::{self, Leadership, LeaseSettings};
use crate::process::identity::{own_identity, own_namespace};
use crate::telemetry::metrics::{ManagerMetrics, OutcomeLabels, ReasonLabels, gauge};

/// Maximum number of concurrent writes of reports, so that they do not delay writes of targets.
const REPORTERS: usize = 4;
/// Interval in which gauges and the annotations of the Lease are updated.
const HOUSEKEEPING: Duration = Duration::from_secs(1);
/// Time for current work at shutdown, below the pod's grace period of 30 s.
const DRAIN: Duration = Duration::from_secs(20);

/// Runs the manager until SIGTERM or SIGINT. A replica that loses the Lease continues as a standby.
///
/// # Errors
/// If it cannot start.
pub async fn run(options: ManagerOptions) -> Result<()> {
    let mut registry = Registry::default();
    let metrics = ManagerMetrics::register(&mut registry);
    let client = connect(&metrics.requests).await?;
    let namespace = own_namespace(options.namespace.clone())?;
    let identity = options.identity.clone().unwrap_or_else(own_identity);
    let lease =
        LeaseSettings { namespace: namespace.clone(), identity: identity.clone(), duration: options.lease_duration };
    let metrics_server = options.endpoints.serve_metrics(registry).await?;
    let leadership = compete(&metrics, &lease).await?;
    let mut settings = settings(&options, namespace, identity.clone());
    let agent = &mut settings.guests.agent;
    if agent.who == GuestAgent::Managed && agent.image.is_none() {
        agent.image = own_image::find(&client, &settings.namespace).await;
    }
    let heavy = Heavy::start().context("cannot start the threads for heavy work")?;
    let ctx = Context::new(settings, client.clone(), metrics, leadership.term.clone(), heavy);
    let health_server = options.endpoints.serve_probes(ctx.first_look.clone()).await?;
    let mut tasks = JoinSet::new();
    tasks.spawn(metrics_server);
    tasks.spawn(health_server);
    webhook::start(&ctx, &options.webhook, &mut tasks).await?;
    // Before the first report, which would otherwise be written twice.
    admissions::look(&ctx).await;
    tasks.spawn(admissions::follow(Arc::clone(&ctx)));
    watches::start(&ctx, &mut tasks);
    let reporter = Reporter::default();
    let events = Events::new(client, &identity);
    for _ in 0..REPORTERS {
        tasks.spawn(reporter.clone().run(Arc::clone(&ctx), events.clone()));
    }
    for _ in 0..options.workers {
        tasks.spawn(work(Arc::clone(&ctx), reporter.clone()));
    }
    if options.guests.agent.who != GuestAgent::Off {
        let guests = Guests::new(options.guests.max_concurrent_guests);
        tasks.spawn(guests.run(Arc::clone(&ctx)));
    }
    tasks.spawn(keep_house(Arc::clone(&ctx)));
    until_told_to_end(&ctx).await?;
    tracing::info!("terminating");
    ctx.stopping.send_replace(true);
    let _ = tokio::time::timeout(DRAIN, ctx.queue.until_rest()).await;
    tasks.shutdown().await;
    drop(ctx);
    leadership.release().await;
    Ok(())
}

async fn compete(metrics: &ManagerMetrics, lease: &LeaseSettings) -> Result<Leadership> {
    let requests = metrics.requests.clone();
    Leadership::compete(async move { connect(&requests).await.map_err(anyhow::Error::from) }, lease).await
}

fn settings(options: &ManagerOptions, namespace: String, identity: String) -> Settings {
    Settings {
        mode: options.mode,
        flags: Arc::new(Flags {
            targets: options.plan.targets().into_iter().map(Arc::new).collect(),
            argument: options.plan.registry_overrides_argument.into(),
            observes: options.mode == Mode::Observe,
            has_guests: options.guests.agent.who != GuestAgent::Off,
            triggers_stock: true,
            plans_final_state: false,
            rollouts: options.rollouts.budget(),
            settle: options.settle,
            handover: options.handover,
            namespace: namespace.clone(),
        }),
        selector: options.plan.hosted_cluster_selector.clone(),
        max_removal: options.max_removal,
        rollout_batch: options.rollout_batch,
        olm_catalogs: options.plan.olm_catalogs,
        catalog_patience: options.catalog_patience,
        namespace,
        identity,
        guests: options.guests.clone(),
    }
}

/// Enqueues everything whenever this replica starts to lead, until a signal stops the process.
async fn until_told_to_end(ctx: &Context) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let lead = async {
        let mut term = ctx.term.clone();
        ctx.first_look.opened().await;
        ctx.index().claims.complete();
        tracing::info!("all watches have delivered their first list");
        while term.begun().await {
            ctx.metrics.leader.set(1);
            ctx.queue_all();
            let ((), lasts) = tokio::join!(ctx.count_flights(), term.ended());
            if !lasts {
                break;
            }
            ctx.metrics.leader.set(0);
            ctx.index().end_term();
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = lead => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

async fn work(ctx: Arc<Context>, reporter: Reporter) {
    loop {
        let key = ctx.queue.next().await;
        if *ctx.stopping.borrow() {
            ctx.queue.done(&key, false);
            continue;
        }
        let start = Instant::now();
        // Each reconcile is a separate trace.
        let span = tracing::info_span!(parent: None, "reconcile", cluster = %key);
        // A panic must not affect other hosted clusters.
        let work = AssertUnwindSafe(reconcile(&ctx, &reporter, &key).instrument(span)).catch_unwind();
        let Ok(result) = work.await else {
            tracing::error!(cluster = %key, "the reconcile of a hosted cluster panicked; trying again later");
            ctx.release_failed(&key);
            reporter.submit_failure(&ctx, &key);
            ctx.queue.done(&key, true);
            continue;
        };
        let outcome = result.as_ref().map_or_else(WriteError::category, |()| "ok");
        let took = start.elapsed().as_secs_f64();
        ctx.metrics.reconciles.get_or_create(&OutcomeLabels { outcome }).observe(took);
        if let Err(error) = &result {
            tracing::warn!(cluster = %key, %error, "failed to reconcile a hosted cluster; trying again");
        }
        ctx.queue.done(&key, result.is_err());
    }
}

async fn keep_house(ctx: Arc<Context>) {
    let mut rollouts = rollouts::Housekeeping::default();
    loop {
        tokio::time::sleep(HOUSEKEEPING).await;
        count(&ctx);
        rollouts.settle(&ctx);
        if !ctx.may_write() {
            continue;
        }
        remove_admission(&ctx).await;
        let permission = ctx.memory.borrow().allow_removal.clone();
        let settled = ctx.gate.settle(ctx.members(), permission.as_deref());
        ctx.metrics.removals_held.set(gauge(settled.held));
        if settled.moved {
            ctx.queue_all();
        }
        if settled.used_up
            && let Err(error) = lease::consume_permission(&ctx.client, &ctx.settings.namespace).await
        {
            tracing::warn!(%error, "failed to remove the approval of a removal from the Lease; trying again");
        }
        let kinds = ctx.index().mirrors.to_remember();
        if let Some(kinds) = kinds
            && let Err(error) = lease::remember_kinds(&ctx.client, &ctx.settings.namespace, &kinds).await
        {
            tracing::warn!(%error, "failed to record the mirror kinds on the Lease; trying again");
        }
    }
}

/// Removes the admission first when hypermirror is removed from the fleet, because it would restore removed entries.
async fn remove_admission(ctx: &Context) {
    if !ctx.memory.borrow().uninstall {
        ctx.admission_gone.store(false, Ordering::Relaxed);
    }
    if !ctx.waits_for_admission() || ctx.settings.mode == Mode::Observe {
        return;
    }
    match admission_registration::remove(&ctx.client).await {
        Ok(removed) => {
            tracing::info!(removed = removed.join(", "), "removing hypermirror: removed the admission");
            ctx.admission_gone.store(true, Ordering::Relaxed);
            ctx.queue_all();
        }
        Err(error) => tracing::warn!(%error, "removing hypermirror: failed to remove the admission; trying again"),
    }
}

fn count(ctx: &Context) {
    let index = ctx.index();
    let reports: Vec<_> = index.clusters().filter_map(|(_, cluster)| cluster.report.clone()).collect();
    ctx.metrics.hosted_clusters.set(gauge(index.len()));
    drop(index);
    let targets = reports.iter().flat_map(|report| &report.control_plane.targets);
    ctx.metrics.targets.set(gauge(targets.clone().count()));
    ctx.metrics.targets_up_to_date.set(gauge(targets.filter(|target| target.up_to_date).count()));
    let nodes = reports.iter().filter_map(|report| report.nodes.as_ref());
    ctx.metrics.nodes.set(nodes.clone().map(|nodes| nodes.total).sum());
    ctx.metrics.nodes_applied.set(nodes.map(|nodes| nodes.applied).sum());
    let conditions = reports.iter().flat_map(|report| &report.conditions);
    let synced = conditions.filter(|condition| condition.type_ == ConditionType::GuestSynced.as_str());
    ctx.metrics.guests.clear();
    for reason in synced.filter_map(|condition| Reason::parse(&condition.reason)) {
        ctx.metrics.guests.get_or_create(&ReasonLabels { reason: reason.as_str() }).inc();
    }
}
