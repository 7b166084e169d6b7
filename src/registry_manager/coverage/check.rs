//! The check of one hosted cluster.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hypermirror_api::hypershift::HostedCluster;
use hypermirror_api::mirror_coverage::ProvenCatalog;
use hypermirror_api::{ClusterKey, CoverageReason};
use jiff::Timestamp;
use kube::ResourceExt as _;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::access::Access;
use super::context::Context;
use super::fill;
use super::fill::gaps::{Gaps, gaps};
use super::inputs::{Inputs, Unready};
use super::round::Round;
use super::schedule::{Due, End, Known};
use super::status::proof::Proof;
use super::status::{self, Checked, Outcome, UpdateReport};
use super::write;
use crate::client::cause::Cause;
use crate::registry::coverage::demand::Pull;
use crate::registry::coverage::holder::{Holder, places};
use crate::registry::coverage::matrix::{Demand, TrustId, Verdict, judge};
use crate::registry::coverage::needs::{self, Consumer, Need, ReleaseNeed};
use crate::registry::coverage::report::{Report, UnreadRelease};
use crate::registry::coverage::strict::{SourceProof, Strict};

/// The longest time for one hosted cluster. A registry that answers slowly is no reason to show old results for ever.
const LIMIT: Duration = Duration::from_mins(30);
/// Available updates that are checked.
const MAX_UPDATES: usize = 30;

/// The work for a hosted cluster, whose end the schedule learns also if it panics.
struct Ending<'a> {
    ctx: &'a Context,
    key: &'a ClusterKey,
    end: End,
    written: Option<Known>,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.ctx.finish(self.key, self.end, self.written.take());
    }
}

/// Checks a hosted cluster, unless nothing about it has changed, and writes the result.
pub async fn run(ctx: Arc<Context>, round: Rc<Round>, due: Due, slots: Rc<Semaphore>) {
    let mut ending = Ending { ctx: &ctx, key: &due.key, end: End::Unknown, written: None };
    let Ok(_slot) = slots.acquire().await else { return };
    let begun = Instant::now();
    let Some(Found { object, digest, outcome, gaps }) = find(&ctx, &round, &due).await else {
        return ending.end = End::Nothing;
    };
    let known = due.known.as_ref();
    let filler = ctx.filler.as_ref().filter(|_| fill::is_wanted(&object));
    let progress = filler.map(|filler| filler.take(&due.key, gaps));
    if let (None, Some(filler)) = (&progress, &ctx.filler) {
        filler.forget(&due.key);
    }
    let report = status::Report {
        outcome: &outcome,
        generation: object.metadata.generation.unwrap_or_default(),
        inputs: &digest,
        check_now: known.and_then(|known| known.check_now.as_deref()),
        level: ctx.options.coverage_level.as_str(),
        fill: progress.as_ref(),
        at: Timestamp::now(),
        next: ctx.next_round(),
        interval: ctx.options.coverage_interval,
    };
    let before = known.and_then(|known| known.status.as_ref());
    let now = status::after(before, &report);
    ctx.metrics.checks.get_or_create(&status::labels(&now)).observe(begun.elapsed().as_secs_f64());
    let end = if status::is_unknown(&now) { End::Unknown } else { End::Known };
    if !status::is_worth_writing(before, &now, ctx.options.coverage_interval) {
        return ending.end = end;
    }
    match write::status(&ctx, &due.key, &object, known, &now).await {
        Ok(uid) => {
            write::announce(&ctx, &due.key, &object, &uid, before, &now).await;
            if let Some((filler, progress)) = filler.zip(progress.as_ref()) {
                filler.wrote(&due.key, progress);
            }
            let check_now = known.and_then(|known| known.check_now.clone());
            ending.written = Some(Known { uid, check_now, status: Some(now) });
            ending.end = end;
        }
        Err(error) => {
            let error = Cause(&error);
            tracing::warn!(cluster = %due.key, %error, "failed to write a MirrorCoverage; trying again later");
        }
    }
}

/// How a check ended, and what was checked.
struct Found {
    object: Arc<HostedCluster>,
    digest: String,
    outcome: Outcome,
    /// Nothing, if it was not checked, or if nobody fills them.
    gaps: Option<Gaps>,
}

/// Checks a hosted cluster. Nothing if there is nothing to check.
async fn find(ctx: &Context, round: &Round, due: &Due) -> Option<Found> {
    let known = due.known.as_ref();
    match Inputs::of(ctx, round, &due.key) {
        Err(Unready::Gone | Unready::Unread) => None,
        Err(Unready::Unknown(object, reason, why)) => {
            // No digest: as soon as the sources can be read again, they are new.
            let outcome = Outcome::NotChecked(reason, why);
            Some(Found { object, digest: String::new(), outcome, gaps: None })
        }
        Ok(inputs) => {
            let is_news = known.and_then(Known::inputs) != Some(&*inputs.digest);
            if !due.is_forced && !is_news && !known.is_some_and(Known::is_asked) {
                return None;
            }
            let (outcome, gaps) = if let Ok((checked, gaps)) = timeout(LIMIT, checked(ctx, round, &inputs)).await {
                (Outcome::Checked(Box::new(checked)), gaps)
            } else {
                let why = format!("the check did not end within {}m", LIMIT.as_secs() / 60);
                (Outcome::NotChecked(CoverageReason::CheckTimeout, why), None)
            };
            Some(Found { object: inputs.object, digest: inputs.digest, outcome, gaps })
        }
    }
}

