//! The tree: hosted cluster, conditions, control plane, findings.

use anstyle::Style;
use hypermirror_api::HostedClusterMirrorsStatus;
use hypermirror_api::report::{FindingReport, TargetReport};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::super::console::{BAD, ERROR, GOOD, HEADING, WARNING, styled};
use super::Fleet;

/// A line with what hangs below it.
struct Node {
    text: String,
    below: Vec<Node>,
}

impl Node {
    fn leaf(text: impl Into<String>) -> Self {
        Self { text: text.into(), below: Vec::new() }
    }
}

/// Prints the fleet.
pub fn print(fleet: &Fleet) -> String {
    let mut out = String::new();
    for (key, status) in fleet {
        let node = match status {
            Some(status) => cluster(key, status),
            None => Node::leaf(format!("{} {}", styled(HEADING, key), styled(WARNING, "no report yet"))),
        };
        out.push_str(&node.text);
        out.push('\n');
        draw(&mut out, &node.below, "");
    }
    out
}

fn draw(out: &mut String, nodes: &[Node], indent: &str) {
    for (place, node) in nodes.iter().enumerate() {
        let is_last = place + 1 == nodes.len();
        let (branch, deeper) = if is_last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        out.extend([indent, branch, node.text.as_str(), "\n"]);
        draw(out, &node.below, &format!("{indent}{deeper}"));
    }
}

fn cluster(key: &str, status: &HostedClusterMirrorsStatus) -> Node {
    let (ready, others): (Vec<_>, Vec<_>) = status.conditions.iter().partition(|condition| condition.type_ == "Ready");
    let verdict = match ready.first() {
        Some(ready) if ready.status == "True" => styled(GOOD, "Ready"),
        Some(ready) => styled(style(ready), format_args!("Ready={}: {}", ready.status, ready.reason)),
        None => styled(WARNING, "not judged yet"),
    };
    let sources = match status.source_count {
        1 => "1 source".to_owned(),
        count => format!("{count} sources"),
    };
    let mut below: Vec<Node> = others.into_iter().map(condition).collect();
    below.push(control_plane(status));
    if !status.findings.is_empty() {
        below.push(findings(&status.findings));
    }
    Node { text: format!("{} {verdict}, {sources}", styled(HEADING, key)), below }
}

fn style(condition: &Condition) -> Style {
    match condition.status.as_str() {
        "True" => GOOD,
        "False" => BAD,
        _ => WARNING,
    }
}

fn condition(condition: &Condition) -> Node {
    let verdict = styled(style(condition), format_args!("{}={}", condition.type_, condition.status));
    Node::leaf(format!("{verdict} ({}): {}", condition.reason, condition.message))
}

fn control_plane(status: &HostedClusterMirrorsStatus) -> Node {
    let targets = &status.control_plane.targets;
    let summary = Some(status.control_plane.summary.as_str()).filter(|summary| !summary.is_empty()).unwrap_or("0/0");
    Node { text: format!("control plane {summary}"), below: targets.iter().map(target).collect() }
}

fn target(target: &TargetReport) -> Node {
    let verdict = if target.up_to_date { styled(GOOD, "up to date") } else { styled(BAD, "not up to date") };
    let mut text = format!("{} {verdict}", target.name);
    if !target.reason.is_empty() {
        text.extend([" (", target.reason.as_str(), ")"]);
    }
    if !target.message.is_empty() {
        text.extend([": ", target.message.as_str()]);
    }
    let foreign = Some(&target.foreign).filter(|foreign| !foreign.is_empty());
    Node {
        text,
        below: foreign.map(|entries| Node::leaf(format!("keeps somebody else's {entries}"))).into_iter().collect(),
    }
}

fn findings(findings: &[FindingReport]) -> Node {
    let line = |finding: &FindingReport| {
        let style = if finding.severity == "Error" { ERROR } else { WARNING };
        let severity = styled(style, &finding.severity);
        Node::leaf(format!("{severity} {} ({}): {}", finding.origin, finding.reason, finding.message))
    };
    Node { text: "findings".to_owned(), below: findings.iter().map(line).collect() }
}
