//! The branches of the guest cluster and its nodes.

use hypermirror_api::report::{FindingReport, GuestReport, NodesReport};
use hypermirror_api::{ConditionType, HostedClusterMirrorsStatus};

use super::super::super::console::{BAD, ERROR, WARNING, styled};
use super::{Branch, condition, find, headline};

/// The branches for which the report has data.
pub(super) fn branches(status: &HostedClusterMirrorsStatus) -> Vec<Branch> {
    let synced = find(status, ConditionType::GuestSynced);
    let guest = (synced.is_some() || status.guest.is_some()).then(|| Branch {
        text: headline("guest", synced),
        below: status.guest.as_ref().map(objects).unwrap_or_default(),
    });
    let up_to_date = find(status, ConditionType::NodesUpToDate);
    let bootstrap = find(status, ConditionType::BootstrapCovered).map(condition);
    let is_known = up_to_date.is_some() || status.nodes.is_some() || bootstrap.is_some();
    let nodes = is_known.then(|| {
        let report = status.nodes.as_ref();
        let summary = report.map(|nodes| nodes.summary.as_str()).filter(|summary| !summary.is_empty());
        let name = summary.map_or_else(|| "nodes".to_owned(), |summary| format!("nodes {summary}"));
        let below = bootstrap.into_iter().chain(report.map(nodes).unwrap_or_default());
        Branch { text: headline(&name, up_to_date), below: below.collect() }
    });
    guest.into_iter().chain(nodes).collect()
}

fn objects(guest: &GuestReport) -> Vec<Branch> {
    let mut below = vec![Branch::leaf(format!("{} objects (kubeconfig: Secret {})", guest.objects, guest.kubeconfig))];
    if !guest.sets.is_empty() {
        below.push(Branch::leaf(format!("sets {}", guest.sets.join(", "))));
    }
    below
}

fn nodes(nodes: &NodesReport) -> Vec<Branch> {
    let behind = nodes.behind.iter().map(|node| {
        let reason = styled(BAD, &node.reason);
        Branch::leaf(format!("{} {reason}: {}", node.name, node.message))
    });
    let mut below: Vec<Branch> = behind.collect();
    let named = i64::try_from(nodes.behind.len()).unwrap_or(i64::MAX);
    let unnamed = nodes.total.saturating_sub(nodes.applied).saturating_sub(named);
    if unnamed > 0 {
        below.push(Branch::leaf(format!("and {unnamed} more that have not applied their mirrors")));
    }
    if nodes.rejected_count > 0 || !nodes.rejected.is_empty() {
        let text = format!("entries ignored on nodes: {}", nodes.rejected_count);
        below.push(Branch { text, below: nodes.rejected.iter().map(finding).collect() });
    }
    if !nodes.shadowed.is_empty() {
        let lines = nodes.shadowed.iter().map(|shadowed| Branch::leaf(styled(WARNING, shadowed)));
        below.push(Branch { text: "overridden by another file".to_owned(), below: lines.collect() });
    }
    below
}

/// A finding on one line.
pub(super) fn finding(finding: &FindingReport) -> Branch {
    let style = if finding.severity == "Error" { ERROR } else { WARNING };
    let severity = styled(style, &finding.severity);
    Branch::leaf(format!("{severity} {} ({}): {}", finding.origin, finding.reason, finding.message))
}
