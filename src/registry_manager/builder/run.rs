//! One job: takes a build a step further, and writes the status if that changed anything.

use std::sync::Arc;

use hypermirror_api::image_builder::BuildPhase;
use hypermirror_api::{ImageBuilder, ImageBuilderReason, ImageBuilderSpec, ImageBuilderStatus};
use jiff::Timestamp;

use super::super::agenda::Job;
use super::super::context::Context;
use super::super::image::sides::OpenEnd;
use super::super::queue::Ending;
use super::super::write;
use super::Builders;
use super::dockerfile::base_images;
use super::due::{Builds, Known};
use super::failure::BuildFailure;
use super::inputs::Inputs;
use super::jobs::Jobs;
use super::objects::BUILD;
use super::publish::publish;
use super::settings::{Architecture, Build};
use super::status::{Look, Outcome, Transition, after, patch, ready_reason, transition};
use super::step::{Step, step};
use crate::management::events::About;

/// Does a job.
pub async fn run(ctx: Arc<Context>, builders: Arc<Builders>, job: Job<Builds>) {
    let mut ending = Ending::new(builders.queue.clone(), &job);
    let object = &job.object;
    let asked = object.scan_now.as_deref();
    let before = &job.known.status;
    // An annotation that was removed asks for nothing new.
    let token = asked.or(before.last_handled_build_now.as_deref());
    let build = match &object.spec {
        Ok(spec) => Build::of(object, spec, token, &ctx.images.rules, &builders.rules),
        Err(error) => Err(BuildFailure::new(ImageBuilderReason::InvalidSpec, error.clone())),
    };
    let outcome = match (&build, &object.spec) {
        (Ok(build), Ok(spec)) => {
            let turn = Turn { ctx: &ctx, builders: &builders, build, spec, before };
            turn.go().await.unwrap_or_else(|failure| Outcome::Failed { failure, log: None })
        }
        (Err(failure), _) => Outcome::Failed { failure: failure.clone(), log: None },
        (Ok(_), Err(_)) => return,
    };
    if let Outcome::Failed { failure, .. } = &outcome {
        tracing::info!(builder = %object.key, reason = failure.reason.as_str(), message = failure.message, "a build failed");
        ending.finished.throttled_until = failure.throttled_until;
        ending.finished.unreachable.clone_from(&failure.unreachable);
    }
    let at = Timestamp::now();
    let images = object.spec.as_ref().map(|spec| base_images(&spec.source)).unwrap_or_default();
    let (generation, build) = (object.generation, build.as_ref().ok());
    let status = after(before, Look { at, generation, build_now: asked, build, base_images: images, outcome });
    count(&builders, &object.key.name, before, &status, at);
    let Some(patch) = patch(before, &status) else {
        ending.finished.known = Some(Known { looked_at: Some(at), ..job.known.clone() });
        return;
    };
    let event = transition(before, &status);
    ending.finished.known = Some(Known { status, looked_at: Some(at) });
    ending.finished.version = write::status::<ImageBuilder, _>(&ctx.client, object, patch, || ctx.term.lasts()).await;
    if let Some(event) = event.filter(|_| ending.finished.version.is_some()) {
        announce(&ctx, &job, event).await;
    }
}

/// What a step needs.
struct Turn<'a> {
    ctx: &'a Context,
    builders: &'a Builders,
    build: &'a Build,
    spec: &'a ImageBuilderSpec,
    before: &'a ImageBuilderStatus,
}

