//! `check`: reports errors, warnings and notes about the input.

mod collect;
mod declared;
mod first_day;
pub mod live;

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use hypermirror_api::Reason;
use kube::Client;
use serde::Serialize;

use super::console::{self, ERROR, Format, HEADING, WARNING};
use super::input::{Input, InputArgs, Wanted};
use super::table::{self, Cell};
use crate::diagnosis::Diagnosis;
use crate::hosted::target::TargetSpec;
use crate::manager::options::PlanOptions;
use crate::mirrors::Origin;
use crate::mirrors::finding::{Finding, Severity};
pub use live::Depth;

/// Flags of `check`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  hypermirror check -f manifests/
  hypermirror check --deep
  hypermirror check -o json | jq '.[] | select(.severity == \"Error\")'")]
pub struct CheckArgs {
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    plan: PlanOptions,
    /// Also read pull secrets and kubeconfigs, and connect to guest clusters and mirrors
    #[arg(long, conflicts_with = "files")]
    deep: bool,
    /// Output format
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// `Error`, `Warning` or `Info`.
    pub severity: Severity,
    /// From a closed set.
    pub reason: &'static str,
    /// The affected HostedCluster, if there is only one.
    pub hosted_cluster: Option<String>,
    /// `Kind/[namespace/]name`.
    pub object: String,
    /// The path of the field in the object.
    pub field: String,
    /// The value of the field.
    pub value: String,
    /// The affected consumers of the map: `ControlPlane`, `Node`.
    pub consumers: Vec<&'static str>,
    /// What is wrong and, without a cure, how to fix it.
    pub message: String,
    /// What to do.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cure: String,
    /// The affected mirror entry, if there is one.
    pub origin: Option<Origin>,
}

/// The row of a finding about a mirror entry.
fn entry_row(finding: &Finding, cluster: Option<&str>) -> Row {
    let origin = &finding.origin;
    let namespace = origin.namespace.as_ref().map(|namespace| format!("{namespace}/")).unwrap_or_default();
    Row {
        severity: finding.severity,
        reason: finding.reason.as_str(),
        hosted_cluster: cluster.map(str::to_owned),
        object: format!("{}/{namespace}{}", origin.kind, origin.name),
        field: finding.field.clone(),
        value: finding.value.clone(),
        consumers: Vec::new(),
        message: finding.message.clone(),
        cure: String::new(),
        origin: Some(origin.clone()),
    }
}

/// A row about an object as a whole.
fn plain_row(severity: Severity, reason: Reason, object: String, message: String) -> Row {
    Row {
        severity,
        reason: reason.as_str(),
        hosted_cluster: None,
        object,
        field: String::new(),
        value: String::new(),
        consumers: vec!["ControlPlane"],
        message,
        cure: String::new(),
        origin: None,
    }
}

impl From<Diagnosis> for Row {
    fn from(diagnosis: Diagnosis) -> Self {
        Self {
            severity: diagnosis.severity,
            reason: diagnosis.code.as_str(),
            hosted_cluster: diagnosis.hosted_cluster.map(|key| key.to_string()),
            object: diagnosis.object,
            field: diagnosis.field,
            value: diagnosis.value,
            consumers: Vec::new(),
            message: diagnosis.message,
            cure: diagnosis.cure,
            origin: None,
        }
    }
}

/// What the rows of `check` need of the input.
pub fn wanted(targets: &[TargetSpec]) -> Wanted<'_> {
    Wanted { targets, reports: true, pools: true, ..Wanted::default() }
}

/// All findings about the input alone: no registry is asked and no Secret is read.
pub fn declared_findings(input: &Input, options: &PlanOptions) -> Vec<Row> {
    sorted(collect::rows(input, options))
}

/// All findings about the input and, with a client, about the live cluster that it was read from, sorted by severity, object and
/// field.
pub async fn findings(input: &Input, options: &PlanOptions, live: Option<(&Client, Depth)>) -> Vec<Row> {
    let mut rows = collect::rows(input, options);
    if let Some((client, depth)) = live {
        rows.extend(live::diagnose(client, input, options, depth).await.into_iter().map(Row::from));
    }
    sorted(rows)
}

fn sorted(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort_by(|a, b| {
        (a.severity, &a.object, &a.field, a.reason, &a.message)
            .cmp(&(b.severity, &b.object, &b.field, b.reason, &b.message))
    });
    rows
}

/// Prints all findings. The exit code is 1 if there is an error.
pub async fn run(args: &CheckArgs) -> Result<ExitCode> {
    let specs = args.plan.targets();
    let input = args.input.load(wanted(&specs)).await?;
    let client = if input.is_live { Some(args.input.connection.connect().await?) } else { None };
    let depth = if args.deep { Depth::Deep } else { Depth::Objects };
    let rows = findings(&input, &args.plan, client.as_ref().map(|client| (client, depth))).await;
    match args.output.data() {
        Some(format) => console::print_data(&rows, format)?,
        None => console::print(&text(&rows))?,
    }
    for note in declared::replacing_edits(&input) {
        console::note(note);
    }
    let count = |severity| rows.iter().filter(|row| row.severity == severity).count();
    let errors = count(Severity::Error);
    let notes = Some(count(Severity::Info)).filter(|count| *count > 0);
    console::note(format!(
        "{}, {}{} in {} and {}",
        counted(errors, "error"),
        counted(count(Severity::Warning), "warning"),
        notes.map(|count| format!(", {}", counted(count, "note"))).unwrap_or_default(),
        counted(input.mirror_sets.len() + input.node_sets.len(), "mirror set"),
        counted(input.clusters.len(), "HostedCluster"),
    ));
    Ok(if errors > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn text(rows: &[Row]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let cells = |row: &Row| {
        let style = match row.severity {
            Severity::Error => ERROR,
            Severity::Warning => WARNING,
            Severity::Info => HEADING,
        };
        let whose = row.hosted_cluster.as_ref().filter(|cluster| !row.object.ends_with(cluster.as_str()));
        let place = match (row.field.as_str(), whose) {
            ("", None) => row.object.clone(),
            (field, None) => format!("{} {field}", row.object),
            (_, Some(cluster)) => format!("{} (of {cluster})", row.object),
        };
        let message = match row.cure.as_str() {
            "" => row.message.clone(),
            cure => format!("{}; {cure}", row.message),
        };
        [Cell::styled(row.severity.as_str(), style), row.reason.into(), place.into(), message.into()]
    };
    table::print(["SEVERITY", "REASON", "WHERE", "MESSAGE"], &rows.iter().map(cells).collect::<Vec<_>>())
}
