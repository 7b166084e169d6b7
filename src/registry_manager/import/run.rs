//! Imports what pods wait for, as long as this replica leads.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hypermirror_api::ImportRule;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::super::context::Context;
use super::super::due::elapsed;
use super::super::write;
use super::Imports;
use super::copy::import;
use super::ledger::{ALREADY_THERE, Ended, IMPORTED, ImportFailure, Imported};
use super::mirrors;
use super::plan::Wanted;
use super::state::Shared;
use super::status::patch;
use super::watch::{follow_pods, follow_rules};
use crate::management::events::About;
use crate::registry::coverage::demand::NodeRules;
use crate::telemetry::metrics::{OutcomeLabels, StateLabels, gauge};

/// Images that are imported at once.
const AT_ONCE: usize = 4;
/// Time in which changes are combined: a Deployment that cannot pull has many pods.
const SETTLE: Duration = Duration::from_millis(200);
/// How long the mirrors in force are believed. A pod that cannot pull waits for minutes.
const MIRRORS_LAST: Duration = Duration::from_secs(15);
/// The longest time for one image.
const LIMIT: Duration = Duration::from_mins(30);

/// Imports while it is polled; never, unless the feature is on.
pub async fn work(ctx: Arc<Context>) -> Infallible {
    let Some(imports) = &ctx.imports else { return std::future::pending().await };
    let shared = Arc::new(Shared::default());
    tokio::select! {
        never = follow_rules(ctx.clone(), imports, &shared) => never,
        never = follow_pods(&ctx.client, &shared) => never,
        never = import_when_due(&ctx, imports, &shared) => never,
    }
}

/// The mirrors that were read last.
#[derive(Default)]
struct LastMirrors {
    read: Option<(Instant, Result<NodeRules, String>)>,
}

impl LastMirrors {
    async fn get(&mut self, ctx: &Context) -> Result<&NodeRules, &String> {
        let read = match self.read.take().filter(|(at, _)| at.elapsed() < MIRRORS_LAST) {
            Some(read) => read,
            None => (Instant::now(), mirrors::in_force(&ctx.client).await),
        };
        self.read.insert(read).1.as_ref()
    }
}

type Ending = (String, Wanted, Ended);

