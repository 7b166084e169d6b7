//! The rows of the fleet: one for each hosted cluster, filtered and sorted. Pure.

use std::collections::BTreeMap;

use hypermirror_api::{ClusterKey, ConditionType, HostedClusterMirrorsStatus, MirrorCoverageStatus};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::super::input::Input;
use super::super::status::find;
use super::html::Tone;
use super::query::Query;

/// A hosted cluster, as far as its reports tell.
pub struct FleetRow<'a> {
    pub key: ClusterKey,
    /// Its report, if it has one.
    pub report: Option<&'a HostedClusterMirrorsStatus>,
    /// Whether registries hold what it needs, if that is checked.
    pub coverage: Option<&'a MirrorCoverageStatus>,
}

/// The states that rows are filtered by, with their names.
pub const STATES: [(&str, &str); 4] =
    [("ready", "Ready"), ("not-ready", "Not ready"), ("unknown", "Unknown"), ("no-report", "No report")];

/// The columns that rows are sorted by, with their titles; the state first, as the default.
pub const COLUMNS: [(&str, &str); 9] = [
    ("cluster", "Hosted cluster"),
    ("state", "State"),
    ("reason", "Reason"),
    ("control-plane", "Control plane"),
    ("guest", "Guest"),
    ("nodes", "Nodes"),
    ("images", "Images held"),
    ("sources", "Sources"),
    ("changed", "Changed"),
];

/// All hosted clusters: those of HostedClusters, and those that only reports name.
pub fn rows(input: &Input) -> Vec<FleetRow<'_>> {
    let row = |key: ClusterKey| (key.clone(), FleetRow { key, report: None, coverage: None });
    let mut rows: BTreeMap<ClusterKey, FleetRow<'_>> =
        input.clusters.iter().map(|cluster| row(ClusterKey::of(cluster))).collect();
    for report in &input.reports {
        let (key, new) = row(ClusterKey::of(report));
        rows.entry(key).or_insert(new).report = report.status.as_ref();
    }
    for coverage in &input.coverages {
        let (key, new) = row(ClusterKey::of(coverage));
        rows.entry(key).or_insert(new).coverage = coverage.status.as_ref();
    }
    rows.into_values().collect()
}

impl FleetRow<'_> {
    /// A condition of its report.
    pub fn condition(&self, kind: ConditionType) -> Option<&Condition> {
        find(self.report?, kind)
    }

    /// Its state: a value of [`STATES`].
    pub fn state(&self) -> (Tone, &'static str) {
        match (self.report, self.condition(ConditionType::Ready).map(|ready| ready.status.as_str())) {
            (None, _) => (Tone::Unknown, "no-report"),
            (_, Some("True")) => (Tone::Good, "ready"),
            (_, Some("False")) => (Tone::Bad, "not-ready"),
            _ => (Tone::Unknown, "unknown"),
        }
    }

    /// The name of its state.
    pub fn state_name(&self) -> &'static str {
        let state = self.state().1;
        STATES.into_iter().find(|(value, _)| *value == state).map_or("", |(_, name)| name)
    }

    /// Why it has its state.
    pub fn reason(&self) -> &str {
        self.condition(ConditionType::Ready).map(|ready| ready.reason.as_str()).unwrap_or_default()
    }

    /// The same at length.
    pub fn message(&self) -> &str {
        self.condition(ConditionType::Ready).map(|ready| ready.message.as_str()).unwrap_or_default()
    }

    /// When it entered its state.
    pub fn changed(&self) -> Option<Timestamp> {
        Some(self.condition(ConditionType::Ready)?.last_transition_time.0)
    }

    /// Its nodes, `applied/all`.
    pub fn nodes(&self) -> &str {
        self.report.and_then(|report| report.nodes.as_ref()).map(|nodes| nodes.summary.as_str()).unwrap_or_default()
    }

    /// Its target Deployments, `up to date/all`.
    pub fn control_plane(&self) -> &str {
        self.report.map(|report| report.control_plane.summary.as_str()).unwrap_or_default()
    }

    fn contains(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        let name = self.key.to_string();
        [name.as_str(), self.reason(), self.message(), self.state_name()]
            .iter()
            .any(|of_row| of_row.to_lowercase().contains(&text))
    }
}

