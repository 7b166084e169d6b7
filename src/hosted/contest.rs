//! Whether somebody takes our entry away again and again without a change of its own.

use std::time::{Duration, Instant};

use super::observed::ObservedTarget;
use super::plan::TargetPlan;

/// How often our entry may be taken away without a change before it is left alone.
const STRIKES: u32 = 3;
/// The first time it is left alone; doubled with each further strike.
const FIRST_TRUCE: Duration = Duration::from_secs(10);
/// The longest.
const LONGEST_TRUCE: Duration = Duration::from_mins(10);

/// How long a strike counts: longer than the longest truce, so that a fight goes on counting, and not for ever, so that what
/// happens once in a while is none.
const STRIKE_LASTS: Duration = LONGEST_TRUCE.saturating_mul(2);

/// What is remembered of one target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contest {
    /// The Deployment that all this is about.
    uid: String,
    /// The digest of its stock part when it was last seen.
    stock_digest: Option<String>,
    /// Whether our entry was there then.
    carried: bool,
    /// When we last did something that has a stock operator write this target, until it has.
    asked: Option<Instant>,
    strikes: u32,
    last_strike: Option<Instant>,
    truce_until: Option<Instant>,
}

impl Contest {
    /// Takes in what is there and what is planned; answers how long the target is to be left alone, if it is.
    ///
    /// A strike is our entry gone although the stock part is as it was: a stock operator that goes on with its work changes
    /// something of its own in the write that takes our entry along. No strike is what we did or caused ourselves: our own
    /// removal, see [`Self::forget`], and one write of a stock operator within `handover` after [`Self::ask`], which may
    /// change its part to and fro before anybody looks.
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
            return None; // nothing is put back
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

    /// We took our entry away ourselves: its absence says nothing.
    pub fn forget(&mut self) {
        self.carried = false;
    }

    /// We did something that has a stock operator write this target.
    pub fn ask(&mut self, now: Instant) {
        self.asked = Some(now);
    }
}

#[cfg(test)]
mod tests;
