//! Starts coverage: watches on the runtime of the process, checks on a thread of their own, so that they delay no scan.

use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use anyhow::{Context as _, Result};
use hypermirror_api::names::MIRROR_COVERAGES_CRD;
use jiff::Timestamp;
use prometheus_client::registry::Registry;
use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore, oneshot};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::sleep_until;

use super::super::context::Context as Process;
use super::super::options::RegistryManagerOptions;
use super::check;
use super::clients::ClientPool;
use super::context::Context;
use super::fill::{Filler, fill_when_due};
use super::round::Round;
use super::schedule::Schedule;
use super::watch::{CoverageWatch, take_changes};
use crate::client::optional_kind::follow;
use crate::fleet::rollout::Budget;
use crate::management::lease::Term;
use crate::manager::heavy::Heavy;
use crate::manager::store::Store;
use crate::manager::watches::Declarations;
use crate::process::initial_lists::InitialLists;
use crate::registry::proxy::Proxies;
use crate::telemetry::metrics::ManagerMetrics;

/// Hosted clusters that are checked at the same time. Their images are asked for together anyway.
const AT_ONCE: usize = 8;
/// By how much intervals differ.
const SPREAD: f64 = 0.05;

/// The running checks.
pub struct Coverage {
    stop: Option<oneshot::Sender<()>>,
    ended: Option<oneshot::Receiver<()>>,
}

impl Coverage {
    /// Stops the checks, and waits until none can write any longer.
    pub async fn stop(self) {
        drop(self.stop);
        if let Some(ended) = self.ended {
            let _ = ended.await;
        }
    }
}

/// Starts coverage, unless its interval is zero.
///
/// # Errors
/// Threads cannot be started.
pub fn start(
    process: &Process,
    options: &RegistryManagerOptions,
    namespace: &str,
    tasks: &mut JoinSet<()>,
) -> Result<Coverage> {
    let interval = options.coverage.coverage_interval;
    if interval.is_zero() {
        return Ok(Coverage { stop: None, ended: None });
    }
    let proxies = Proxies::of_environment(|name| std::env::var(name).ok())?;
    // Numbers of the manager are not served here.
    let store = Store::new(0, Budget::OFF, ManagerMetrics::register(&mut Registry::default()));
    let heavy = Heavy::start().context("cannot start the threads for heavy work")?;
    let ctx = Arc::new(Context {
        client: process.client.clone(),
        term: process.term.clone(),
        events: process.events.clone(),
        metrics: process.metrics.coverage.clone(),
        options: options.coverage.clone(),
        namespace: namespace.to_owned(),
        store,
        reading: Arc::default(),
        clients: ClientPool::new(proxies, options.registry_networks.into(), process.metrics.observer()),
        filler: options.coverage.fill.then(|| filler(process)),
        payloads: Arc::default(),
        wake: Notify::new(),
        schedule: Mutex::new(Schedule::new(interval)),
    });
    // Its own: a kind that cannot be listed here is no reason not to scan.
    let initial_lists = InitialLists::default();
    watch(&ctx, &initial_lists, heavy, tasks);
    let (stop, stopped) = oneshot::channel::<()>();
    let (end, ended) = oneshot::channel::<()>();
    let runtime = Handle::current();
    let work = move || {
        let checks = async {
            tokio::select! {
                () = lead(ctx, initial_lists) => {}
                _ = stopped => {}
            }
        };
        // Futures of the client of registries stay on one thread.
        runtime.block_on(LocalSet::new().run_until(checks));
        drop(end);
    };
    std::thread::Builder::new().name("coverage".to_owned()).spawn(work).context("cannot start a thread")?;
    Ok(Coverage { stop: Some(stop), ended: Some(ended) })
}

/// With the rules of Images.
fn filler(process: &Process) -> Filler {
    let rules = &process.images.rules;
    Filler::new(rules.destinations.clone(), rules.defaults.destination.clone(), process.images.ecr.clone())
}

fn watch(ctx: &Arc<Context>, initial_lists: &InitialLists, heavy: Heavy, tasks: &mut JoinSet<()>) {
    let declarations = Declarations {
        client: ctx.client.clone(),
        store: ctx.store.clone(),
        initial_lists: initial_lists.clone(),
        reading: Arc::clone(&ctx.reading),
        heavy: Arc::new(heavy),
    };
    let mut coverages = CoverageWatch { ctx: ctx.clone(), awaited: initial_lists.await_watch(MIRROR_COVERAGES_CRD) };
    declarations.watch(tasks);
    declarations.watch_pools(tasks);
    declarations.watch_optional_reports(tasks);
    let client = ctx.client.clone();
    tasks.spawn(async move { follow(&client, MIRROR_COVERAGES_CRD, &mut coverages).await });
}

/// Checks whenever this replica leads.
async fn lead(ctx: Arc<Context>, initial_lists: InitialLists) {
    initial_lists.opened().await;
    let mut term: Term = ctx.term.clone();
    while term.begun().await {
        ctx.schedule().begin(Instant::now(), Timestamp::now());
        ctx.store.enqueue_all();
        let lasts = tokio::select! {
            never = check_when_due(&ctx) => match never {},
            never = fill_when_due(&ctx) => match never {},
            () = take_changes(ctx.clone()) => return,
            lasts = term.ended() => lasts,
        };
        ctx.schedule().end();
        if let Some(filler) = &ctx.filler {
            filler.clear();
        }
        if !lasts {
            return;
        }
    }
}

/// Starts checks when they are due. All end with the future.
async fn check_when_due(ctx: &Arc<Context>) -> std::convert::Infallible {
    let slots = Rc::new(Semaphore::new(AT_ONCE));
    let mut jobs = JoinSet::new();
    loop {
        // Before the look at the schedule, so that no change between the two is missed.
        let woken = ctx.wake.notified();
        let (due, next) = {
            let (now, mut schedule) = (Instant::now(), ctx.schedule());
            let due = schedule.start(now, spread());
            (due, schedule.next())
        };
        if !due.is_empty() {
            let round = Rc::new(Round::begin(ctx).await);
            for due in due {
                jobs.spawn_local(check::run(ctx.clone(), Rc::clone(&round), due, Rc::clone(&slots)));
            }
            continue;
        }
        while jobs.try_join_next().is_some() {}
        let until_due = async {
            match next {
                Some(next) => sleep_until(next.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = woken => {}
            () = until_due => {}
        }
    }
}

/// Other in each round.
fn spread() -> f64 {
    use std::hash::{BuildHasher as _, RandomState};
    let part = u32::try_from(RandomState::new().hash_one(0_u8) % 1_001).unwrap_or_default();
    1.0 - SPREAD + f64::from(part) * (2.0 * SPREAD / 1_000.0)
}
