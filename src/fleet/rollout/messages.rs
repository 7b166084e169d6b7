//! Messages of the rollout budget. They must not change without an event, because they are in the report of every queued
//! hosted cluster.

use jiff::{SignedDuration, Timestamp};

use super::{Budget, Halt};

/// Failed hosted clusters that a message names.
const NAMED: usize = 3;

/// The verdict of a queued hosted cluster.
pub fn waiting(budget: &Budget) -> String {
    let limit = budget.at_once;
    let are = if limit == 1 { "is" } else { "are" };
    format!("queued: {} {are} already rolling out (--max-concurrent-rollouts={limit})", clusters(limit))
}

/// The verdict while rollouts are halted. Names in other namespaces are confidential, so only their number is in the message;
/// administrators see them in `status` and in the log.
pub fn halted<K: ToString>(budget: &Budget, halt: &Halt<K>) -> String {
    let here: Vec<String> = halt.here.iter().map(ToString::to_string).collect();
    let of_others = match halt.elsewhere {
        0 => None,
        count => Some(format!("{} of other namespaces", clusters(count))),
    };
    let names = Some(named(&here)).filter(|names| !names.is_empty());
    let who: Vec<String> = names.into_iter().chain(of_others).collect();
    format!(
        "waiting: rollouts are halted because {} {} not available within {} (--max-failed-rollouts={}); they resume when \
         the Deployments there are available",
        who.join(" and "),
        if here.len() + halt.elsewhere == 1 { "was" } else { "were" },
        time(budget),
        budget.failures,
    )
}

/// The verdict for targets that were not available before the change.
pub fn unavailable(missing: &[&str]) -> String {
    format!(
        "waiting for targets that were not available before the change: {}; nothing is written until their rollouts are \
         complete",
        missing.join(", ")
    )
}

/// The verdict of a failed rollout.
pub fn failed(budget: &Budget, since: Timestamp, missing: &[&str]) -> String {
    format!(
        "rollout failed: not available within {} since {since}: {}; it counts as failed until these rollouts are complete",
        time(budget),
        missing.join(", ")
    )
}

/// The first of these names, and the number of others.
pub fn named(keys: &[String]) -> String {
    let first: Vec<&str> = keys.iter().take(NAMED).map(String::as_str).collect();
    match keys.len().saturating_sub(NAMED) {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

fn clusters(count: usize) -> String {
    if count == 1 { "1 hosted cluster".to_owned() } else { format!("{count} hosted clusters") }
}

fn time(budget: &Budget) -> String {
    SignedDuration::try_from(budget.timeout).map_or_else(|_| "ever".to_owned(), |timeout| format!("{timeout:#}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: Budget = Budget { at_once: 10, ..Budget::OFF };

    #[test]
    fn a_halt_names_the_first_of_its_own_namespace_and_counts_those_of_others() {
        let halt = |here: usize, elsewhere: usize| {
            let here = (0..here).map(|n| format!("clusters/c{n}")).collect();
            halted(&BUDGET, &Halt { here, elsewhere })
        };
        assert_eq!(
            halt(1, 0),
            "waiting: rollouts are halted because clusters/c0 was not available within 10m (--max-failed-rollouts=1); they \
             resume when the Deployments there are available"
        );
        let contains = |message: String, text: &str| assert!(message.contains(text), "{message}");
        contains(halt(5, 0), "because clusters/c0, clusters/c1, clusters/c2 and 2 more were not available");
        contains(halt(0, 1), "because 1 hosted cluster of other namespaces was not available");
        contains(halt(1, 2), "because clusters/c0 and 2 hosted clusters of other namespaces were not available");
    }

    #[test]
    fn the_message_of_a_queued_cluster_names_the_limit() {
        assert!(waiting(&BUDGET).contains("queued: 10 hosted clusters are already rolling out"));
        let one = Budget { at_once: 1, ..BUDGET };
        assert!(waiting(&one).contains("queued: 1 hosted cluster is already rolling out"));
    }
}
