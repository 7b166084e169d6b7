//! Measures the load of the machine, so that limits in seconds do not depend on other programs.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use kube::Client;
use tokio::task::JoinHandle;

/// Interval between two measurements.
const PAUSE: Duration = Duration::from_millis(50);
/// Duration of a request on an idle machine, with a margin.
const USUAL: Duration = Duration::from_millis(10);

/// One measurement: a pause and a small request.
#[derive(Clone, Copy, Debug)]
struct Beat {
    begin: Instant,
    end: Instant,
}

impl Beat {
    /// Its delay between two times.
    fn late(&self, from: Instant, to: Instant) -> Duration {
        let within = self.end.min(to).saturating_duration_since(self.begin.max(from));
        let took = self.end.saturating_duration_since(self.begin);
        took.saturating_sub(PAUSE + USUAL).min(within)
    }
}

/// A running measurement. Dropping it stops it.
pub struct Pulse {
    beats: Arc<Mutex<Vec<Beat>>>,
    task: JoinHandle<()>,
}

impl Pulse {
    /// Starts to measure with an API server.
    pub fn start(client: Client) -> Self {
        let beats: Arc<Mutex<Vec<Beat>>> = Arc::default();
        let changed = Arc::clone(&beats);
        let task = tokio::spawn(async move {
            loop {
                let begin = Instant::now();
                tokio::time::sleep(PAUSE).await;
                let Ok(request) = http::Request::get("/version").body(Vec::new()) else { return };
                let _ = client.request_text(request).await; // a rejected request also has a response
                changed.lock().unwrap_or_else(PoisonError::into_inner).push(Beat { begin, end: Instant::now() });
            }
        });
        Self { beats, task }
    }

    /// The time between two times in which the machine was busy with other programs.
    pub fn stalled(&self, from: Instant, to: Instant) -> Duration {
        let beats = self.beats.lock().unwrap_or_else(PoisonError::into_inner);
        beats.iter().map(|beat| beat.late(from, to)).sum()
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beat_that_is_late_counts_as_far_as_it_lies_between() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let beat = |from, to| Beat { begin: at(from), end: at(to) };
        assert_eq!(beat(0, 55).late(at(0), at(1000)), Duration::ZERO);
        assert_eq!(beat(0, 560).late(at(0), at(1000)), Duration::from_millis(500));
        assert_eq!(beat(0, 560).late(at(400), at(1000)), Duration::from_millis(160));
        assert_eq!(beat(0, 560).late(at(600), at(1000)), Duration::ZERO);
    }
}
