//! The rollout budget at work: places are taken before the first write, kept until the targets are back, and given back.

use std::time::Duration;

use hypermirror_api::Reason;
use hypermirror_api::report::{RolloutReport, RolloutState};
use jiff::Timestamp;

use super::case::{Case, Observed};
use super::context::Context;
use super::reconcile::observe;
use crate::fleet::rollout::{Answer, Look, Mark, Standing, answer_due, look, messages, next_mark};
use crate::hosted::plan::{Counted, Plan};
use crate::hosted::report::Verdict;
use crate::management::apply::WriteError;
use crate::telemetry::metrics::{StateLabels, gauge};
use hypermirror_api::ClusterKey;

/// How often a hosted cluster in flight is looked at when its watches tell nothing.
const BACKSTOP: Duration = Duration::from_secs(30);

/// A pause after a list that failed.
const STOCK_RETRY: Duration = Duration::from_secs(1);

/// Whether a plan may be carried out now.
pub(super) enum Admission {
    /// It may.
    Goes,
    /// It may from now on: its targets were read again, and it is planned again.
    Begins,
    /// It may without a place: it leaves, and what is not available cannot become so by waiting.
    Uncounted,
    /// It may not, and why.
    Held(Verdict),
}

/// How the rollout budget counts what a plan writes.
#[derive(Default)]
pub(super) struct Counting {
    mark: Option<String>,
    in_flight: bool,
}

impl Counting {
    /// Nothing where there is no limit. A rollout that is not back keeps its mark, also through further edits: it has its
    /// time once, and counts for whom it counted.
    pub(super) fn of(ctx: &Context, case: &Case, observed: &Observed) -> Self {
        if !ctx.settings.rollouts.is_on() {
            return Self::default();
        }
        let index = ctx.index();
        let in_flight = index.rollouts.in_flight(&case.key).filter(|_| !are_rolled_out(observed));
        let next = || Mark::of(next_mark(index.last_rollout(&case.key), Timestamp::now()), case.cause);
        Self { mark: Some(in_flight.unwrap_or_else(next).to_string()), in_flight: in_flight.is_some() }
    }

    pub(super) fn facts(&self) -> Counted<'_> {
        Counted { mark: self.mark.as_deref(), in_flight: self.in_flight }
    }
}

fn are_rolled_out(observed: &Observed) -> bool {
    observed.iter().flatten().all(|target| target.rolled_out)
}

fn missing<'a>(ctx: &'a Context, observed: &'a Observed) -> Vec<&'a str> {
    messages::missing(ctx.settings.targets.iter().zip(observed.iter().map(Option::as_deref)))
}

/// At the beginning of a term: what the last leader has left in flight, as it stands now. Until that is known, and as long
/// as it cannot be read, nobody begins.
pub(super) async fn take_stock(ctx: &Context) {
    while ctx.settings.rollouts.is_on() && ctx.term.lasts() {
        match note_marks(ctx).await {
            Ok(()) => {
                let mut index = ctx.index();
                index.rollouts.begin_term();
                let next = index.rollouts.next(Timestamp::now());
                drop(index);
                return ctx.queue.add_all(next);
            }
            Err(error) => {
                tracing::warn!(%error, "failed to list the rollouts in flight; no rollout starts until it succeeds");
                tokio::time::sleep(STOCK_RETRY).await;
            }
        }
    }
}

async fn note_marks(ctx: &Context) -> Result<(), WriteError> {
    for (place, spec) in ctx.settings.targets.iter().enumerate() {
        let targets = ctx.writer.list_targets(spec).await?;
        ctx.index().note_marks(place, &targets);
    }
    Ok(())
}

/// Reads the targets before anything else, all of them where it matters how their pods are. What an earlier try may have
/// left there is known now: a place that it took and did not mark is free.
pub(super) async fn observe_before(ctx: &Context, key: &ClusterKey) -> Result<Observed, WriteError> {
    let is_in_flight = ctx.index().rollouts.in_flight(key).is_some();
    let observed = observe(ctx, key, is_in_flight).await?;
    ctx.index().rollouts.give_back(key);
    Ok(observed)
}

