//! How fast the machine is now: a promise in seconds is kept or broken by the manager, not by who else runs beside it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use kube::Client;
use tokio::task::JoinHandle;

/// Between two beats.
const PAUSE: Duration = Duration::from_millis(50);
/// What a request takes on a machine that has nothing else to do, with some room.
const USUAL: Duration = Duration::from_millis(10);

/// One beat: a pause and a small request.
#[derive(Clone, Copy, Debug)]
struct Beat {
    begin: Instant,
    end: Instant,
}

impl Beat {
    /// By how much it was late, as far as it lies between two moments.
    fn late(&self, from: Instant, to: Instant) -> Duration {
        let within = self.end.min(to).saturating_duration_since(self.begin.max(from));
        let took = self.end.saturating_duration_since(self.begin);
        took.saturating_sub(PAUSE + USUAL).min(within)
    }
}

/// A pulse. Dropping it ends it.
pub struct Pulse {
    beats: Arc<Mutex<Vec<Beat>>>,
    task: JoinHandle<()>,
}

impl Pulse {
    /// Beats on an API server.
    pub fn start(client: Client) -> Self {
        let beats: Arc<Mutex<Vec<Beat>>> = Arc::default();
        let told = Arc::clone(&beats);
        let task = tokio::spawn(async move {
            loop {
                let begin = Instant::now();
                tokio::time::sleep(PAUSE).await;
                let Ok(request) = http::Request::get("/version").body(Vec::new()) else { return };
                let _ = client.request_text(request).await; // refused is answered, too
                told.lock().unwrap_or_else(PoisonError::into_inner).push(Beat { begin, end: Instant::now() });
            }
        });
        Self { beats, task }
    }

    /// How much of the time between two moments the machine was busy with other things.
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
