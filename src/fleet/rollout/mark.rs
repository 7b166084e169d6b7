//! The mark of a rollout on its targets: its start time and its cause.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;

/// The suffix of a mark whose rollout was caused by the hosted cluster's own mirrors. According to RFC 9557, parsers ignore
/// unknown suffixes, as older managers do.
const OWN: &str = "[cause=own]";

/// The cause of a rollout, which decides where its failure counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// A change of the management mirrors, or unknown: a failure counts for all namespaces.
    #[default]
    Management,
    /// A change of the hosted cluster's own mirrors: a failure counts for its namespace.
    Own,
}

/// The value of the annotation `hypermirror.dev/rollout`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// Start time of the rollout.
    pub at: Timestamp,
    /// Its cause.
    pub cause: Cause,
}

impl Mark {
    /// Creates a mark.
    pub const fn of(at: Timestamp, cause: Cause) -> Self {
        Self { at, cause }
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let suffix = if self.cause == Cause::Own { OWN } else { "" };
        write!(f, "{}{suffix}", self.at)
    }
}

impl FromStr for Mark {
    type Err = jiff::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (time, suffix) = text.split_at(text.find('[').unwrap_or(text.len()));
        let cause = if suffix == OWN { Cause::Own } else { Cause::Management };
        Ok(Self { at: time.parse()?, cause })
    }
}

/// The start time of a new rollout: later than that of the last one, which may come from another clock. In milliseconds, so
/// that parsing the printed value results in the same time.
pub fn next_mark(last: Option<Timestamp>, now: Timestamp) -> Timestamp {
    let millis = |at: Timestamp| Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at);
    let after = last.and_then(|last| last.checked_add(jiff::SignedDuration::from_millis(1)).ok());
    after.map_or_else(|| millis(now), |after| millis(after).max(millis(now)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_is_written_and_as_earlier_managers_wrote_it() {
        let at: Timestamp = "2026-11-29T19:00:00.123Z".parse().unwrap();
        for cause in [Cause::Management, Cause::Own] {
            let mark = Mark::of(at, cause);
            assert_eq!(mark.to_string().parse::<Mark>().unwrap(), mark);
        }
        assert_eq!("2026-11-29T19:00:00.123Z".parse::<Mark>().unwrap(), Mark::of(at, Cause::Management));
        assert_eq!("2026-11-29T19:00:00.123Z[cause=other]".parse::<Mark>().unwrap().cause, Cause::Management);
        assert!("soon".parse::<Mark>().is_err() && "".parse::<Mark>().is_err());
    }

    #[test]
    fn a_manager_that_knows_times_alone_reads_the_time() {
        let mark = Mark::of("2026-11-29T19:00:00.123Z".parse().unwrap(), Cause::Own);
        assert_eq!(mark.to_string().parse::<Timestamp>().unwrap(), mark.at);
    }
}
