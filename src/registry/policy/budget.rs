//! How many requests may be sent again: a registry that is down is not asked five times as often as one that works.

/// What is there at the start, and at most.
const MOST: f64 = 100.0;
/// For each answer: one retry for each two requests, at most, once the start is used up.
const REFILL: f64 = 0.5;

/// Retries of one registry, shared by all its requests.
#[derive(Debug)]
pub(super) struct Budget(f64);

impl Default for Budget {
    fn default() -> Self {
        Self(MOST)
    }
}

impl Budget {
    /// Whether a request may be sent again.
    pub(super) fn take(&mut self) -> bool {
        let is_enough = self.0 >= 1.0;
        if is_enough {
            self.0 -= 1.0;
        }
        is_enough
    }

    /// A request was answered.
    pub(super) fn refill(&mut self) {
        self.0 = (self.0 + REFILL).min(MOST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_end_where_nothing_is_answered() {
        let mut budget = Budget::default();
        assert_eq!((0..1_000).filter(|_| budget.take()).count(), 100);
        budget.refill();
        assert!(!budget.take());
        budget.refill();
        assert!(budget.take());
        for _ in 0..1_000 {
            budget.refill();
        }
        assert_eq!((0..1_000).filter(|_| budget.take()).count(), 100);
    }
}
