//! Terms of leadership without a Lease, for tests.

use super::*;

/// A replica that leads until a test ends its term.
#[derive(Clone)]
pub struct TestTerm(watch::Sender<Option<Held>>);

impl TestTerm {
    /// A term with this number.
    pub fn begin(number: i64) -> (Self, Term) {
        let end = Instant::now() + Duration::from_hours(1);
        let (sender, term) = watch::channel(Some(Held { until: end, others_from: end, number }));
        (Self(sender), Term(term))
    }

    /// Ends it.
    pub fn end(&self) {
        self.0.send_replace(None);
    }
}
