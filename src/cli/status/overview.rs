//! One line for each hosted cluster, with the columns of `kubectl get hostedclustermirrors`.

use hypermirror_api::{ConditionType, HostedClusterMirrorsStatus};

use super::super::console::WARNING;
use super::super::table::{self, Cell};
use super::Fleet;
use super::branch::style;
use super::tree::find;

/// Prints the columns.
pub fn print(fleet: &Fleet) -> String {
    let rows: Vec<[Cell; 7]> = fleet.iter().map(|(key, status)| row(key, status.as_ref())).collect();
    table::print(["HOSTED CLUSTER", "READY", "SOURCES", "CONTROL-PLANE", "GUEST", "NODES", "REASON"], &rows)
}

fn row(key: &str, status: Option<&HostedClusterMirrorsStatus>) -> [Cell; 7] {
    let Some(status) = status else {
        let none = || Cell::from("-");
        let why = Cell::styled("no report yet", WARNING);
        return [key.into(), none(), none(), none(), none(), none(), why];
    };
    let condition = |kind: ConditionType| match find(status, kind) {
        Some(condition) => Cell::styled(condition.status.clone(), style(condition)),
        None => Cell::from("-"),
    };
    let or_none = |text: &str| Cell::from(if text.is_empty() { "-" } else { text });
    let reason = find(status, ConditionType::Ready).map(|ready| ready.reason.as_str()).unwrap_or_default();
    [
        key.into(),
        condition(ConditionType::Ready),
        status.source_count.to_string().into(),
        or_none(&status.control_plane.summary),
        condition(ConditionType::GuestSynced),
        or_none(status.nodes.as_ref().map(|nodes| nodes.summary.as_str()).unwrap_or_default()),
        or_none(reason),
    ]
}
