//! One job: compares both sides, copies what differs, and writes the status.

use std::sync::Arc;
use std::time::Instant;

use futures::{StreamExt as _, stream};
use hypermirror_api::{Image, ImageReason, ImageSpec};
use jiff::Timestamp;
use serde_json::Value;

use super::super::agenda::{Entry, Finished, Job, Kind as _};
use super::super::context::Context;
use super::super::queue::Ending;
use super::super::write;
use super::copy::copy;
use super::due::{Copies, Work};
use super::failure::RunFailure;
use super::plan::{self, TagPlan, TagState};
use super::settings::Settings;
use super::sides::Sides;
use super::status::{self, Known, Report, Transition, after, transition};
use super::version::Version;
use crate::management::events::About;
use crate::registry::Reference;
use crate::registry::transfer::Side;

/// Tags that are compared at once. The pace of each registry is the real limit.
const COMPARED_AT_ONCE: usize = 32;

/// What a run did, as far as it got.
#[derive(Default)]
pub struct Progress {
    /// Nothing, if it came to no plan.
    tags: Option<Vec<TagPlan>>,
    bytes: u64,
    destination: String,
}

/// Does a job.
pub async fn run(ctx: Arc<Context>, job: Job<Copies>) {
    let mut ending = Ending::new(ctx.images.queue.clone(), &job);
    let (patch, known, event) = match job.work {
        Work::Settle => {
            let (patch, known) = status::suspended(&job.known, job.object.generation, Timestamp::now());
            (patch, known, None)
        }
        Work::Run => ended(&ctx, &job, &mut ending.finished).await,
    };
    ending.finished.known = Some(known);
    let may_write = || ctx.term.lasts();
    ending.finished.version = write::status::<Image, _>(&ctx.client, &job.object, patch, may_write).await;
    if let Some(event) = event.filter(|_| ending.finished.version.is_some()) {
        announce(&ctx, &job, event).await;
    }
}

/// Runs and makes the status.
async fn ended(
    ctx: &Context,
    job: &Job<Copies>,
    finished: &mut Finished<Copies>,
) -> (Value, Known, Option<Transition>) {
    let begun = Instant::now();
    let object = &job.object;
    let mut progress = Progress::default();
    let result = match &object.spec {
        Ok(spec) => go(ctx, job, spec, &mut progress).await,
        Err(error) => Err(RunFailure::new(ImageReason::InvalidSpec, error.clone())),
    };
    let outcome = result.as_ref().map_or_else(|failure| failure.reason, |()| ImageReason::Succeeded);
    ctx.images.count_run(job, outcome, &progress, begun.elapsed().as_secs_f64());
    if let Err(failure) = &result {
        tracing::info!(image = %object.key, reason = outcome.as_str(), message = failure.message, "a run failed");
        finished.throttled_until = failure.throttled_until;
        finished.unreachable.clone_from(&failure.unreachable);
    }
    let at = Timestamp::now();
    let report = Report {
        at,
        generation: object.generation,
        copy_now: object.scan_now.as_deref(),
        mode: object.spec.as_ref().ok().map(|spec| spec.mode),
        tags: progress.tags.as_deref(),
        bytes: progress.bytes,
        failure: result.as_ref().err(),
    };
    let next = |known: &Known| {
        let entry = Entry { object: &**object, known, throttled_until: finished.throttled_until };
        let (_, wait) = Copies::next(entry, ctx.images.least, at)?;
        at.checked_add(wait).ok()
    };
    let (patch, known) = after(&job.known, report, next);
    let event = transition(&job.known, &known, &report, &progress.destination);
    (patch, known, event)
}

async fn go(ctx: &Context, job: &Job<Copies>, spec: &ImageSpec, progress: &mut Progress) -> Result<(), RunFailure> {
    let key = &job.object.key;
    let settings = Settings::of(&key.namespace, spec, &ctx.images.rules)?;
    progress.destination = settings.destination.repository.to_string();
    let sides =
        Sides::open(ctx, key, (&settings.source, &spec.source), (&settings.destination, &spec.destination)).await?;
    let is_same_spec = job.known.observed_generation == Some(job.object.generation);
    let synced: &[String] = if is_same_spec { &job.known.already_synced } else { &[] };
    let planned = planned(&sides.source, spec, &settings, synced).await?;
    let tags = progress.tags.insert(compared(&sides, planned).await);
    if tags.iter().any(|tag| tag.state == TagState::Differs) {
        // Before the first copy: what a crash leaves half done is named.
        let patch = status::planned(tags);
        write::status::<Image, _>(&ctx.client, &job.object, patch, || ctx.term.lasts()).await;
        progress.bytes = copy(&sides, &settings, tags).await;
    }
    sides.log_notices(key);
    plan::judged(tags)
}

async fn planned(
    source: &Side,
    spec: &ImageSpec,
    settings: &Settings,
    already_synced: &[String],
) -> Result<Vec<TagPlan>, RunFailure> {
    match &settings.version {
        Version::Tag(_) => Ok(plan::of_tag(settings).into_iter().collect()),
        Version::Many(pattern) => {
            let tags = source.tags().await.map_err(|error| RunFailure::from(&error))?;
            plan::of_list(spec, settings, pattern, tags.iter().map(String::as_str), already_synced)
        }
    }
}

/// Two HEAD requests for each tag.
async fn compared(sides: &Sides, tags: Vec<TagPlan>) -> Vec<TagPlan> {
    let compare = |mut tag: TagPlan| async {
        if tag.state == TagState::Pending {
            let found = Box::pin(differs(sides, &tag)).await;
            tag.state = match found {
                Ok((digest, is_same)) => {
                    tag.digest = Some(digest);
                    if is_same { TagState::Unchanged } else { TagState::Differs }
                }
                Err(failure) => TagState::Failed(failure),
            };
        }
        tag
    };
    stream::iter(tags).map(compare).buffered(COMPARED_AT_ONCE).collect().await
}

/// The digest at the source, and whether the destination has it.
async fn differs(sides: &Sides, tag: &TagPlan) -> Result<(String, bool), RunFailure> {
    let reference = |tag: &str| Reference::Tag(tag.to_owned());
    let at_source = async {
        let found = sides.source.digest(&reference(&tag.tag)).await.map_err(|error| RunFailure::from(&error))?;
        let missing = || RunFailure::new(ImageReason::NotFound, format!("{}:{} does not exist", sides.source, tag.tag));
        found.ok_or_else(missing)
    };
    let at_destination = async {
        let found = sides.destination.digest(&reference(&tag.destination_tag)).await;
        found.map_err(|error| RunFailure::from(&error))
    };
    let (wanted, held) = Box::pin(futures::future::try_join(at_source, at_destination)).await?;
    let is_same = held.as_ref() == Some(&wanted);
    Ok((wanted.to_string(), is_same))
}

impl Progress {
    /// Tags and bytes that were copied.
    pub fn copied(&self) -> (u64, u64) {
        let tags = self.tags.iter().flatten().filter(|tag| tag.state == TagState::Copied).count();
        (tags as u64, self.bytes)
    }
}

async fn announce(ctx: &Context, job: &Job<Copies>, (is_good, reason, message): Transition) {
    let object = &job.object;
    let about = About {
        api_version: "skopeo.io/v1alpha1",
        kind: "Image",
        namespace: &object.key.namespace,
        name: &object.key.name,
        uid: &object.uid,
    };
    ctx.events.record(&about, is_good, reason, &message, None).await;
}
