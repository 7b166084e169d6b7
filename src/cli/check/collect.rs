//! Collects the findings of `check` from entries, plans and reports.

use std::collections::BTreeMap;

use hypermirror_api::hypershift::HostedCluster;
use hypermirror_api::report::Admission;
use hypermirror_api::{HostedClusterMirrorsStatus, Reason, annotations};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt as _;

use super::super::input::Input;
use super::super::planning::{ClusterPlan, Planner};
use super::super::{catalogs, findings};
use super::{Row, entry_row, first_day, plain_row};
use crate::hosted::catalogs::requested::requested;
use crate::hosted::delivery::invalid_delivery;
use crate::hosted::guest::CONDITIONS as OF_THE_GUEST;
use crate::hosted::plan::Target;
use crate::hosted::proof::requirement::RequireProof;
use crate::hosted::sources::{MAX_VALUE_BYTES, fits};
use crate::manager::options::PlanOptions;
use crate::mirrors::finding::{Finding, Severity};
use crate::mirrors::registries::NoteReason;
use crate::mirrors::validate::{Consumer, validate};
use crate::mirrors::{MirrorEntry, hypershift, order};
use hypermirror_api::ClusterKey;

/// The condition reasons that become findings, with their severity. Only the running manager can detect these problems; the
/// others are found in the input itself.
const PROBLEMS: [(Reason, Severity); 23] = [
    (Reason::WriteFailed, Severity::Error),
    (Reason::SourceUnreadable, Severity::Error),
    (Reason::Contested, Severity::Error),
    (Reason::KindVanished, Severity::Warning),
    (Reason::RemovalHeld, Severity::Warning),
    (Reason::RolloutFailed, Severity::Error),
    (Reason::RolloutHalted, Severity::Warning),
    (Reason::TargetsUnavailable, Severity::Warning),
    (Reason::KubeconfigRefused, Severity::Error),
    (Reason::ConnectionDown, Severity::Error),
    (Reason::AuthorityUnknown, Severity::Error),
    (Reason::CredentialsExpired, Severity::Error),
    (Reason::CredentialsRejected, Severity::Error),
    (Reason::DeniedByGuest, Severity::Error),
    (Reason::ForbiddenByGuest, Severity::Error),
    (Reason::AnswerTooLarge, Severity::Error),
    (Reason::PushFailed, Severity::Error),
    (Reason::AgentImageMissing, Severity::Error),
    (Reason::NodesFailing, Severity::Error),
    (Reason::AgentsMissing, Severity::Error),
    (Reason::BehindMirror, Severity::Warning),
    (Reason::NodeIdentityUnverified, Severity::Warning),
    (Reason::CatalogDiffers, Severity::Error),
];

/// All findings that the objects of the input show.
pub fn rows(input: &Input, options: &PlanOptions) -> Vec<Row> {
    let mut rows = Vec::new();
    rows.extend(entry_rows(input));
    rows.extend(input.noticed.iter().map(noticed_row));
    rows.extend(malformed_rows(input));
    rows.extend(claim_rows(input));
    let planner = Planner::new(input, options, false);
    let targets = options.targets();
    for cluster in &input.clusters {
        let plan = planner.plan(cluster);
        rows.extend(setting_row(&plan));
        rows.extend(requirement_row(cluster, &plan));
        rows.extend(catalog_rows(input, cluster, &plan));
        rows.extend(delivery_rows(input, cluster));
        rows.extend(super::declared::rows(input, cluster));
        rows.extend(size_row(&plan));
        rows.extend(target_rows(&plan));
        rows.extend(first_day::of_cluster(input, cluster, &plan, &targets).into_iter().map(Row::from));
    }
    rows.extend(first_day::of_management(input).into_iter().map(Row::from));
    rows.extend(report_rows(input));
    rows.extend(admission_row(input));
    rows
}

/// Findings about entries, for the consumers that use them. Entries of the management cluster apply to control planes, and
/// also to nodes if the input has only mirror objects. Entries of a HostedCluster apply to both.
fn entry_rows(input: &Input) -> Vec<Row> {
    let both = [Consumer::ControlPlane, Consumer::Node];
    let mut merged = Merged::default();
    let shared = input.mirror_entries();
    merged.add(&shared, Consumer::ControlPlane, None);
    let own_of_nodes: Vec<MirrorEntry> =
        input.node_sets.iter().flat_map(|object| object.entries.iter().cloned()).collect();
    let for_nodes = if input.clusters.is_empty() { [shared, own_of_nodes].concat() } else { own_of_nodes };
    merged.add(&for_nodes, Consumer::Node, None);
    for cluster in &input.clusters {
        let key = ClusterKey::of(cluster).to_string();
        for consumer in both {
            merged.add(input.own_sources(cluster).entries.iter(), consumer, Some(&key));
        }
    }
    merged.rows.into_values().collect()
}

