//! Whether registries hold what a hosted cluster needs, in the tree.

use hypermirror_api::mirror_coverage::{MissingImage, UpdateCoverage};
use hypermirror_api::{CoverageConditionType, MirrorCoverageStatus};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::super::console::{BAD, GOOD, WARNING, styled};
use super::branch::{Branch, words};

/// Missing images that are listed; `coverage` prints all.
const LISTED: usize = 5;
const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// The branch of a hosted cluster that is checked, with the manager's condition if it has one.
pub(super) fn branch(
    coverage: Option<&MirrorCoverageStatus>,
    proven: Option<&Condition>,
    now: Timestamp,
) -> Option<Branch> {
    let Some(coverage) = coverage else {
        // Reports alone are read, too.
        return proven.map(|proven| Branch::leaf(format!("coverage, {}", words(proven))));
    };
    let condition = proven.or_else(|| coverage.condition(CoverageConditionType::Held))?;
    let age = coverage.last_check_time.as_ref().map(|checked| age(checked.0, now));
    let age = age.map_or_else(|| "not checked yet".to_owned(), |age| format!("checked {age} ago"));
    let mut below: Vec<Branch> = coverage.missing.iter().take(LISTED).map(missing).collect();
    let more = coverage.missing.len().saturating_sub(LISTED);
    if more > 0 || coverage.missing_truncated {
        below.push(Branch::leaf("more is missing: hypermirror coverage prints all"));
    }
    below.extend(coverage.available_updates.iter().map(update));
    Some(Branch { text: format!("coverage {} held, {age}, {}", coverage.summary, words(condition)), below })
}

fn missing(missing: &MissingImage) -> Branch {
    let platform = missing.platform.as_ref().map(|platform| format!(" ({platform})")).unwrap_or_default();
    let (image, mirror, message) = (&missing.image, &missing.mirror, &missing.message);
    // The message names the platform of a blob itself.
    let platform = if message.contains(&*platform) { String::new() } else { platform };
    Branch::leaf(format!("{image}{platform} for {}: {mirror}: {message}", missing.consumer))
}

fn update(update: &UpdateCoverage) -> Branch {
    let style = match update.verdict.as_str() {
        "Held" => GOOD,
        "Missing" => BAD,
        _ => WARNING,
    };
    let counts = &update.counts;
    let total = counts.held + counts.missing + counts.unknown;
    let message = if update.message.is_empty() { String::new() } else { format!(": {}", update.message) };
    let verdict = styled(style, &update.verdict);
    Branch::leaf(format!("update to {} {verdict}, {}/{total} held{message}", update.version, counts.held))
}

/// As `kubectl get` prints ages.
pub fn age(then: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(then).as_secs().max(0);
    match seconds {
        ..MINUTE => format!("{seconds}s"),
        MINUTE..HOUR => format!("{}m", seconds / MINUTE),
        HOUR..DAY => format!("{}h", seconds / HOUR),
        _ => format!("{}d", seconds / DAY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_short() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        for (seconds, expected) in [(-5, "0s"), (59, "59s"), (60, "1m"), (7_300, "2h"), (200_000, "2d")] {
            let then = Timestamp::from_second(1_000_000 - seconds).unwrap();
            assert_eq!(age(then, now), expected);
        }
    }
}