/// Asks registries with the credentials and authorities of the hosted cluster.
async fn checked(ctx: &Context, round: &Round, inputs: &Inputs) -> (Checked, Option<Gaps>) {
    let access = Access::read(&ctx.client, &inputs.object).await;
    let mut trouble = access.trouble().map(|(reason, why)| (reason, why.to_owned()));
    let clients = access.authorities.and_then(|pem| ctx.clients.of(&pem).map_err(|error| error.to_string()));
    let (keychain, trust) = match clients {
        Ok((trust, clients)) => {
            round.asker.trust(trust.clone(), &clients);
            (access.keychain, trust)
        }
        // Whoever would not be believed is not asked, as whoever has no credentials.
        Err(why) => {
            trouble.get_or_insert((CoverageReason::AuthoritiesNotReadable, why.clone()));
            (Err(why), TrustId::default())
        }
    };
    let mut prover = Prover { round, inputs, holder: Holder::new(keychain, trust), level: ctx.options.coverage_level };
    let (Proven { report, demands, .. }, proofs) = prover.today(&inputs.object).await;
    let filler = ctx.filler.as_ref().filter(|_| fill::is_wanted(&inputs.object));
    let namespace = inputs.object.namespace().unwrap_or_default();
    let gaps = filler.map(|filler| gaps(&namespace, &demands, &report.images, &filler.destinations));
    drop(demands);
    let catalogs = prover.catalogs().await;
    let mut updates = Vec::new();
    for (version, release) in inputs.needs.updates.iter().take(MAX_UPDATES) {
        let Proven { report, .. } = prover.prove(Vec::new(), std::slice::from_ref(release)).await;
        updates.push(UpdateReport { version: version.clone(), image: release.image.clone(), report });
    }
    for notice in round.asker.take_notices() {
        tracing::info!(notice, "a registry wants people to know something");
    }
    let proof = Proof { subject: inputs.subject.clone(), proofs, catalogs };
    (Checked { report, updates, trouble, proof }, gaps)
}

/// What was found about needs.
struct Proven {
    report: Report,
    demands: Vec<Demand>,
    needs: Vec<Need>,
}

struct Prover<'a> {
    round: &'a Round,
    inputs: &'a Inputs,
    holder: Holder,
    level: super::options::CoverageLevel,
}

impl Prover<'_> {
    /// What the hosted cluster needs now, and what is proven about its sources without a fallback.
    async fn today(&mut self, object: &HostedCluster) -> (Proven, Vec<SourceProof>) {
        let consumers = self.inputs.pullers.iter().map(|puller| puller.consumer.clone());
        let nodes = consumers.filter(|consumer| matches!(consumer, Consumer::Nodes(_))).collect();
        let pods = [Consumer::Pods].into();
        let mut needs = self.inputs.needs.others.clone();
        needs.extend(needs::of_list("hypershift operator", self.round.operator_image.clone(), &pods));
        needs.extend(needs::of_list("agent", self.round.agent_image.clone(), &nodes));
        tracing::debug!(cluster = object.name_any(), "checking coverage");
        let proven = self.prove(needs, &self.inputs.needs.releases).await;
        let proofs = self.prove_strictly(&proven.needs, &proven.report).await;
        (proven, proofs)
    }

    /// Most places were asked for the report already, and the asker asks none twice.
    async fn prove_strictly(&mut self, needs: &[Need], report: &Report) -> Vec<SourceProof> {
        let strict = Strict::of(&self.inputs.pullers, needs);
        let pulls: Vec<Pull> = strict.pulls.iter().map(|strict| strict.pull.clone()).collect();
        let demands = self.holder.demands(&self.round.asker, &pulls, &self.inputs.closeness).await;
        let found = self.round.asker.prove(&demands, |_| {}).await;
        let unread = report.unread_releases.first().map(status::why_unread);
        strict.prove(&demands, &found, unread.as_deref())
    }

    /// The stock images of OLM catalogs that a mirror holds.
    async fn catalogs(&mut self) -> Vec<ProvenCatalog> {
        let pulls = &self.inputs.catalogs;
        let demands = self.holder.demands(&self.round.asker, pulls, &self.inputs.closeness).await;
        let found = self.round.asker.prove(&demands, |_| {}).await;
        let proven = demands.iter().filter_map(|demand| match judge(demand, &found) {
            Verdict::Held { reference, .. } => Some(ProvenCatalog { image: demand.image.clone(), mirror: reference }),
            Verdict::Missing { .. } | Verdict::Unknown { .. } => None,
        });
        proven.collect()
    }

    async fn prove(&mut self, mut needs: Vec<Need>, releases: &[ReleaseNeed]) -> Proven {
        let mut unread = Vec::new();
        let overrides = &self.inputs.needs.overrides;
        for release in releases {
            let alone = needs::of_release(release, &[], &std::collections::BTreeMap::new());
            let pulls = self.pulls(&alone);
            let demands = self.holder.demands(&self.round.asker, &pulls, &self.inputs.closeness).await;
            match self.round.asker.payload(&places(demands)).await {
                Ok(payload) => needs.extend(needs::of_release(release, &payload, overrides)),
                Err(errors) => {
                    needs.extend(needs::of_release(release, &[], overrides));
                    unread.push(UnreadRelease { image: release.image.clone(), errors });
                }
            }
        }
        let pulls = self.pulls(&needs);
        let demands = self.holder.demands(&self.round.asker, &pulls, &self.inputs.closeness).await;
        let found = self.round.asker.prove(&demands, |_| {}).await;
        let mut report = Report::new(self.level.into(), "", &demands, &found);
        report.unread_releases = unread;
        Proven { report, demands, needs }
    }

    fn pulls(&self, needs: &[Need]) -> Vec<Pull> {
        self.inputs.pullers.iter().flat_map(|puller| puller.pulls(needs)).collect()
    }
}
