//! Detects clients that repeatedly remove the entry of hypermirror without another change.

use std::time::{Duration, Instant};

use super::observed::ObservedTarget;
use super::plan::TargetPlan;

/// Number of removals without another change before the next attempt is delayed. Single removals, such as manual edits, are
/// restored immediately.
const STRIKES: u32 = 3;
/// First delay. It doubles with each further removal.
const FIRST_TRUCE: Duration = Duration::from_secs(10);
/// Maximum delay.
const LONGEST_TRUCE: Duration = Duration::from_mins(10);

/// Time for which a removal counts: longer than the maximum delay, so that repeated removals are counted, and limited, so that
/// occasional ones are not.
const STRIKE_LASTS: Duration = LONGEST_TRUCE.saturating_mul(2);

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
    asked: Option<Instant>,
    strikes: u32,
    last_strike: Option<Instant>,
    truce_until: Option<Instant>,
}

impl Contest {
    /// Records the current target and its plan. Returns the remaining delay, if writes are delayed.
    ///
    /// A removal counts if the stock part did not change: a stock operator that works normally changes its own part in the write
    /// that drops the entry. Removals that hypermirror caused do not count: its own removal, see [`Self::forget`], and one write
    /// of a stock operator within `handover` after [`Self::ask`], which may change and revert its part between two observations.
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
            (self.strikes, self.asked) = (0, None);
        } else if carried && !plan.carries && plan.restarts {
            let asked = self.asked.take().filter(|asked| now.saturating_duration_since(*asked) < handover);
            if asked.is_none() {
                self.strike(now);
            }
        }
        if plan.carries || !plan.restarts {
            return None; // nothing is restored
        }
        self.truce_until?.checked_duration_since(now).filter(|left| !left.is_zero())
    }

    fn strike(&mut self, now: Instant) {
        let lasts = |last: Instant| now.saturating_duration_since(last) <= STRIKE_LASTS;
        self.strikes = if self.last_strike.is_some_and(lasts) { self.strikes + 1 } else { 1 };
        self.last_strike = Some(now);
        if self.strikes >= STRIKES {
            let doubled = FIRST_TRUCE * 2_u32.saturating_pow((self.strikes - STRIKES).min(16));
            self.truce_until = Some(now + doubled.min(LONGEST_TRUCE));
        }
    }

    /// Records that hypermirror removed the entry, so that its absence does not count.
    pub fn forget(&mut self) {
        self.carried = false;
    }

    /// Records that hypermirror triggered a write of a stock operator.
    pub fn ask(&mut self, now: Instant) {
        self.asked = Some(now);
    }
}

#[cfg(test)]
mod tests;