impl Case {
    /// Takes a place if the plan restarts something. Whoever has one goes on.
    pub(super) async fn admit(
        &self,
        ctx: &Context,
        plan: &Plan,
        observed: &mut Observed,
    ) -> Result<Admission, WriteError> {
        if !ctx.settings.rollouts.is_on() || !plan.restarts() {
            return Ok(Admission::Goes);
        }
        let (was_left_out, is_in_flight) = {
            let rollouts = &ctx.index().rollouts;
            (rollouts.is_left_out(&self.key), rollouts.in_flight(&self.key).is_some())
        };
        if was_left_out || (self.leaving && !is_in_flight && !are_rolled_out(observed)) {
            *observed = observe(ctx, &self.key, true).await?;
            if !are_rolled_out(observed) {
                return Ok(self.unavailable(ctx, observed));
            }
        }
        let budget = &ctx.settings.rollouts;
        let answer = {
            let mut index = ctx.index();
            let last = index.last_rollout(&self.key);
            index.rollouts.ask(&self.key, last, Timestamp::now())
        };
        match answer {
            Answer::Goes => return Ok(Admission::Goes),
            Answer::Waits => return Ok(Admission::Held(messages::waiting(budget))),
            Answer::Halted(halt) => return Ok(Admission::Held(messages::halted(budget, &halt))),
            Answer::Begins => {}
        }
        let read = observe(ctx, &self.key, true).await;
        if read.is_err() {
            ctx.index().rollouts.give_back(&self.key);
        }
        *observed = read?;
        if are_rolled_out(observed) {
            return Ok(Admission::Begins);
        }
        ctx.index().rollouts.leave_out(&self.key);
        Ok(self.unavailable(ctx, observed))
    }

    /// What is not available before the change: it waits, unless it leaves.
    fn unavailable(&self, ctx: &Context, observed: &Observed) -> Admission {
        if self.leaving {
            return Admission::Uncounted;
        }
        Admission::Held(messages::unavailable(&missing(ctx, observed)))
    }
}

/// Whether more of a hosted cluster is still to change: by us, or by a stock operator that was asked and has not answered.
pub(super) fn is_pending(ctx: &Context, key: &ClusterKey, plan: &Plan) -> bool {
    if plan.restarts() || plan.waits_for_parent() {
        return true;
    }
    if !plan.stock_is_behind || !ctx.settings.rollouts.is_on() {
        return false;
    }
    let index = ctx.index();
    let asked = index.cluster(key).and_then(|cluster| cluster.touched.as_ref());
    let left = asked.and_then(|(_, since)| answer_due(since.elapsed(), ctx.settings.settle, ctx.settings.handover));
    let Some(left) = left else { return false };
    ctx.queue.add_after(key.clone(), left);
    true
}

/// Looks whether a hosted cluster is back; answers what the report says of its rollout, and that it is not back in time.
/// `pending`: more of it is still to change.
pub(super) fn look_at(
    ctx: &Context,
    key: &ClusterKey,
    observed: &Observed,
    pending: bool,
) -> (Option<RolloutReport>, Option<Verdict>) {
    let (budget, now) = (&ctx.settings.rollouts, Timestamp::now());
    let mut index = ctx.index();
    let report = index.cluster(key).and_then(|cluster| cluster.report.clone());
    let before = report.and_then(|report| report.control_plane.rollout.clone());
    if !budget.is_on() {
        return (before, None); // what is done stays done if there is a limit again
    }
    let tell = |since: Timestamp, state: RolloutState| {
        let started = since.to_string();
        let limit = before.as_ref().filter(|before| before.started == started).map(|before| before.limit);
        Some(RolloutReport { started, state, limit: limit.unwrap_or_else(|| gauge(budget.at_once)) })
    };
    let Some(since) = index.rollouts.in_flight(key).map(|mark| mark.at) else {
        let last = index.last_rollout(key);
        return (last.and_then(|last| tell(last, RolloutState::Done)), None);
    };
    match look(budget, since, now, are_rolled_out(observed), pending) {
        Look::Back => {
            index.finish_rollout(key, since);
            (tell(since, RolloutState::Done), None)
        }
        Look::InFlight => {
            ctx.queue.add_after(key.clone(), budget.left(since, now).clamp(Duration::from_millis(10), BACKSTOP));
            (tell(since, RolloutState::InFlight), None)
        }
        Look::Failed => {
            ctx.queue.add_after(key.clone(), BACKSTOP);
            let verdict = messages::failed(budget, since, &missing(ctx, observed));
            (tell(since, RolloutState::Failed), Some(verdict))
        }
    }
}

