//! Judges a run: from the audit log, the edits and the final state to a verdict. Pure.

use std::collections::BTreeMap;

use serde_json::Value;

use super::edits::{Edit, Ledger, State};
use super::verdict::Verdict;
use crate::audit::Event;
use crate::fleet::{MANAGER_USER, deployments};

/// One target Deployment, before and after the run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// The hosted cluster, by name.
    pub cluster: String,
    /// The name of the Deployment.
    pub name: String,
    /// The generation before the run.
    pub generation_before: i64,
    /// The state before the run.
    pub before: State,
    /// The generation after it.
    pub generation: i64,
    /// The value after it.
    pub value: String,
}

/// All that is judged.
pub struct Evidence<'a> {
    /// The audit log of the run.
    pub events: &'a [Event],
    /// A killed API server may not have logged the last requests that it carried out.
    pub is_log_complete: bool,
    /// The edits of the run, and what is declared after it.
    pub ledger: &'a Ledger,
    /// All targets.
    pub targets: &'a [Target],
    /// The map in the final report of each hosted cluster, as an override value.
    pub reports: &'a BTreeMap<String, String>,
    /// What `hypermirror render overrides` says at the end for each hosted cluster.
    pub rendered: &'a BTreeMap<String, String>,
}

/// Judges a run.
pub fn judge(evidence: &Evidence<'_>) -> Verdict {
    let of_managers: Vec<&Event> = evidence.events.iter().filter(|event| event.user == MANAGER_USER).collect();
    let writes: Vec<&Event> = of_managers.iter().copied().filter(|event| event.is_write()).collect();
    let mut verdict = Verdict { edits: evidence.ledger.edits.len(), ..Verdict::default() };
    for event in of_managers.iter().filter(|event| event.code >= 400 && event.stage == "ResponseComplete") {
        *verdict.refused.entry(event.code).or_default() += 1;
    }
    verdict.lists = of_managers.iter().filter(|event| is_list(event)).count();
    let mut of_target: BTreeMap<(String, String), Vec<&Event>> = BTreeMap::new();
    for write in writes.iter().filter(|write| is_target(write) && (write.succeeded() || is_in_doubt(write))) {
        of_target.entry((write.namespace.clone(), write.name.clone())).or_default().push(write);
    }
    for target in evidence.targets {
        let key = (deployments::namespace(&target.cluster), target.name.clone());
        let writes = of_target.remove(&key).unwrap_or_default();
        judge_target(evidence, target, &writes, &mut verdict);
    }
    let foreign =
        of_target.keys().map(|(namespace, name)| format!("{namespace}/{name}: is no target, and was written"));
    verdict.wrong.extend(foreign);
    judge_reports(evidence, &writes, &mut verdict);
    judge_leaders(&writes, &mut verdict);
    verdict
}

fn is_target(event: &Event) -> bool {
    event.resource == "deployments" && event.subresource.is_empty()
}

/// Whether the server may have carried out a request that it did not answer: that of a killed client ends with 504 in the log.
fn is_in_doubt(event: &Event) -> bool {
    event.code >= 500
}

/// Whether this begins a list. A watch that is continued has a resource version instead.
fn is_list(event: &Event) -> bool {
    event.code == 200
        && match event.verb.as_str() {
            "list" => !event.uri.contains("continue="),
            "watch" => event.uri.contains("sendInitialEvents=true") && event.stage == "ResponseStarted",
            _ => false,
        }
}

/// Each write of a target carries a later state than the one before, and nothing that nobody declared.
fn judge_target(evidence: &Evidence<'_>, target: &Target, writes: &[&Event], verdict: &mut Verdict) {
    let edits: Vec<&Edit> = evidence.ledger.edits.iter().filter(|edit| edit.concerns(&target.cluster)).collect();
    let mut wrong = |what: String| verdict.wrong.push(format!("{} {}: {what}", target.cluster, target.name));
    let mut last = target.before;
    for write in writes {
        let Some(value) = written(write) else {
            wrong(format!("a write without mirrors: {:?}", write.request_object));
            continue;
        };
        let Some(state) = State::parse(value) else {
            wrong(format!("an entry is missing or foreign in {value}"));
            continue;
        };
        if state == last {
            wrong(format!("{value} is written again"));
        } else if !state.is_not_before(last) {
            wrong(format!("{value} takes back {}", last.value()));
        }
        let is_declared = |number: u32, own: bool, before: u32| {
            number == before
                || edits
                    .iter()
                    .any(|edit| edit.number == number && edit.cluster.is_some() == own && edit.sent <= write.at)
        };
        if !is_declared(state.own, true, target.before.own) || !is_declared(state.shared, false, target.before.shared) {
            wrong(format!("{value} was not declared at {}", write.at));
        }
        // What is in doubt may be written once more.
        if write.succeeded() {
            last = state;
        }
    }
    let wanted = evidence.ledger.state(&target.cluster).value();
    if target.value != wanted {
        wrong(format!("an edit is lost: it has {}, declared is {wanted}", target.value));
    }
    let rollouts = usize::try_from(target.generation - target.generation_before).unwrap_or_default();
    if rollouts > edits.len() {
        wrong(format!("{rollouts} rollouts for {} edits", edits.len()));
    }
    let succeeded = writes.iter().filter(|write| write.succeeded()).count();
    if evidence.is_log_complete && !(succeeded..=writes.len()).contains(&rollouts) {
        wrong(format!("{rollouts} rollouts, and {succeeded} writes, {} more in doubt", writes.len() - succeeded));
    }
    verdict.patches += succeeded;
    verdict.rollouts += rollouts;
    verdict.needed += usize::from(!edits.is_empty());
    verdict.at_most += edits.len();
}

