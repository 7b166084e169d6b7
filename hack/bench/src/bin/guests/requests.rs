//! Counts the requests to a guest cluster.

use std::collections::BTreeMap;

use hypermirror_bench::Spread;
use hypermirror_e2e::audit::Event;

use crate::stage::MANAGER;

/// The agents' user.
const AGENT: &str = "system:serviceaccount:hypermirror-system:hypermirror-agent";

/// Requests by client, verb and resource.
pub type Requests = BTreeMap<String, usize>;

/// Counts each request of the manager and of agents once: a watch at its start, all others at their response.
pub fn count(events: &[Event]) -> Requests {
    let mut requests = Requests::new();
    for event in events {
        let who = match event.user.as_str() {
            MANAGER => "manager",
            AGENT => "agents",
            _ => continue,
        };
        let counts = if event.verb == "watch" { "ResponseStarted" } else { "ResponseComplete" };
        if event.stage != counts {
            continue;
        }
        let slash = if event.subresource.is_empty() { "" } else { "/" };
        let resource = if event.resource.is_empty() { &event.uri } else { &event.resource };
        *requests.entry(format!("{who}: {} {resource}{slash}{}", event.verb, event.subresource)).or_default() += 1;
    }
    requests
}

/// All requests, by client, verb and resource.
pub fn lines(runs: &[Requests]) -> Vec<String> {
    let mut kinds: Vec<&String> = runs.iter().flat_map(BTreeMap::keys).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let line = |kind: &String| {
        let counts = runs.iter().map(|run| exact(run.get(kind).copied().unwrap_or_default()));
        format!("{:.0} {kind}", Spread::of(counts))
    };
    kinds.into_iter().map(line).collect()
}

fn exact(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}
