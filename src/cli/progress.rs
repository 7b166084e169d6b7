//! How far a command is, on a terminal and nowhere else.

use std::collections::HashMap;
use std::io::{self, IsTerminal as _};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::{BinaryBytes, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::console;
use crate::printable;
use crate::registry::Digest;
use crate::registry::transfer::progress::Arrival;
use crate::registry::transfer::{CopyProgress, Outcome, Side, Totals};

/// How often a line is written where no terminal shows a bar.
const LINE: Duration = Duration::from_secs(10);
const TOTAL_STYLE: &str = "{bar:30} {bytes}/{total_bytes} {msg}, {bytes_per_sec}, {eta} left";
const BLOB_STYLE: &str = "  {bar:28} {bytes}/{total_bytes} {msg}";
/// Digits that tell blobs apart.
const DIGITS: usize = 12;
const TICK: Duration = Duration::from_millis(100);

/// A bar on standard error, or nothing.
pub struct Bar(ProgressBar);

impl Bar {
    /// A bar, if somebody sees it.
    pub fn new() -> Self {
        if !io::stderr().is_terminal() {
            return Self(ProgressBar::hidden());
        }
        let bar = ProgressBar::new_spinner();
        bar.enable_steady_tick(TICK);
        Self(bar)
    }

    /// Shows what is done while nothing can be counted.
    pub fn say(&self, what: &str) {
        self.0.set_message(printable::line(what).into_owned());
    }

    /// Shows how many of all are done, how fast, and the time that is left.
    pub fn count(&self, what: &'static str, done: usize, total: usize) {
        if done == 1
            && let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}, {per_sec}, {eta} left")
        {
            self.0.set_style(style);
            self.0.reset();
            self.0.set_message(what);
        }
        self.0.set_length(total as u64);
        self.0.set_position(done as u64);
    }

    /// Takes it off the terminal.
    pub fn end(&self) {
        self.0.finish_and_clear();
    }
}

/// What moves: a bar in total and one for each blob; a line from time to time where there is no terminal.
pub struct Transfers {
    bars: MultiProgress,
    total: ProgressBar,
    blobs: Mutex<HashMap<(String, Digest), ProgressBar>>,
    counts: Arc<Counts>,
    lines: Option<AbortHandle>,
}

struct Counts {
    begun: Instant,
    bytes: AtomicU64,
    all_bytes: AtomicU64,
    images: AtomicUsize,
    all_images: AtomicUsize,
    /// Images that were looked at; blobs move only when all were.
    surveyed: AtomicUsize,
    is_planned: AtomicBool,
}

impl Counts {
    fn line(&self) -> String {
        if !self.is_planned.load(Ordering::Relaxed) {
            let count = |count: &AtomicUsize| count.load(Ordering::Relaxed);
            return format!("{} of {} images looked at", count(&self.surveyed), count(&self.all_images));
        }
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let (bytes, all) = (read(&self.bytes), read(&self.all_bytes));
        let rate = bytes / self.begun.elapsed().as_secs().max(1);
        format!(
            "{} of {} images, {} of {} sent, {}/s",
            self.images.load(Ordering::Relaxed),
            self.all_images.load(Ordering::Relaxed),
            BinaryBytes(bytes),
            BinaryBytes(all),
            BinaryBytes(rate),
        )
    }
}

impl Transfers {
    /// Bars if somebody sees them, else lines.
    pub fn new() -> Self {
        Self::with(io::stderr().is_terminal(), console::note)
    }

