//! Limits the cost of parsing any text to a multiple of that of a realistic text of the same length.
//!
//! It measures the CPU time of the current thread, which does not depend on other programs, and compares it with a realistic
//! text in the same build, so that checks and instrumentation have no effect.

use std::sync::{LazyLock, OnceLock};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Maximum ratio to a realistic text of the same length.
const FACTOR: u32 = 8;
/// Cost that is always allowed, because smaller times are noise.
const FREE: Duration = Duration::from_millis(50);
/// Size of the realistic text: an eighth of the limit of an API server.
const HONEST_ENTRIES: usize = 2_000;

fn processor_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(now).unwrap_or_default()
}

fn measured<T>(read: impl FnOnce() -> T) -> (T, Duration) {
    let start = processor_time();
    let value = read();
    (value, processor_time().saturating_sub(start))
}

/// A realistic mirror set. Built once, because each execution needs its length.
static HONEST: LazyLock<String> = LazyLock::new(honest);

fn honest() -> String {
    let entry = |n: usize| {
        format!("  - source: quay.io/organisation/repository-{n}\n    mirrors:\n    - mirror.example/repository-{n}\n")
    };
    let entries = (0..HONEST_ENTRIES).map(entry).collect::<Vec<_>>().concat();
    format!("apiVersion: config.openshift.io/v1\nkind: ImageDigestMirrorSet\nspec:\n  imageDigestMirrors:\n{entries}")
}

/// Parses a text and panics if its cost is more than linear. `known` caches the cost of a realistic text for this parser.
pub fn linear<T>(known: &OnceLock<Duration>, text: &str, read: impl Fn(&str) -> T) -> T {
    let of_honest = *known.get_or_init(|| (0..3).map(|_| measured(|| read(&HONEST)).1).max().unwrap_or_default());
    let share = u32::try_from(text.len() * 1_000 / HONEST.len()).unwrap_or(u32::MAX);
    let allowed = FREE + of_honest.saturating_mul(FACTOR).saturating_mul(share) / 1_000;
    let (value, took) = measured(|| read(text));
    if took > allowed {
        // Measure again, because the first run may include one-time initialization.
        let (_, took) = measured(|| read(text));
        assert!(
            took <= allowed,
            "{} bytes took {took:?}; the limit is {allowed:?}, {FACTOR} times the cost of a realistic text",
            text.len()
        );
    }
    value
}
