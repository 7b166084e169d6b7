//! Starts all parts of the registry-manager, and stops them in order.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use hypermirror_api::names;
use hypermirror_api::registry::ScanStatus;
use prometheus_client::registry::Registry;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::sleep;
use tracing::Instrument as _;

use super::agenda::{Job, Limits};
use super::builder::due::Builds;
use super::builder::environment::BuildEnvironment;
use super::builder::settings::BuildRules;
use super::builder::{self, Builders};
use super::clients::Clients;
use super::context::Context;
use super::image::defaults::Defaults;
use super::image::due::Copies;
use super::image::settings::Rules;
use super::image::{self, Images};
use super::import::{self, Imports};
use super::metrics::RegistryManagerMetrics;
use super::options::RegistryManagerOptions;
use super::queue::Queue;
use super::{coverage, inventory_server, scan, watch};
use crate::client::connect::connect;
use crate::management::events::Events;
use crate::management::lease::{Leadership, LeaseSettings};
use crate::process::initial_lists::InitialLists;
use crate::registry::auth::ecr::Ecr;
use crate::registry::credentials::ecr;
use crate::registry::proxy::Proxies;
use crate::telemetry::metrics::{StateLabels, gauge};

/// Scans at once at one host. More would wait for the pace of that host.
const AT_ONE_HOST: usize = 8;
/// The part of all scans that one namespace may have at once.
const PART_OF_NAMESPACE: usize = 8;
/// The same for Images: there are fewer at once, and each takes longer.
const COPIES_OF_NAMESPACE: usize = 2;
/// Bytes of authorities that fit into the ConfigMap of a build, beside its Dockerfile and its mirrors.
const MAX_AUTHORITIES: usize = 512 * 1024;
/// Interval in which gauges are updated.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

/// Runs the registry-manager until SIGTERM or SIGINT. A replica that loses the Lease continues as a standby.
///
/// # Errors
/// If it cannot start.
pub async fn run(options: RegistryManagerOptions) -> Result<()> {
    // Before anything is taken that another replica could need, such as the Lease.
    inventory_server::check(options.inventory_bind_address, options.inventory_certificate_dir.is_some())?;
    let mut registry = Registry::default();
    let metrics = RegistryManagerMetrics::register(&mut registry);
    let client = connect(&metrics.requests).await?;
    let lease = LeaseSettings::new(names::REGISTRY_LEASE, &options.lease)?;
    let metrics_server = options.endpoints.serve_metrics(registry).await?;
    let requests = metrics.requests.clone();
    let connect = async move { connect(&requests).await.map_err(anyhow::Error::from) };
    let leadership = Leadership::compete(connect, &lease).await?;
    let look = InitialLists::default();
    let awaited = look.await_watch("registries");
    let health_server = options.endpoints.serve_probes(look.clone()).await?;
    let environment = Proxies::of_environment(variable)?;
    let ctx = Arc::new(Context {
        events: Events::new(client.clone(), names::REGISTRY_EVENT_CONTROLLER, &lease.identity),
        client,
        term: leadership.term.clone(),
        clients: clients(&options, &environment, &metrics),
        images: images(&options, &environment, &metrics)?,
        builders: builders(&options, &metrics)?.map(Arc::new),
        imports: Imports::of_environment(variable, &options.import_namespaces, &metrics.imports)?,
        metrics,
        inventories: super::inventory::Inventories::default(),
        scans: Arc::new(Queue::new(limits(options.max_concurrent_scans.into()), options.min_scan_interval)),
    });
    let mut tasks = JoinSet::new();
    tasks.spawn(metrics_server);
    tasks.spawn(health_server);
    tasks.spawn(inventory_server::start(&ctx, &options).await?);
    tasks.spawn(watch::follow(ctx.clone(), awaited));
    tasks.spawn(image::follow(ctx.clone()));
    if let Some(builders) = &ctx.builders {
        tasks.spawn(builder::follow(ctx.clone(), builders.clone()));
    }
    ctx.images.log_rules();
    tasks.spawn(keep_house(ctx.clone()));
    let coverage = coverage::start(&ctx, &options, &lease.namespace, &mut tasks)?;
    // Scans share one thread: they wait for registries most of the time, and leave the others to watches and the Lease.
    Box::pin(LocalSet::new().run_until(until_told_to_end(&ctx, &look))).await?;
    tracing::info!("terminating");
    // A scan that ends here is made again by the next leader: its status still has the time of the one before.
    stop_jobs(&ctx);
    coverage.stop().await;
    tasks.shutdown().await;
    drop(ctx);
    leadership.release().await;
    Ok(())
}