/// After the work on a hosted cluster: a place that was not used is free, and those that may begin now are looked at.
pub(super) fn conclude(ctx: &Context, key: &ClusterKey, result: &Result<Option<Reason>, WriteError>) {
    // After a failure without an answer something may have been written: the next look tells.
    let gives_back = result.as_ref().err().is_none_or(WriteError::is_refusal);
    let asks = [Reason::RolloutWaiting, Reason::RolloutHalted, Reason::TargetsUnavailable];
    let asks_again = matches!(result, Ok(Some(reason)) if asks.contains(reason));
    end_turn(ctx, key, gives_back, asks_again);
}

/// After work that panicked: whatever it has written, it holds up nobody who waits behind it.
pub(super) fn conclude_failed(ctx: &Context, key: &ClusterKey) {
    end_turn(ctx, key, false, false);
}

fn end_turn(ctx: &Context, key: &ClusterKey, gives_back: bool, asks_again: bool) {
    if !ctx.settings.rollouts.is_on() {
        return;
    }
    let mut index = ctx.index();
    if gives_back {
        index.rollouts.give_back(key);
    }
    if !asks_again {
        index.rollouts.leave_line(key);
    }
    let next = index.rollouts.next(Timestamp::now());
    drop(index);
    ctx.queue.add_all(next);
}

/// What was told last about the whole fleet.
#[derive(Default)]
pub(super) struct Housekeeping {
    /// Those that are not back in time, which messages of halts name or count.
    failed: Vec<ClusterKey>,
    /// Whether none may begin at all.
    halted: bool,
}

impl Housekeeping {
    /// Counts, has those looked at that may begin, and all that wait when others are not back in time than before: a halt
    /// begins, ends, or its message changes.
    pub(super) fn settle(&mut self, ctx: &Context) {
        if !ctx.settings.rollouts.is_on() {
            return;
        }
        if !ctx.may_write() {
            *self = Self::default();
            let none = Standing { in_flight: 0, waiting: 0, unavailable: 0, failed: Vec::new(), halted: false };
            return count(ctx, &none);
        }
        let (index, now) = (ctx.index(), Timestamp::now());
        let standing = index.rollouts.standing(now);
        let next: Vec<ClusterKey> = if standing.failed == self.failed {
            index.rollouts.next(now)
        } else {
            index.rollouts.waiting().cloned().collect()
        };
        drop(index);
        count(ctx, &standing);
        self.tell(standing);
        ctx.queue.add_all(next);
    }

    /// The administrator's log names those that reports of other namespaces only count.
    fn tell(&mut self, standing: Standing<ClusterKey>) {
        if standing.failed == self.failed && standing.halted == self.halted {
            return;
        }
        let names: Vec<String> = standing.failed.iter().map(ToString::to_string).collect();
        let (failed, count) = (messages::named(&names), names.len());
        if standing.halted {
            tracing::warn!(
                failed,
                count,
                "rollouts are halted: hosted clusters were not available in time after a change"
            );
        } else if count > 0 {
            tracing::warn!(
                failed,
                count,
                "hosted clusters were not available in time after a change of their own mirrors"
            );
        } else {
            tracing::info!("rollouts resume");
        }
        (self.failed, self.halted) = (standing.failed, standing.halted);
    }
}

fn count(ctx: &Context, standing: &Standing<ClusterKey>) {
    let states = [
        ("InFlight", standing.in_flight),
        ("Waiting", standing.waiting),
        ("Failed", standing.failed.len()),
        ("Unavailable", standing.unavailable),
    ];
    for (state, count) in states {
        ctx.metrics.rollouts.get_or_create(&StateLabels { state }).set(gauge(count));
    }
    ctx.metrics.rollouts_halted.set(i64::from(standing.halted));
}
