//! ImageBuilders: builds images from Dockerfiles with Buildah in Jobs, and tags what the Jobs pushed.
//!
//! What decides is pure: `auth`, `dockerfile`, `due`, `environment`, `excerpt`, `failure`, `index`, `mirrors`, `objects`,
//! `settings`, `status`, `step`.

mod auth;
mod dockerfile;
pub mod due;
pub mod environment;
mod excerpt;
pub mod failure;
mod index;
mod inputs;
mod jobs;
pub mod metrics;
mod mirrors;
mod objects;
mod publish;
mod run;
pub mod settings;
pub mod status;
mod step;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use hypermirror_api::image_builder::BuildPhase;

use super::agenda::Limits;
use super::queue::Queue;
use crate::telemetry::metrics::{StateLabels, gauge};
use due::Builds;
use metrics::BuildMetrics;
pub use run::run;
use settings::BuildRules;
pub use watch::follow;

/// What all builds share.
pub struct Builders {
    /// The objects and the jobs.
    pub queue: Arc<Queue<Builds>>,
    /// What flags and the environment say.
    pub rules: BuildRules,
    /// Numbers.
    pub metrics: BuildMetrics,
}

impl Builders {
    /// With limits of jobs at once.
    pub fn new(limits: Limits, least: Duration, rules: BuildRules, metrics: BuildMetrics) -> Self {
        Self { queue: Arc::new(Queue::new(limits, least)), rules, metrics }
    }

    /// Updates gauges.
    pub fn count(&self) {
        let phases = [BuildPhase::Building, BuildPhase::Completed, BuildPhase::Failed];
        let mut counts = [0_usize; 3];
        let mut pending = 0;
        {
            let agenda = self.queue.agenda();
            for (_, known) in agenda.all() {
                match phases.iter().position(|phase| known.status.phase == Some(*phase)) {
                    Some(place) => counts[place] += 1,
                    None => pending += 1,
                }
            }
        }
        let named = phases.iter().map(|phase| phase.as_str()).zip(counts);
        for (state, count) in named.chain([("PENDING", pending)]) {
            self.metrics.builders.get_or_create(&StateLabels { state }).set(gauge(count));
        }
    }
}