/// Findings by entry. The same finding for both consumers becomes one row.
#[derive(Default)]
struct Merged {
    rows: BTreeMap<(String, String, &'static str, String), Row>,
}

impl Merged {
    fn add<'e>(
        &mut self,
        entries: impl IntoIterator<Item = &'e MirrorEntry>,
        consumer: Consumer,
        cluster: Option<&str>,
    ) {
        let name = match consumer {
            Consumer::ControlPlane => "ControlPlane",
            Consumer::Node => "Node",
        };
        let validated = match consumer {
            Consumer::ControlPlane => hypershift::validate(entries),
            Consumer::Node => validate(entries, consumer),
        };
        for finding in validated.findings.into_iter().chain(order::notes(&validated.entries)) {
            let row = entry_row(&finding, cluster);
            let key = (row.object.clone(), row.field.clone(), row.reason, row.value.clone());
            let known = self.rows.entry(key).or_insert_with(|| row.clone());
            known.consumers.push(name);
            // The severity is that of the consumer with the more serious problem.
            if row.severity < known.severity {
                known.severity = row.severity;
                known.message = row.message;
            }
        }
    }
}

/// A finding about a field of an object, such as an unknown field.
fn noticed_row(finding: &Finding) -> Row {
    let origin = &finding.origin;
    let of_cluster = (origin.kind == "HostedCluster").then(|| origin.namespace.clone().unwrap_or_default());
    let cluster = of_cluster.map(|namespace| format!("{namespace}/{}", origin.name));
    Row { consumers: vec!["ControlPlane", "Node"], ..entry_row(finding, cluster.as_deref()) }
}

fn cluster_row(severity: Severity, reason: Reason, plan: &ClusterPlan, message: String) -> Row {
    let row = plain_row(severity, reason, format!("HostedCluster/{}", plan.key), message);
    Row { hosted_cluster: Some(plan.key.to_string()), ..row }
}

fn malformed_rows(input: &Input) -> impl Iterator<Item = Row> {
    let malformed = input.malformed.iter().map(|malformed| {
        let message = format!("{}; the object is ignored", malformed.message);
        plain_row(Severity::Error, Reason::MalformedObject, malformed.object.clone(), message)
    });
    malformed.chain(input.absent.iter().map(|absent| {
        let message = match absent.0 {
            "HostedClusterMirrors" => {
                "the kind is not served by the cluster; install it: hypermirror crd | kubectl apply --server-side -f -"
            }
            _ => "the kind is not served by the cluster",
        };
        plain_row(Severity::Warning, Reason::SourceUnreadable, absent.0.to_owned(), message.to_owned())
    }))
}

/// HostedClusters that do not own their control-plane namespaces. The message names the other HostedCluster.
fn claim_rows(input: &Input) -> impl Iterator<Item = Row> {
    input.claims.refused().into_iter().map(|(key, message)| {
        let row = plain_row(Severity::Error, Reason::NamespaceClaimedTwice, format!("HostedCluster/{key}"), message);
        Row { hosted_cluster: Some(key.to_string()), consumers: vec!["ControlPlane", "Node"], ..row }
    })
}

fn setting_row(plan: &ClusterPlan) -> Option<Row> {
    let value = plan.unknown_setting.as_ref()?;
    let message = format!("{value:?} is not valid and is treated as Use; set it to Use or Ignore");
    let row = cluster_row(Severity::Error, Reason::MalformedObject, plan, message);
    Some(Row {
        field: format!("metadata.annotations[{}]", annotations::MANAGEMENT_MIRRORS),
        value: value.clone(),
        ..row
    })
}

fn requirement_row(cluster: &HostedCluster, plan: &ClusterPlan) -> Option<Row> {
    let message = RequireProof::invalid(cluster)?;
    let key = annotations::REQUIRE_PROOF;
    Some(Row {
        field: format!("metadata.annotations[{key}]"),
        value: cluster.annotations().get(key).cloned().unwrap_or_default(),
        ..cluster_row(Severity::Error, Reason::MalformedObject, plan, message)
    })
}

/// Findings about annotations for OLM catalogs, and catalogs that differ and that hypermirror does not change.
fn catalog_rows(input: &Input, cluster: &HostedCluster, plan: &ClusterPlan) -> Vec<Row> {
    let found =
        requested(cluster).map(|requested| requested.findings).unwrap_or_default().into_iter().map(|found| Row {
            field: format!("metadata.annotations[{}]", found.annotation),
            value: found.value,
            ..cluster_row(found.severity, found.reason, plan, found.message)
        });
    let left = catalogs::differences(input, cluster).into_iter().filter(|difference| difference.patch.is_none());
    let namespace = plan.key.control_plane_namespace();
    let left = left.map(|difference| Row {
        object: format!("{}/{namespace}/{}", difference.object.kind(), difference.object.name()),
        ..cluster_row(Severity::Warning, Reason::CatalogDiffers, plan, difference.to_string())
    });
    found.chain(left).collect()
}

