//! Starts all parts of the manager, and stops them in order.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use hypermirror_api::names;
use prometheus_client::registry::Registry;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

use super::context::{Context, Settings};
use super::guests::Guests;
use super::heavy::Heavy;
use super::options::{GuestAgent, ManagerOptions, Mode};
use super::reconcile::work;
use super::reporter::Reporter;
use super::target_lists::TargetLists;
use super::{housekeeping, own_image, watches, webhook};
use crate::client::connect::connect;
use crate::hosted::facts::Flags;
use crate::management::events::Events;
use crate::management::lease::{Leadership, LeaseSettings};
use crate::process::open_files;
use crate::telemetry::metrics::ManagerMetrics;

/// Maximum number of concurrent writes of reports, so that they do not delay writes of targets.
const REPORTERS: usize = 4;
/// Time for current work at shutdown, below the pod's grace period of 30 s.
const DRAIN: Duration = Duration::from_secs(20);

/// Runs the manager until SIGTERM or SIGINT. A replica that loses the Lease continues as a standby.
///
/// # Errors
/// If it cannot start.
pub async fn run(options: ManagerOptions) -> Result<()> {
    // Before the first connection: each guest cluster needs some.
    open_files::raise_limit();
    let mut registry = Registry::default();
    let metrics = ManagerMetrics::register(&mut registry);
    let client = connect(&metrics.requests).await?;
    let lease = LeaseSettings::new(names::LEASE, &options.lease)?;
    let LeaseSettings { namespace, identity, .. } = lease.clone();
    let metrics_server = options.endpoints.serve_metrics(registry).await?;
    let leadership = compete(&metrics, &lease).await?;
    let mut settings = settings(&options, namespace, identity.clone());
    let agent = &mut settings.guests.agent;
    if agent.who == GuestAgent::Managed && agent.image.is_none() {
        agent.image = own_image::find(&client, &settings.namespace).await;
    }
    let heavy = Heavy::start().context("cannot start the threads for heavy work")?;
    let ctx = Context::new(settings, client.clone(), metrics, leadership.term.clone(), heavy);
    let health_server = options.endpoints.serve_probes(ctx.leader.initial_lists.clone()).await?;
    let mut tasks = JoinSet::new();
    tasks.spawn(metrics_server);
    tasks.spawn(health_server);
    webhook::start(&ctx, &options.webhook, &mut tasks).await?;
    let events = Events::new(client, names::EVENT_CONTROLLER, &identity);
    start(&ctx, &options, events, &mut tasks).await;
    until_signal(&ctx).await?;
    tracing::info!("terminating");
    // In this order: nothing new starts, what has started ends, and only then another replica may lead. A Lease that is released
    // earlier would let it write while this one still does.
    ctx.stopping.send_replace(true);
    let _ = tokio::time::timeout(DRAIN, ctx.store.clusters.until_rest()).await;
    tasks.shutdown().await;
    drop(ctx);
    leadership.release().await;
    Ok(())
}

/// Starts watches, workers and everything that runs beside them.
async fn start(ctx: &Arc<Context>, options: &ManagerOptions, events: Events, tasks: &mut JoinSet<()>) {
    // Before the first report, which would otherwise be written twice.
    ctx.admission.detect().await;
    tasks.spawn(ctx.admission.clone().follow());
    watches::start(ctx, tasks);
    let (store, writer, flags) = (ctx.store.clone(), ctx.writer.clone(), Arc::clone(&ctx.settings.flags));
    tasks.spawn(TargetLists { store, writer, flags }.run());
    let reporter = Reporter::new(ctx.store.clone(), ctx.writer.clone(), ctx.leader.clone(), events);
    for _ in 0..REPORTERS {
        tasks.spawn(reporter.clone().run());
    }
    for _ in 0..options.workers {
        tasks.spawn(work(Arc::clone(ctx), reporter.clone()));
    }
    if options.guests.agent.who != GuestAgent::Off {
        tasks.spawn(Guests::new(ctx).run(Arc::clone(ctx)));
    }
    tasks.spawn(housekeeping::run(Arc::clone(ctx)));
}

async fn compete(metrics: &ManagerMetrics, lease: &LeaseSettings) -> Result<Leadership> {
    let requests = metrics.requests.clone();
    Leadership::compete(async move { connect(&requests).await.map_err(anyhow::Error::from) }, lease).await
}

/// The configuration from the flags.
pub(super) fn settings(options: &ManagerOptions, namespace: String, identity: String) -> Settings {
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
            require_proof: options.plan.proof.require_proof.into(),
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

/// Leads whenever this replica holds the Lease, until a signal stops the process.
async fn until_signal(ctx: &Context) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        () = lead(ctx) => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Leads in each term of this replica.
async fn lead(ctx: &Context) {
    let mut term = ctx.leader.term.clone();
    ctx.leader.initial_lists.opened().await;
    ctx.store.complete_first_lists();
    tracing::info!("all watches have delivered their first list");
    // Everything is enqueued at the start of each term: a standby watches all objects but reconciles none, and another leader may
    // have written since its own last term. The memory of a term is dropped at its end, because from then on another one writes.
    while term.begun().await {
        ctx.metrics.leader.set(1);
        ctx.store.begin_lags();
        ctx.store.enqueue_all();
        let ((), lasts) = tokio::join!(ctx.rollouts.begin_term(), term.ended());
        if !lasts {
            break;
        }
        ctx.metrics.leader.set(0);
        ctx.store.end_term();
    }
    std::future::pending::<()>().await;
}
