//! Detects clients that repeatedly remove the entry of hypermirror without another change.

use std::time::{Duration, Instant};

use super::observed::ObservedTarget;
use super::plan::TargetPlan;

/// Number of removals without another change before the next attempt is delayed. Single removals, such as manual edits, are
/// restored immediately.
const REMOVALS: u32 = 3;
/// First delay. It doubles with each further removal.
const FIRST_DELAY: Duration = Duration::from_secs(10);
/// Maximum delay.
const LONGEST_DELAY: Duration = Duration::from_mins(10);

/// Time for which a removal counts: longer than the maximum delay, so that repeated removals are counted, and limited, so that
/// occasional ones are not.
const REMOVAL_COUNTS_FOR: Duration = LONGEST_DELAY.saturating_mul(2);

/// The state of one target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contest {
    /// The UID of the Deployment.
    uid: String,
    /// The last observed digest of its stock part.
    stock_digest: Option<String>,
    /// Whether the entry existed at that time.
    carried: bool,
    /// The time when hypermirror last triggered a write of a stock operator, until that write.
    triggered: Option<Instant>,
    removals: u32,
    last_removal: Option<Instant>,
    delayed_until: Option<Instant>,
}

impl Contest {
    /// Records the current target and its plan. Returns the remaining delay, if writes are delayed.
    ///
    /// A removal counts if the stock part did not change: a stock operator that works normally changes its own part in the write
    /// that drops the entry. Removals that hypermirror caused do not count: its own removal, see [`Self::record_removal`], and one write
    /// of a stock operator within `handover` after [`Self::record_trigger`], which may change and revert its part between two observations.
    pub fn observe(
        &mut self,
        target: &ObservedTarget,
        plan: &TargetPlan,
        handover: Duration,
        now: Instant,
    ) -> Option<Duration> {
        if self.uid != target.uid {
            *self = Self { uid: target.uid.clone(), ..Self::default() };
        }
        let before = self.stock_digest.replace(target.stock_digest.clone());
        let carried = std::mem::replace(&mut self.carried, plan.carries);
        if before.as_ref() != self.stock_digest.as_ref() {
            (self.removals, self.triggered) = (0, None);
        } else if carried && !plan.carries && plan.restarts {
            let triggered = self.triggered.take().filter(|at| now.saturating_duration_since(*at) < handover);
            if triggered.is_none() {
                self.count_removal(now);
            }
        }
        if plan.carries || !plan.restarts {
            return None; // nothing is restored
        }
        self.delayed_until?.checked_duration_since(now).filter(|left| !left.is_zero())
    }

    fn count_removal(&mut self, now: Instant) {
        let lasts = |last: Instant| now.saturating_duration_since(last) <= REMOVAL_COUNTS_FOR;
        self.removals = if self.last_removal.is_some_and(lasts) { self.removals + 1 } else { 1 };
        self.last_removal = Some(now);
        if self.removals >= REMOVALS {
            let doubled = FIRST_DELAY * 2_u32.saturating_pow((self.removals - REMOVALS).min(16));
            self.delayed_until = Some(now + doubled.min(LONGEST_DELAY));
        }
    }

    /// Records that hypermirror removed the entry, so that its absence does not count.
    pub fn record_removal(&mut self) {
        self.carried = false;
    }

    /// Records that hypermirror triggered a write of a stock operator.
    pub fn record_trigger(&mut self, now: Instant) {
        self.triggered = Some(now);
    }
}

#[cfg(test)]
mod tests;