fn clients(options: &RegistryManagerOptions, proxies: &Proxies, metrics: &RegistryManagerMetrics) -> Clients {
    let quota = metrics.images.clone();
    Clients::new(proxies.clone(), options.registry_networks.into(), metrics.observer())
        .telling(Arc::new(move |registry, limit| quota.note_limit(registry, limit)))
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn images(options: &RegistryManagerOptions, proxies: &Proxies, metrics: &RegistryManagerMetrics) -> Result<Images> {
    let rules = Rules {
        defaults: Defaults::of_environment(variable)?,
        destinations: options.destination_allow.clone(),
        credentials: options.source_credentials_allow.clone(),
    };
    let identity = ecr::of_environment(variable).map_err(anyhow::Error::msg)?;
    let ecr = identity.map(|(identity, endpoints)| Ecr::new(identity, endpoints, proxies.clone())).transpose()?;
    let all = usize::from(options.max_concurrent_copies);
    let limits = Limits { all, namespace: all.div_ceil(COPIES_OF_NAMESPACE), host: AT_ONE_HOST };
    Ok(Images::new(limits, options.min_scan_interval, rules, ecr.map(Arc::new), metrics.images.clone()))
}

/// Nothing unless it is asked for.
fn builders(options: &RegistryManagerOptions, metrics: &RegistryManagerMetrics) -> Result<Option<Builders>> {
    if !options.image_builder {
        return Ok(None);
    }
    let variable = |name: &str| std::env::var(name).ok();
    let rules = BuildRules {
        environment: BuildEnvironment::of_environment(variable)?,
        credentials: options.build_credentials_allow.clone(),
        authorities: authorities(variable("SSL_CERT_FILE").as_deref())?,
    };
    let limits = Limits { all: AT_ONE_HOST, namespace: COPIES_OF_NAMESPACE, host: AT_ONE_HOST };
    Ok(Some(Builders::new(limits, options.min_scan_interval, rules, metrics.builds.clone())))
}

/// The authorities that this process believes are those that builds believe.
fn authorities(file: Option<&str>) -> Result<Option<String>> {
    let Some(file) = file.filter(|file| !file.is_empty()) else { return Ok(None) };
    let text = std::fs::read_to_string(file).with_context(|| format!("failed to read SSL_CERT_FILE={file}"))?;
    anyhow::ensure!(
        text.len() <= MAX_AUTHORITIES,
        "SSL_CERT_FILE={file} has more than 512 KiB, too many for a ConfigMap"
    );
    Ok(Some(text))
}

fn limits(all: usize) -> Limits {
    Limits { all, namespace: (all / PART_OF_NAMESPACE).max(1), host: AT_ONE_HOST }
}

/// Scans and copies whenever this replica leads, until a signal stops the process.
async fn until_told_to_end(ctx: &Arc<Context>, look: &InitialLists) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let lead = async {
        let mut term = ctx.term.clone();
        look.opened().await;
        tracing::info!("the watch has delivered its first list");
        while term.begun().await {
            ctx.metrics.leader.set(1);
            let lasts = tokio::select! {
                never = work_when_due(ctx) => match never {},
                lasts = term.ended() => lasts,
            };
            ctx.metrics.leader.set(0);
            stop_jobs(ctx);
            if !lasts {
                break;
            }
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

async fn work_when_due(ctx: &Arc<Context>) -> Infallible {
    let scan = |job: Job| {
        let span = tracing::info_span!(parent: None, "scan", registry = %job.object.key);
        scan::run(ctx.clone(), job).instrument(span)
    };
    let copy = |job: Job<Copies>| {
        let span = tracing::info_span!(parent: None, "copy", image = %job.object.key);
        image::run(ctx.clone(), job).instrument(span)
    };
    let builds = async {
        let Some(builders) = &ctx.builders else { return std::future::pending().await };
        let build = |job: Job<Builds>| {
            let span = tracing::info_span!(parent: None, "build", builder = %job.object.key);
            builder::run(ctx.clone(), builders.clone(), job).instrument(span)
        };
        builders.queue.work(build).await
    };
    tokio::select! {
        never = ctx.scans.work(scan) => never,
        never = ctx.images.queue.work(copy) => never,
        never = builds => never,
        never = import::work(ctx.clone()) => never,
    }
}

fn stop_jobs(ctx: &Context) {
    ctx.scans.stop_all();
    ctx.images.queue.stop_all();
    if let Some(builders) = &ctx.builders {
        builders.queue.stop_all();
    }
}

async fn keep_house(ctx: Arc<Context>) {
    loop {
        count(&ctx);
        ctx.images.count();
        if let Some(builders) = &ctx.builders {
            builders.count();
        }
        sleep(HOUSEKEEPING).await;
    }
}

fn count(ctx: &Context) {
    let (mut states, mut tags) = ([("Success", 0), ("Failed", 0), ("Pending", 0), ("Suspended", 0)], 0_i64);
    {
        let agenda = ctx.scans.agenda();
        for (object, known) in agenda.all() {
            let is_suspended = object.spec.as_ref().is_ok_and(|spec| spec.suspend);
            let state = match known.last_status {
                _ if is_suspended => 3,
                Some(ScanStatus::Success) => 0,
                Some(ScanStatus::Failed) => 1,
                None => 2,
            };
            states[state].1 += 1;
            tags = tags.saturating_add(known.tag_count);
        }
        ctx.metrics.running.set(gauge(agenda.running()));
    }
    for (state, count) in states {
        ctx.metrics.registries.get_or_create(&StateLabels { state }).set(gauge(count));
    }
    ctx.metrics.tags.set(tags);
}