async fn import_when_due(ctx: &Arc<Context>, imports: &Imports, shared: &Shared) -> Infallible {
    let (mut mirrors, none) = (LastMirrors::default(), NodeRules::default());
    let mut jobs: JoinSet<Ending> = JoinSet::new();
    loop {
        // Before the look at the state, so that no change between the two is missed.
        let changed = shared.changed.notified();
        let is_needed = shared.state().has_failing_pods();
        let in_force = if is_needed { mirrors.get(ctx).await } else { Ok(&none) };
        let next = turn(ctx, imports, shared, in_force, &mut jobs).await;
        // As long as a pod waits, other mirrors may come into force.
        let again = Timestamp::now().checked_add(MIRRORS_LAST).ok().filter(|_| is_needed);
        let next = [next, again].into_iter().flatten().min();
        let pause = async {
            match next {
                Some(next) => sleep(elapsed(Timestamp::now(), next) + Duration::from_secs(1)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = changed => sleep(SETTLE).await,
            () = pause => {}
            Some(ended) = jobs.join_next() => {
                if let Ok(ending) = ended {
                    finish(ctx, imports, shared, ending).await;
                }
            }
        }
    }
}

/// Begins what is due and writes what has changed. Returns when there is something to do again.
async fn turn(
    ctx: &Arc<Context>,
    imports: &Imports,
    shared: &Shared,
    mirrors: Result<&NodeRules, &String>,
    jobs: &mut JoinSet<Ending>,
) -> Option<Timestamp> {
    let now = Timestamp::now();
    let (begun, reports, next) = {
        let mut state = shared.state();
        count(imports, &state);
        let rules = state.in_force();
        let plan = state.plan(&rules, mirrors);
        let begun = state.ledger.begin(&plan, &rules, AT_ONCE, now);
        let begun: Vec<_> =
            begun.into_iter().filter_map(|(name, wanted)| Some((state.spec(&wanted.rule)?, name, wanted))).collect();
        let reports = state.reports(&plan, mirrors.map(|_| ()), now);
        let next = state.ledger.next(&plan, &rules, now);
        (begun, reports, next)
    };
    for (spec, name, wanted) in begun {
        let ctx = ctx.clone();
        jobs.spawn_local(async move {
            let ended = timeout(LIMIT, import(&ctx, &spec, &wanted)).await.unwrap_or_else(|_| {
                let message = format!("the import did not end within {}m", LIMIT.as_secs() / 60);
                Err(ImportFailure { reason: "Timeout", message })
            });
            (name, wanted, ended)
        });
    }
    for report in reports {
        let body = patch(&report.status);
        let may_write = || ctx.term.lasts();
        if write::status::<ImportRule, _>(&ctx.client, &report.object, body, may_write).await.is_some() {
            shared.state().wrote(report);
        }
    }
    next
}

fn count(imports: &Imports, state: &super::state::State) {
    let all = state.rules.len();
    let in_force = state.rules.values().filter(|known| known.rule.is_ok()).count();
    for (state, count) in [("InForce", in_force), ("Refused", all - in_force)] {
        imports.metrics.rules.get_or_create(&StateLabels { state }).set(gauge(count));
    }
    let failing = state.pods.values().map(std::collections::BTreeMap::len).sum();
    imports.metrics.failing_pods.set(gauge(failing));
}

/// Notes what an import came to, and tells people.
async fn finish(ctx: &Context, imports: &Imports, shared: &Shared, (name, wanted, ended): Ending) {
    let outcome = match &ended {
        Ok(Imported { is_new: true, .. }) => IMPORTED,
        Ok(Imported { is_new: false, .. }) => ALREADY_THERE,
        Err(failure) => failure.reason,
    };
    imports.metrics.imports.get_or_create(&OutcomeLabels { outcome }).inc();
    imports.metrics.bytes.inc_by(ended.as_ref().map_or(0, |imported| imported.bytes));
    let uid = {
        let mut state = shared.state();
        let is_news = state.ledger.done(&name, &wanted, &ended, Timestamp::now());
        state.rules.get(&wanted.rule).map(|known| known.object.uid.clone()).filter(|_| is_news)
    };
    if let Some(uid) = uid {
        announce(ctx, &uid, &name, &wanted, &ended).await;
    }
}

/// An event about the rule, and one about the pod: its user looks there.
async fn announce(ctx: &Context, uid: &str, name: &str, wanted: &Wanted, ended: &Ended) {
    let (source, rule, image) = (&wanted.source, &wanted.rule, &wanted.image);
    let (is_good, reason, message) = match ended {
        Ok(Imported { is_new: true, bytes, .. }) => {
            (true, "ImageImported", format!("copied {name} from {source} for {image} ({bytes} bytes)"))
        }
        Ok(_) => (false, "ImageNotImported", format!("{name} is there; {image} cannot be pulled for another reason")),
        Err(ImportFailure { reason, message }) => {
            (false, "ImageNotImported", format!("failed to copy {name} from {source} for {image}: {reason}: {message}"))
        }
    };
    tracing::info!(rule = %rule, message, "an import ended");
    let pod = &wanted.pod;
    let reference = |api_version: &str, kind: &str, namespace: &str, object: &str, uid: &str| ObjectReference {
        api_version: Some(api_version.to_owned()),
        kind: Some(kind.to_owned()),
        namespace: Some(namespace.to_owned()),
        name: Some(object.to_owned()),
        uid: Some(uid.to_owned()),
        // Names the image, so that the events of several images are not counted as one.
        field_path: Some(format!("status.imports{{{name}}}")),
        ..ObjectReference::default()
    };
    let about_rule = About { api_version: API_VERSION, kind: KIND, namespace: &rule.namespace, name: &rule.name, uid };
    let of_pod = reference("v1", "Pod", &pod.namespace, &pod.name, &pod.uid);
    ctx.events.record(&about_rule, is_good, reason, &message, Some(of_pod)).await;
    let about_pod = About { api_version: "v1", kind: "Pod", namespace: &pod.namespace, name: &pod.name, uid: &pod.uid };
    let of_rule = reference(API_VERSION, KIND, &rule.namespace, &rule.name, uid);
    ctx.events.record(&about_pod, is_good, reason, &message, Some(of_rule)).await;
}

const API_VERSION: &str = "hypermirror.dev/v1alpha1";
const KIND: &str = "ImportRule";
