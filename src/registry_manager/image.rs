//! Images: copies tags from one registry to another when they are due.
//!
//! What decides is pure: `version`, `frequency`, `defaults`, `allow`, `settings`, `due`, `plan`, `status`.

pub mod allow;
mod copy;
pub mod defaults;
pub mod due;
pub mod failure;
pub mod frequency;
pub mod metrics;
pub mod plan;
mod run;
pub mod settings;
pub(super) mod sides;
pub mod status;
pub mod version;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use hypermirror_api::ImageReason;
use hypermirror_api::image::ImagePhase;
use jiff::Timestamp;

use super::agenda::{Job, Limits, ObjectKey};
use super::queue::Queue;
use crate::registry::auth::ecr::Ecr;
use crate::telemetry::metrics::{OutcomeLabels, StateLabels, gauge};
use due::Copies;
use metrics::ImageMetrics;
pub use run::run;
use settings::Rules;
use sides::InUse;
pub use watch::follow;

/// What all runs share.
pub struct Images {
    /// The objects and the runs.
    pub queue: Arc<Queue<Copies>>,
    /// What flags and the environment say.
    pub rules: Rules,
    /// Least time between two runs of one object.
    pub least: Duration,
    /// The process's own AWS identity.
    pub ecr: Option<Arc<Ecr>>,
    /// Numbers.
    pub metrics: ImageMetrics,
    in_use: InUse,
}

impl Images {
    /// With limits of runs at once.
    pub fn new(limits: Limits, least: Duration, rules: Rules, ecr: Option<Arc<Ecr>>, metrics: ImageMetrics) -> Self {
        Self { queue: Arc::new(Queue::new(limits, least)), rules, least, ecr, metrics, in_use: InUse::default() }
    }

    /// Drops an object.
    pub fn forget(&self, key: &ObjectKey) {
        self.queue.forget(key);
        self.in_use.drop(key);
    }

    /// Logs what an administrator should know about the environment.
    pub fn log_rules(&self) {
        for name in &self.rules.defaults.without_effect {
            tracing::info!(variable = name, "this variable has no effect: copies run in this process");
        }
        if self.rules.destinations.is_empty() {
            tracing::info!("no Image is copied: --destination-allow names no destination");
        }
        if self.rules.defaults.source.credential.is_some() && self.rules.credentials.is_empty() {
            tracing::warn!(
                "CREDS_SOURCE_USERNAME has no effect: --source-credentials-allow names no registry that may get it"
            );
        }
    }

    /// Updates gauges.
    pub fn count(&self) {
        let phases = [ImagePhase::Running, ImagePhase::Completed, ImagePhase::Failed, ImagePhase::Suspended];
        let mut counts = [0_usize; 4];
        let mut pending = 0;
        {
            let agenda = self.queue.agenda();
            for (_, known) in agenda.all() {
                match phases.iter().position(|phase| known.phase == Some(*phase)) {
                    Some(place) => counts[place] += 1,
                    None => pending += 1,
                }
            }
            self.metrics.running.set(gauge(agenda.running()));
        }
        let named = phases.iter().map(|phase| phase.as_str()).zip(counts);
        for (state, count) in named.chain([("PENDING", pending)]) {
            self.metrics.images.get_or_create(&StateLabels { state }).set(gauge(count));
        }
    }

    fn count_run(&self, job: &Job<Copies>, outcome: ImageReason, progress: &run::Progress, seconds: f64) {
        self.metrics.runs.get_or_create(&OutcomeLabels { outcome: outcome.as_str() }).observe(seconds);
        let (tags, bytes) = progress.copied();
        if tags > 0 {
            self.metrics.count_copied(&job.object.key.name, tags, bytes, Timestamp::now());
        }
    }
}
