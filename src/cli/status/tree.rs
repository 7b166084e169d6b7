//! The tree of each hosted cluster: sources, control plane, guest cluster, nodes.

mod guest;

use hypermirror_api::report::TargetReport;
use hypermirror_api::{ConditionType, HostedClusterMirrorsStatus};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::super::console::{BAD, GOOD, HEADING, WARNING, styled};
use super::branch::{Branch, style, words};
use super::{Coverages, Fleet, coverage};

/// Conditions with their own branch. Others are listed below the hosted cluster.
const PLACED: [ConditionType; 6] = [
    ConditionType::Ready,
    ConditionType::ControlPlaneUpToDate,
    ConditionType::GuestSynced,
    ConditionType::NodesUpToDate,
    ConditionType::BootstrapCovered,
    ConditionType::MirrorsProven,
];

/// Prints the fleet.
pub fn print(fleet: &Fleet, coverages: &Coverages, now: Timestamp) -> String {
    let mut out = String::new();
    for (key, status) in fleet {
        let mut branch = match status {
            Some(status) => cluster(key, status),
            None => Branch::leaf(format!("{} {}", styled(HEADING, key), styled(WARNING, "no report yet"))),
        };
        let proven = status.as_ref().and_then(|status| find(status, ConditionType::MirrorsProven));
        branch.below.extend(coverage::branch(coverages.get(key), proven, now));
        out.push_str(&branch.text);
        out.push('\n');
        draw(&mut out, &branch.below, "");
    }
    out
}

fn draw(out: &mut String, branches: &[Branch], indent: &str) {
    for (place, branch) in branches.iter().enumerate() {
        let is_last = place + 1 == branches.len();
        let (fork, deeper) = if is_last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        out.extend([indent, fork, branch.text.replace('\n', "\\n").as_str(), "\n"]);
        draw(out, &branch.below, &format!("{indent}{deeper}"));
    }
}

fn cluster(key: &str, status: &HostedClusterMirrorsStatus) -> Branch {
    let ready = match find(status, ConditionType::Ready) {
        Some(ready) if ready.status == "True" => styled(GOOD, "Ready"),
        Some(ready) => styled(style(ready), format_args!("Ready={}: {}", ready.status, ready.reason)),
        None => styled(WARNING, "no conditions yet"),
    };
    let sources = match status.source_count {
        1 => "1 source".to_owned(),
        count => format!("{count} sources"),
    };
    let is_placed = |condition: &&Condition| PLACED.iter().any(|kind| kind.as_str() == condition.type_);
    let others = status.conditions.iter().filter(|condition| !is_placed(condition));
    let mut below: Vec<Branch> = others.map(condition).collect();
    if !status.findings.is_empty() {
        let findings = status.findings.iter().map(guest::finding);
        below.push(Branch { text: "findings".to_owned(), below: findings.collect() });
    }
    below.push(control_plane(status));
    below.extend(guest::branches(status));
    Branch { text: format!("{} {ready}, {sources}", styled(HEADING, key)), below }
}

/// A condition of a report.
pub fn find(status: &HostedClusterMirrorsStatus, kind: ConditionType) -> Option<&Condition> {
    status.conditions.iter().find(|condition| condition.type_ == kind.as_str())
}

fn condition(condition: &Condition) -> Branch {
    Branch::leaf(words(condition))
}

/// The line of a branch with its condition.
fn headline(name: &str, condition: Option<&Condition>) -> String {
    condition.map_or_else(|| name.to_owned(), |condition| format!("{name}, {}", words(condition)))
}

fn control_plane(status: &HostedClusterMirrorsStatus) -> Branch {
    let report = &status.control_plane;
    let summary = Some(report.summary.as_str()).filter(|summary| !summary.is_empty()).unwrap_or("0/0");
    let condition = find(status, ConditionType::ControlPlaneUpToDate);
    let text = headline(&format!("control plane {summary}"), condition);
    Branch { text, below: report.targets.iter().map(target).collect() }
}

fn target(target: &TargetReport) -> Branch {
    let state = if target.up_to_date { styled(GOOD, "up to date") } else { styled(BAD, "not up to date") };
    let mut text = format!("{} {state}", target.name);
    if !target.reason.is_empty() {
        text.extend([" (", target.reason.as_str(), ")"]);
    }
    if !target.message.is_empty() {
        text.extend([": ", target.message.as_str()]);
    }
    let foreign = Some(&target.foreign).filter(|foreign| !foreign.is_empty());
    let below = foreign.map(|entries| Branch::leaf(format!("preserves entries of another manager: {entries}")));
    Branch { text, below: below.into_iter().collect() }
}