/// The value that a patch of a target sets.
fn written(patch: &Event) -> Option<&str> {
    let operations = patch.request_object.as_ref()?.as_array()?;
    let of_template = operations.iter().filter(|operation| {
        operation["op"] != "test" && operation["path"].as_str().is_some_and(|path| path.starts_with("/spec/template"))
    });
    of_template.flat_map(|operation| strings(&operation["value"])).find(|text| text.contains(".example="))
}

/// All strings in a value.
fn strings(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(list) => list.iter().flat_map(strings).collect(),
        Value::Object(fields) => fields.values().flat_map(strings).collect(),
        _ => Vec::new(),
    }
}

/// Each report has what is rendered, nothing was removed, and no status was written twice.
fn judge_reports(evidence: &Evidence<'_>, writes: &[&Event], verdict: &mut Verdict) {
    let mut last: BTreeMap<&str, &Value> = BTreeMap::new();
    for write in writes.iter().filter(|write| write.succeeded()) {
        if write.verb.starts_with("delete") {
            verdict.wrong.push(format!("removed: {}", write.summary()));
        }
        let kind = (write.resource.as_str(), write.subresource.as_str());
        match kind {
            ("deployments", "") | ("leases" | "events", _) => {}
            ("hostedclustermirrors", "status") => {
                verdict.statuses += 1;
                let status = write.request_object.as_ref().map_or(&Value::Null, |object| &object["status"]);
                // A manager whose response was lost with the API server writes again: nobody can tell it that it need not.
                if last.insert(&write.name, status) == Some(status) && evidence.is_log_complete {
                    verdict.wrong.push(format!("{}: the same status is written again", write.name));
                }
            }
            (resource, "") => *verdict.others.entry(format!("{} {resource}", write.verb)).or_default() += 1,
            (resource, part) => *verdict.others.entry(format!("{} {resource}/{part}", write.verb)).or_default() += 1,
        }
    }
    for target in evidence.targets {
        let wanted = evidence.ledger.state(&target.cluster).value();
        for (what, values) in [("report", evidence.reports), ("rendering", evidence.rendered)] {
            let found = values.get(&target.cluster);
            if found != Some(&wanted) {
                verdict.wrong.push(format!("{}: the {what} has {found:?}, declared is {wanted}", target.cluster));
            }
        }
    }
}

/// Only the replica that holds the Lease writes. Each process has a token of its own.
fn judge_leaders(writes: &[&Event], verdict: &mut Verdict) {
    let mut terms: Vec<(&Event, bool)> = Vec::new();
    for write in writes.iter().filter(|write| write.resource == "leases" && write.succeeded()) {
        let spec = write.request_object.as_ref().map_or(&Value::Null, |object| &object["spec"]);
        if !spec.is_object() {
            continue; // an annotation
        }
        verdict.terms += usize::from(spec["leaseTransitions"].is_number());
        terms.push((write, spec["renewTime"].is_string()));
    }
    terms.sort_by_key(|(write, _)| write.at);
    for write in writes.iter().filter(|write| !matches!(write.resource.as_str(), "leases" | "events")) {
        let place = terms.partition_point(|(term, _)| term.at <= write.received);
        let holder = place.checked_sub(1).and_then(|place| terms.get(place));
        // Before the first renewal that is in the log nothing is known.
        if let Some((holder, holds)) = holder
            && (holder.credential != write.credential || !holds)
            && write.succeeded()
        {
            verdict.wrong.push(format!("written without the Lease at {}: {}", write.received, write.summary()));
        }
    }
}

#[cfg(test)]
mod tests;