/// The rows that a query asks for, in its order.
pub fn select<'r, 'a>(rows: &'r [FleetRow<'a>], query: &Query) -> Vec<&'r FleetRow<'a>> {
    let is_wanted = |row: &&FleetRow<'_>| {
        (query.state.is_empty() || row.state().1 == query.state) && (query.text.is_empty() || row.contains(&query.text))
    };
    let mut selected: Vec<&FleetRow<'a>> = rows.iter().filter(is_wanted).collect();
    match query.sort.as_str() {
        "cluster" => {}
        "reason" => selected.sort_by_key(|row| row.reason()),
        "control-plane" => selected.sort_by_key(|row| lag(row.control_plane())),
        "guest" => selected.sort_by_key(|row| row.condition(ConditionType::GuestSynced).map(Tone::of)),
        "nodes" => selected.sort_by_key(|row| lag(row.nodes())),
        "images" => selected
            .sort_by_key(|row| row.coverage.map(|coverage| (-coverage.counts.missing, -coverage.counts.unknown))),
        "sources" => selected.sort_by_key(|row| row.report.map(|report| report.source_count)),
        "changed" => selected.sort_by_key(|row| std::cmp::Reverse(row.changed())),
        _ => selected.sort_by_key(|row| row.state().0),
    }
    if query.is_reversed {
        selected.reverse();
    }
    selected
}

/// Those that lag most come first; without a number they come last.
fn lag(summary: &str) -> i64 {
    let numbers =
        summary.split_once('/').and_then(|(done, all)| Some((done.parse::<i64>().ok()?, all.parse::<i64>().ok()?)));
    numbers.map_or(1, |(done, all)| done - all)
}

#[cfg(test)]
mod tests {
    use hypermirror_api::{HostedClusterMirrors, MirrorCoverage};

    use super::*;

    fn input() -> Input {
        let report = |name: &str, ready: &str, nodes: &str| -> HostedClusterMirrors {
            serde_json::from_value(serde_json::json!({
                "apiVersion": "hypermirror.dev/v1alpha1", "kind": "HostedClusterMirrors",
                "metadata": {"name": name, "namespace": "clusters"}, "spec": {},
                "status": {
                    "nodes": {"summary": nodes},
                    "conditions": [{
                        "type": "Ready", "status": ready, "reason": "Because", "message": format!("about {name}"),
                        "lastTransitionTime": "2026-01-01T00:00:00Z"
                    }]
                }
            }))
            .unwrap()
        };
        let coverage: MirrorCoverage = serde_json::from_value(serde_json::json!({
            "apiVersion": "hypermirror.dev/v1alpha1", "kind": "MirrorCoverage",
            "metadata": {"name": "checked", "namespace": "clusters"}, "spec": {}, "status": {"counts": {"missing": 2}}
        }))
        .unwrap();
        Input {
            reports: vec![report("a", "True", "9/9"), report("b", "False", "1/9"), report("c", "Unknown", "")],
            coverages: vec![coverage],
            ..Input::default()
        }
    }

    fn names(input: &Input, query: &str) -> Vec<String> {
        select(&rows(input), &Query::parse(query)).into_iter().map(|row| row.key.name.clone()).collect()
    }

    #[test]
    fn what_somebody_has_to_do_comes_first() {
        assert_eq!(names(&input(), ""), ["b", "c", "checked", "a"]);
    }

    #[test]
    fn rows_are_filtered_by_text_and_state_and_sorted_by_a_column() {
        let input = input();
        assert_eq!(names(&input, "q=ABOUT+b"), ["b"]);
        assert_eq!(names(&input, "state=ready"), ["a"]);
        assert_eq!(names(&input, "state=no-report"), ["checked"]);
        assert_eq!(names(&input, "sort=cluster&order=reverse"), ["checked", "c", "b", "a"]);
        assert_eq!(names(&input, "sort=nodes")[0], "b");
        assert_eq!(names(&input, "q=%3Cscript%3E"), [""; 0]);
    }

    #[test]
    fn each_column_can_be_sorted_by() {
        let input = input();
        for (column, _) in COLUMNS {
            assert_eq!(names(&input, &format!("sort={column}")).len(), 4, "{column}");
        }
    }
}
