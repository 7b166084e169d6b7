//! What reading costs: no more than a few times what an honest text of that length does, whatever it says.
//!
//! Processor time of this thread, so that the machine's other work does not count; compared with an honest text read by the
//! same build on the same machine, so that neither checks nor instrumentation count.

use std::sync::OnceLock;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// How many times as much as an honest text of the same length.
const FACTOR: u32 = 8;
/// What any text may cost: less is noise.
const FREE: Duration = Duration::from_millis(50);
/// An honest text as long as an API server takes, divided by eight.
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

/// A set of mirrors as people write them.
pub fn honest() -> String {
    let entry = |n: usize| {
        format!("  - source: quay.io/organisation/repository-{n}\n    mirrors:\n    - mirror.example/repository-{n}\n")
    };
    let entries = (0..HONEST_ENTRIES).map(entry).collect::<Vec<_>>().concat();
    format!("apiVersion: config.openshift.io/v1\nkind: ImageDigestMirrorSet\nspec:\n  imageDigestMirrors:\n{entries}")
}

/// Reads a text and panics if that costs over linear. `known` keeps what an honest one costs with this reader.
pub fn linear<T>(known: &OnceLock<Duration>, text: &str, read: impl Fn(&str) -> T) -> T {
    let honest_text = honest();
    let of_honest = *known.get_or_init(|| (0..3).map(|_| measured(|| read(&honest_text)).1).max().unwrap_or_default());
    let share = u32::try_from(text.len() * 1_000 / honest_text.len()).unwrap_or(u32::MAX);
    let allowed = FREE + of_honest.saturating_mul(FACTOR).saturating_mul(share) / 1_000;
    let (value, took) = measured(|| read(text));
    if took > allowed {
        // Once more: the first time may have paid for something that was done first.
        let (_, took) = measured(|| read(text));
        assert!(
            took <= allowed,
            "{} bytes took {took:?}; {allowed:?} is {FACTOR} times what an honest text takes",
            text.len()
        );
    }
    value
}
