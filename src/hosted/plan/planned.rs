//! The types of a plan.

use std::sync::Arc;

use hypermirror_api::Reason;

use crate::hosted::entries::Entries;
use crate::hosted::observed::ObservedTarget;
use crate::hosted::target::TargetSpec;

/// The plan for one target.
#[derive(Clone, Debug, Default)]
#[allow(clippy::struct_excessive_bools)] // independent input, each read by itself
pub struct TargetPlan {
    /// Whether its effective value is the desired one.
    pub up_to_date: bool,
    /// The complete change, if there is one now.
    pub patch: Option<json_patch::Patch>,
    /// The annotations before the change, which do not restart pods.
    pub announce: Option<json_patch::Patch>,
    /// Whether the patch changes the pod template.
    pub restarts: bool,
    /// Whether it only restores entries in the rollout of another client's change; see [`super::restores`].
    pub restores: bool,
    /// Whether it has appended values.
    pub carries: bool,
    /// Whether it has appended values after the patch.
    pub keeps: bool,
    /// Whether it waits for its parent's entries.
    pub waits_for_parent: bool,
    /// Why it is not up to date, or a remark if it is.
    pub reason: Option<Reason>,
    /// Human-readable details.
    pub message: String,
    /// The desired value.
    pub value: Entries,
    /// Entries of the stock value that belong to other managers.
    pub foreign: Entries,
    /// Entries in the current annotation that belong to other managers, for the report.
    pub annotated_foreign: Entries,
}

impl TargetPlan {
    /// The plan without writes, because `by` repeatedly removes the entries.
    #[must_use]
    pub fn contested(self, by: Option<&str>) -> Self {
        let by = by.unwrap_or("another client");
        Self {
            reason: Some(Reason::Contested),
            message: format!(
                "{by} removes the entry of hypermirror without another change; the next attempt is delayed"
            ),
            value: self.value,
            foreign: self.foreign,
            annotated_foreign: self.annotated_foreign,
            ..Self::default()
        }
    }
}

/// One target of a hosted cluster.
#[derive(Clone, Debug)]
pub struct Target {
    /// The specification of the Deployment.
    pub spec: Arc<TargetSpec>,
    /// Its current state, if it exists.
    pub observed: Option<Arc<ObservedTarget>>,
    /// Its plan, if it exists and is planned.
    pub plan: Option<TargetPlan>,
}

impl Target {
    /// Creates a target without a plan.
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
    /// The planned targets, in order.
    pub targets: Vec<Target>,
    /// Whether a stock operator has not read the current mirrors of the management cluster yet.
    pub stock_is_behind: bool,
    /// The value with which it has to be triggered, if it has to be.
    pub touch: Option<String>,
}

impl Plan {
    /// The plans of existing targets, in order.
    pub fn planned(&self) -> impl Iterator<Item = &TargetPlan> {
        self.targets.iter().filter_map(|target| target.plan.as_ref())
    }

    /// Whether all existing targets have the desired value.
    pub fn is_up_to_date(&self) -> bool {
        self.planned().all(|target| target.up_to_date)
    }

    /// Whether there are writes.
    pub fn writes(&self) -> bool {
        self.touch.is_some() || self.planned().any(|target| target.patch.is_some())
    }

    /// Whether the writes restart pods, directly or through triggered stock operators.
    pub fn restarts(&self) -> bool {
        let triggers = self.touch.is_some() && self.stock_is_behind;
        triggers || self.planned().any(|target| target.restarts && !target.restores && target.patch.is_some())
    }

    /// Whether children still have to change after their parent has passed on its entries.
    pub fn waits_for_parent(&self) -> bool {
        self.planned().any(|target| target.waits_for_parent)
    }
}