    /// Bars on standard error, or lines that are written so.
    fn with(is_seen: bool, write: impl Fn(String) + Send + 'static) -> Self {
        let counts = Arc::new(Counts {
            begun: Instant::now(),
            bytes: AtomicU64::new(0),
            all_bytes: AtomicU64::new(0),
            images: AtomicUsize::new(0),
            all_images: AtomicUsize::new(0),
            surveyed: AtomicUsize::new(0),
            is_planned: AtomicBool::new(false),
        });
        let target = if is_seen { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bars = MultiProgress::with_draw_target(target);
        let total = bars.add(ProgressBar::new_spinner());
        total.enable_steady_tick(TICK);
        let lines = (!is_seen).then(|| {
            let counts = counts.clone();
            // Ends with the bars.
            let lines = tokio::spawn(async move {
                loop {
                    tokio::time::sleep(LINE).await;
                    write(counts.line());
                }
            });
            lines.abort_handle()
        });
        Self { bars, total, blobs: Mutex::default(), counts, lines }
    }

    fn blobs(&self) -> MutexGuard<'_, HashMap<(String, Digest), ProgressBar>> {
        self.blobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes everything off the terminal.
    pub fn end(&self) {
        if let Some(lines) = &self.lines {
            lines.abort();
        }
        self.blobs().drain().for_each(|(_, bar)| bar.finish_and_clear());
        self.total.finish_and_clear();
    }
}

impl Drop for Transfers {
    fn drop(&mut self) {
        self.end();
    }
}

impl CopyProgress for Transfers {
    fn surveyed(&self, done: usize, all: usize) {
        self.counts.all_images.store(all, Ordering::Relaxed);
        self.counts.surveyed.store(done, Ordering::Relaxed);
        self.total.set_message(format!("{done}/{all} images looked at"));
    }

    fn planned(&self, totals: &Totals) {
        self.counts.is_planned.store(true, Ordering::Relaxed);
        self.counts.all_bytes.store(totals.upload_bytes, Ordering::Relaxed);
        self.counts.all_images.store(totals.images + totals.unchanged, Ordering::Relaxed);
        if let Ok(style) = ProgressStyle::with_template(TOTAL_STYLE) {
            self.total.set_style(style);
        }
        self.total.reset();
        self.total.set_length(totals.upload_bytes);
    }

    fn blob_begun(&self, to: &Side, digest: &Digest, size: u64) {
        if self.lines.is_some() {
            return;
        }
        let bar = self.bars.add(ProgressBar::new(size));
        if let Ok(style) = ProgressStyle::with_template(BLOB_STYLE) {
            bar.set_style(style);
        }
        let digits = digest.hex().get(..DIGITS).unwrap_or_default();
        bar.set_message(printable::line(&format!("{digits} to {to}")).into_owned());
        self.blobs().insert((to.to_string(), digest.clone()), bar);
    }

    fn blob_bytes(&self, to: &Side, digest: &Digest, bytes: u64) {
        self.counts.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.total.inc(bytes);
        if self.lines.is_none()
            && let Some(bar) = self.blobs().get(&(to.to_string(), digest.clone()))
        {
            bar.inc(bytes);
        }
    }

    fn blob_ended(&self, to: &Side, digest: &Digest, _arrival: Arrival) {
        if let Some(bar) = self.blobs().remove(&(to.to_string(), digest.clone())) {
            bar.finish_and_clear();
        }
    }

    fn image_ended(&self, _outcome: &Outcome) {
        let done = self.counts.images.fetch_add(1, Ordering::Relaxed) + 1;
        self.total.set_message(format!("{done}/{} images", self.counts.all_images.load(Ordering::Relaxed)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_line_is_written_every_ten_seconds_until_the_end() {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let written = lines.clone();
        let transfers = Transfers::with(false, move |line| written.lock().unwrap().push(line));
        transfers.surveyed(1, 2);
        assert_eq!(transfers.counts.line(), "1 of 2 images looked at");
        transfers.planned(&Totals { upload_bytes: 4_096, images: 2, ..Totals::default() });
        let count = || lines.lock().unwrap().len();
        tokio::time::sleep(Duration::from_millis(9_900)).await;
        assert_eq!(count(), 0);
        transfers.counts.bytes.fetch_add(1_024, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(*lines.lock().unwrap(), ["0 of 2 images, 1.00 KiB of 4.00 KiB sent, 102 B/s"]);
        tokio::time::sleep(Duration::from_secs(20)).await;
        assert_eq!(count(), 3);
        transfers.end();
        tokio::time::sleep(Duration::from_mins(1)).await;
        assert_eq!(count(), 3, "nothing after the end");
    }
}
