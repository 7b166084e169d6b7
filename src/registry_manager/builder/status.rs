//! The status of an ImageBuilder from what a look at its build has shown. Pure.

use hypermirror_api::image_builder::{ArchitectureStatus, BaseImage, BuildLog, BuildPhase};
use hypermirror_api::{ImageBuilderConditionType, ImageBuilderReason, ImageBuilderStatus};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use serde_json::{Map, Value, json};

use super::super::conditions::Conditions;
use super::super::status::shown;
use super::failure::BuildFailure;
use super::settings::Build;

/// What a look at a build has shown.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Jobs run.
    Building(String),
    /// The tag names what was built.
    Built {
        /// Its digest.
        digest: String,
        /// Each image.
        architectures: Vec<ArchitectureStatus>,
    },
    /// There is no image.
    Failed {
        /// Why.
        failure: BuildFailure,
        /// The end of the log of the Job that failed.
        log: Option<BuildLog>,
    },
}

/// A look.
#[derive(Clone, Debug)]
pub struct Look<'a> {
    /// When.
    pub at: Timestamp,
    /// Of the spec that was used.
    pub generation: i64,
    /// The annotation.
    pub build_now: Option<&'a str>,
    /// The build, if the spec asks for one.
    pub build: Option<&'a Build>,
    /// What its Dockerfile starts from.
    pub base_images: Vec<BaseImage>,
    /// What it has shown.
    pub outcome: Outcome,
}

/// An event: whether it is a good one, its reason and its message.
pub type Transition = (bool, &'static str, String);

/// The reason of the condition `Ready`.
pub fn ready_reason(status: &ImageBuilderStatus) -> Option<ImageBuilderReason> {
    let ready = ImageBuilderConditionType::Ready.as_str();
    let found = status.conditions.iter().find(|condition| condition.type_ == ready)?;
    ImageBuilderReason::parse(&found.reason)
}

/// The status after a look.
pub fn after(before: &ImageBuilderStatus, look: Look<'_>) -> ImageBuilderStatus {
    let conditions = conditions(before, &look);
    let message = Some(shown(&message(&look)));
    let Look { at, generation, build_now, build, base_images, outcome } = look;
    let is_same_build = build.is_some_and(|build| before.build.as_ref() == Some(&build.id));
    let mut status = ImageBuilderStatus {
        build: build.map(|build| build.id.clone()),
        ran_jobs: build.map(Build::job_names).unwrap_or_default(),
        job_namespace: build.map(|build| build.namespace.clone()),
        image: build.map(Build::image),
        base_images,
        start_time: if is_same_build { before.start_time.clone() } else { Some(Time(at)) },
        completion_time: before.completion_time.clone(),
        last_run_time: Some(Time(at)),
        last_generation_seen: generation,
        observed_generation: Some(generation),
        // Removing the annotation is no reason to forget what it asked for.
        last_handled_build_now: build_now.map(str::to_owned).or_else(|| before.last_handled_build_now.clone()),
        message,
        conditions,
        ..ImageBuilderStatus::default()
    };
    match outcome {
        Outcome::Building(_) => {
            status.phase = Some(BuildPhase::Building);
            status.consecutive_failures = if is_same_build { before.consecutive_failures } else { 0 };
        }
        Outcome::Built { digest, architectures } => {
            status.phase = Some(BuildPhase::Completed);
            status.pushed = true;
            status.digest = Some(digest);
            status.architectures = architectures;
            status.completion_time = Some(Time(at));
        }
        Outcome::Failed { log, .. } => {
            status.phase = Some(BuildPhase::Failed);
            status.log = log;
            status.consecutive_failures = before.consecutive_failures.saturating_add(1);
        }
    }
    status
}

/// The merge patch from one status to the next; nothing if only the time would change.
pub fn patch(before: &ImageBuilderStatus, after: &ImageBuilderStatus) -> Option<Value> {
    let timeless = |status: &ImageBuilderStatus| ImageBuilderStatus { last_run_time: None, ..status.clone() };
    if timeless(before) == timeless(after) {
        return None;
    }
    let fields = |status: &ImageBuilderStatus| match serde_json::to_value(status) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    let mut patch: Map<String, Value> = fields(before).into_iter().map(|(name, _)| (name, Value::Null)).collect();
    patch.extend(fields(after));
    Some(json!({"status": patch}))
}

/// The event of a look: that a build began, ended, or cannot begin.
pub fn transition(before: &ImageBuilderStatus, after: &ImageBuilderStatus) -> Option<Transition> {
    let reason = ready_reason(after)?;
    let is_known = before.build == after.build && ready_reason(before) == Some(reason);
    let is_good = matches!(reason, ImageBuilderReason::Built | ImageBuilderReason::Building);
    (!is_known).then(|| (is_good, reason.as_str(), after.message.clone().unwrap_or_default()))
}

fn reason(outcome: &Outcome) -> ImageBuilderReason {
    match outcome {
        Outcome::Building(_) => ImageBuilderReason::Building,
        Outcome::Built { .. } => ImageBuilderReason::Built,
        Outcome::Failed { failure, .. } => failure.reason,
    }
}

fn message(look: &Look<'_>) -> String {
    match &look.outcome {
        Outcome::Building(what) => what.clone(),
        Outcome::Built { digest, .. } => {
            let image = look.build.map(Build::image).unwrap_or_default();
            format!("built and pushed {image}, {digest}")
        }
        Outcome::Failed { failure, .. } => failure.message.clone(),
    }
}

fn conditions(before: &ImageBuilderStatus, look: &Look<'_>) -> Vec<Condition> {
    use ImageBuilderConditionType::{Ready, Reconciling, Stalled};
    let (reason, message) = (reason(&look.outcome), message(look));
    let set = Conditions { before: &before.conditions, generation: look.generation, at: look.at };
    let of = |kind: ImageBuilderConditionType, status| set.make(kind.as_str(), status, reason.as_str(), &message);
    let goes_on = reason == ImageBuilderReason::Building || reason.is_transient();
    let is_built = reason == ImageBuilderReason::Built;
    vec![of(Ready, is_built), of(Reconciling, goes_on), of(Stalled, !is_built && !goes_on)]
}

#[cfg(test)]
mod tests;