fn delivery_rows(input: &Input, cluster: &HostedCluster) -> Vec<Row> {
    let key = ClusterKey::of(cluster);
    let row = |(object, value): (String, String)| {
        let message = invalid_delivery(&value);
        Row {
            hosted_cluster: Some(key.to_string()),
            field: format!("metadata.annotations[{}]", annotations::NODE_DELIVERY),
            value,
            consumers: vec!["Node"],
            ..plain_row(Severity::Error, Reason::MalformedObject, object, message)
        }
    };
    findings::unknown_deliveries(cluster, &input.pools_of(&key)).into_iter().map(row).collect()
}

fn size_row(plan: &ClusterPlan) -> Option<Row> {
    let bytes = Some(plan.map.map.env.as_str().len()).filter(|_| !fits(&plan.map.map.env))?;
    let message = format!(
        "the override map has {bytes} bytes and is not written: the limit for an environment variable and its name is {MAX_VALUE_BYTES}"
    );
    Some(cluster_row(Severity::Error, Reason::ValueTooLarge, plan, message))
}

/// Problems of existing target Deployments.
fn target_rows(plan: &ClusterPlan) -> Vec<Row> {
    let map_fits = fits(&plan.map.map.env);
    let namespace = plan.key.control_plane_namespace();
    let row = |target: &Target| {
        let planned = target.plan.as_ref()?;
        let reason = planned.reason.filter(|reason| map_fits || *reason != Reason::ValueTooLarge)?;
        let severity = if reason == Reason::SourceTaken { Severity::Warning } else { Severity::Error };
        let row = cluster_row(severity, reason, plan, planned.message.clone());
        Some(Row { object: format!("Deployment/{namespace}/{}", target.name()), ..row })
    };
    plan.plan.targets.iter().filter_map(row).collect()
}

/// One row for the whole fleet, because the admission does not depend on the hosted cluster.
fn admission_row(input: &Input) -> Option<Row> {
    let statuses = input.reports.iter().filter_map(|report| report.status.as_ref());
    let mut admissions = statuses.filter_map(|status| status.control_plane.admission);
    admissions.any(|admission| admission == Admission::None).then(|| {
        let message = "no admission is installed: an edit that the stock value cannot express restarts each Deployment twice; \
                       install manifests/overlays/admission-policy, webhook-cert-manager or webhook-service-ca";
        let object = "Deployment/hypermirror-manager".to_owned();
        plain_row(Severity::Warning, Reason::NoAdmission, object, message.to_owned())
    })
}

/// Problems in the manager's reports.
fn report_rows(input: &Input) -> Vec<Row> {
    let mut rows = Vec::new();
    for report in &input.reports {
        let key = ClusterKey::of(report).to_string();
        let Some(status) = &report.status else { continue };
        rows.extend(status.conditions.iter().filter_map(|condition| condition_row(&key, condition)));
        rows.extend(shadowed_rows(&key, status));
    }
    rows
}

fn condition_row(key: &str, condition: &Condition) -> Option<Row> {
    let (reason, severity) = PROBLEMS.into_iter().find(|(reason, _)| reason.as_str() == condition.reason)?;
    let is_of_guest = OF_THE_GUEST.iter().any(|kind| kind.as_str() == condition.type_);
    // Ready repeats the reason of another condition. If the guest cluster is not reachable, GuestSynced has the reason.
    let is_repeated =
        condition.type_ == "Ready" || (condition.type_ == "NodesUpToDate" && condition.status == "Unknown");
    let row = plain_row(severity, reason, format!("HostedClusterMirrors/{key}"), condition.message.clone());
    (!is_repeated).then(|| Row {
        hosted_cluster: Some(key.to_owned()),
        field: format!("status.conditions[{}]", condition.type_),
        consumers: vec![if is_of_guest { "Node" } else { "ControlPlane" }],
        ..row
    })
}

fn shadowed_rows(key: &str, status: &HostedClusterMirrorsStatus) -> Vec<Row> {
    let shadowed = status.nodes.iter().flat_map(|nodes| nodes.shadowed.iter().enumerate());
    let row = |(place, shadowed): (usize, &String)| Row {
        severity: Severity::Warning,
        reason: NoteReason::Shadowed.as_str(),
        hosted_cluster: Some(key.to_owned()),
        object: format!("HostedClusterMirrors/{key}"),
        field: format!("status.nodes.shadowed[{place}]"),
        value: shadowed.clone(),
        consumers: vec!["Node"],
        message: format!("another file on a node overrides the declared mirrors: {shadowed}"),
        cure: String::new(),
        origin: None,
    };
    shadowed.map(row).collect()
}
