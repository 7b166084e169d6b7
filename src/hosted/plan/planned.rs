//! What a plan is: each target, and what to do with it.

use std::sync::Arc;

use hypermirror_api::Reason;

use crate::hosted::observed::ObservedTarget;
use crate::hosted::target::TargetSpec;

/// What to do with one target.
#[derive(Clone, Debug, Default)]
#[allow(clippy::struct_excessive_bools)] // independent input, each read by itself
pub struct TargetPlan {
    /// Whether its process is told exactly what is wanted.
    pub up_to_date: bool,
    /// The whole change; none if nothing has to change, or not now.
    pub patch: Option<json_patch::Patch>,
    /// The annotations alone, ahead of the change: they restart nothing.
    pub announce: Option<json_patch::Patch>,
    /// Whether the patch changes the pod template.
    pub restarts: bool,
    /// Whether it only puts back what somebody's change has taken, in the rollout of that change; see [`super::restores`].
    pub restores: bool,
    /// Whether our env var or argument is there now.
    pub carries: bool,
    /// Whether one of them is there once the patch is written.
    pub keeps: bool,
    /// It waits for its parent's entries.
    pub waits_for_parent: bool,
    /// Why it is not up to date, or what is worth knowing although it is.
    pub reason: Option<Reason>,
    /// The same for a person.
    pub message: String,
    /// The value that it should carry.
    pub value: String,
    /// Entries of the stock value that are somebody else's.
    pub foreign: String,
    /// Entries of the annotation that stands now that are somebody else's: what a report has to say about it.
    pub admitted_foreign: String,
}

impl TargetPlan {
    /// The same with nothing to write: `by` removes our entries again and again.
    #[must_use]
    pub fn contested(self, by: Option<&str>) -> Self {
        let by = by.unwrap_or("somebody");
        Self {
            reason: Some(Reason::Contested),
            message: format!(
                "{by} removes the entry of hypermirror without another change; the next attempt is delayed"
            ),
            value: self.value,
            foreign: self.foreign,
            admitted_foreign: self.admitted_foreign,
            ..Self::default()
        }
    }
}

/// One target of a hosted cluster.
#[derive(Clone, Debug)]
pub struct Target {
    /// Which Deployment it is.
    pub spec: Arc<TargetSpec>,
    /// What there is of it; none if there is no such Deployment.
    pub observed: Option<Arc<ObservedTarget>>,
    /// What to do with it, once that is planned; none if there is no such Deployment.
    pub plan: Option<TargetPlan>,
}

impl Target {
    /// A target that is not planned yet.
    pub fn new(spec: Arc<TargetSpec>, observed: Option<Arc<ObservedTarget>>) -> Self {
        Self { spec, observed, plan: None }
    }

    /// The Deployment's name.
    pub fn name(&self) -> &str {
        &self.spec.deployment
    }
}

/// The plan for one hosted cluster.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The targets of the input, planned, in their order.
    pub targets: Vec<Target>,
    /// Whether a stock operator has not read the present mirrors of the management cluster yet.
    pub stock_is_behind: bool,
    /// Whether it should be asked to read them, and the value that asks it to.
    pub touch: Option<String>,
}

impl Plan {
    /// The plans of those targets that are there, in their order.
    pub fn planned(&self) -> impl Iterator<Item = &TargetPlan> {
        self.targets.iter().filter_map(|target| target.plan.as_ref())
    }

    /// Whether every target that is there says what is wanted.
    pub fn is_up_to_date(&self) -> bool {
        self.planned().all(|target| target.up_to_date)
    }

    /// Whether anything has to be written now.
    pub fn writes(&self) -> bool {
        self.touch.is_some() || self.planned().any(|target| target.patch.is_some())
    }

    /// Whether pods restart by what has to be written now: by our patches, or by those of stock operators that we ask.
    pub fn restarts(&self) -> bool {
        let asks = self.touch.is_some() && self.stock_is_behind;
        asks || self.planned().any(|target| target.restarts && !target.restores && target.patch.is_some())
    }

    /// Whether children are still to change, once their parent has handed its entries on.
    pub fn waits_for_parent(&self) -> bool {
        self.planned().any(|target| target.waits_for_parent)
    }
}