impl Turn<'_> {
    async fn go(&self) -> Result<Outcome, BuildFailure> {
        let is_same_build = self.before.build.as_ref() == Some(&self.build.id);
        if is_same_build
            && self.before.phase == Some(BuildPhase::Completed)
            && let Some(digest) = self.before.digest.clone()
        {
            // Only the generation or the annotation is another one.
            return Ok(Outcome::Built { digest, architectures: self.before.architectures.clone() });
        }
        let jobs = Jobs::of(&self.ctx.client, self.build);
        let mut seen = Vec::new();
        let mut incomplete = Vec::new();
        for architecture in self.build.architectures {
            let found = jobs.look_at(*architecture).await?;
            if found.may_lack_files {
                incomplete.push(*architecture);
            }
            seen.push((*architecture, found.seen));
        }
        if !incomplete.is_empty() {
            let inputs = self.inputs(&self.open().await?).await?;
            for architecture in incomplete {
                jobs.complete(architecture, &inputs).await?;
            }
        }
        match step(&seen) {
            Step::Create(architectures) => self.create(&jobs, &architectures).await,
            Step::Wait(what) => Ok(Outcome::Building(what)),
            Step::Tag(pushed) => {
                let end = self.open().await?;
                let (digest, architectures) = Box::pin(publish(self.build, &end, pushed)).await?;
                // Their result is in the registry and in the status.
                jobs.remove_all_but(&[]).await?;
                Ok(Outcome::Built { digest, architectures })
            }
            Step::Remove(architecture) => {
                jobs.remove_one(architecture).await?;
                let message =
                    format!("the pod that built for {} is gone, and its result with it", architecture.as_str());
                Err(BuildFailure::new(ImageBuilderReason::ResultLost, message))
            }
            Step::Fail { architecture, is_late, message } => {
                let log = jobs.log(architecture).await;
                // The failed Job stays until its time to live is over, for whoever wants to see the whole log.
                jobs.remove_all_but(&[self.build.job_name(architecture)]).await?;
                Ok(Outcome::Failed { failure: job_failure(architecture, is_late, &message), log })
            }
        }
    }

    async fn create(&self, jobs: &Jobs<'_>, architectures: &[Architecture]) -> Result<Outcome, BuildFailure> {
        let inputs = self.inputs(&self.open().await?).await?;
        for architecture in architectures {
            if !self.ctx.term.lasts() {
                let message = "another replica of the registry-manager leads";
                return Err(BuildFailure::new(ImageBuilderReason::ApiUnavailable, message));
            }
            jobs.create(*architecture, self.spec, &self.builders.rules, &inputs).await?;
        }
        // Only now: as long as its successor cannot run, an earlier build goes on.
        jobs.remove_all_but(&self.build.job_names()).await?;
        let named: Vec<&str> = architectures.iter().map(|architecture| architecture.as_str()).collect();
        Ok(Outcome::Building(format!("created Jobs for {}", named.join(" and "))))
    }

    async fn open(&self) -> Result<OpenEnd, BuildFailure> {
        let image = self.spec.image.as_end();
        let of_process = self.ctx.images.rules.defaults.destination.credential.as_ref();
        Ok(OpenEnd::open(self.ctx, &self.build.owner, &self.build.end, &image, of_process)
            .await
            .map_err(|failure| failure.at("image"))?)
    }

    async fn inputs(&self, end: &OpenEnd) -> Result<Inputs, BuildFailure> {
        Inputs::read(self.ctx, &self.builders.rules, self.build, self.spec, end).await
    }
}

fn job_failure(architecture: Architecture, is_late: bool, message: &str) -> BuildFailure {
    let reason = if is_late { ImageBuilderReason::DeadlineExceeded } else { ImageBuilderReason::BuildFailed };
    let what = if is_late { "the build did not end in time" } else { "the build failed" };
    let hint = if message.contains(BUILD) { "; status.log has the end of its log" } else { "" };
    BuildFailure::new(reason, format!("{}: {what}: {message}{hint}", architecture.as_str()))
}

fn count(builders: &Builders, name: &str, before: &ImageBuilderStatus, after: &ImageBuilderStatus, at: Timestamp) {
    let is_other = before.build != after.build || before.phase != after.phase;
    match after.phase {
        Some(BuildPhase::Building) if is_other => builders.metrics.count_begun(name, at),
        Some(BuildPhase::Completed | BuildPhase::Failed) if is_other => {
            let begun = after.start_time.as_ref().map_or(at, |time| time.0);
            let outcome = ready_reason(after).map_or("", ImageBuilderReason::as_str);
            builders.metrics.count_ended(outcome, at.duration_since(begun).as_secs_f64());
        }
        _ => {}
    }
}

async fn announce(ctx: &Context, job: &Job<Builds>, (is_good, reason, message): Transition) {
    let object = &job.object;
    let about = About {
        api_version: "buildah.io/v1alpha1",
        kind: "ImageBuilder",
        namespace: &object.key.namespace,
        name: &object.key.name,
        uid: &object.uid,
    };
    ctx.events.record(&about, is_good, reason, &message, None).await;
}
