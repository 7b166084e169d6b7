//! `why`: why a pod cannot pull its images, and what would cure it.

mod cause;
mod pod;
mod report;
mod site;
mod walk;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, ValueEnum};
use hypermirror_api::ClusterKey;

use super::Usage;
use super::answer::{SchemaArg, or_unknown};
use super::console::{self, DataFormat};
use super::input::Connection;
use super::node::parse_node_name;
use super::registry::ReachArgs;
use crate::mirrors::registries::EndpointOrigin;
use report::WhyReport;
use site::Site;

/// Explains failed pulls.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  hypermirror why etcd-0 -n clusters-west
  hypermirror why web-7d4b9 -n shop --hosted-cluster clusters/west
Each place from which the node pulls the image is asked from this machine, with
the credentials of the node and the pod. Secrets are read with your rights and
never printed.
Exit code: 0 if nothing prevents the pulls, 1 if a cause was found, 2 for bad
usage, 3 if no cause was found or something is unknown.")]
pub struct WhyArgs {
    /// Name of the pod
    #[arg(value_name = "POD", required_unless_present = "schema", value_parser = parse_object_name)]
    pod: Option<String>,
    /// Namespace of the pod (default: that of the kubeconfig; in a guest cluster: default)
    #[arg(short, long, value_name = "NAMESPACE", value_parser = parse_object_name)]
    namespace: Option<String>,
    /// HostedCluster in whose guest cluster the pod is (default: the management cluster)
    #[arg(long, value_name = "NAMESPACE/NAME")]
    hosted_cluster: Option<ClusterKey>,
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    reach: ReachArgs,
    /// Output format
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT", help_heading = "Options")]
    output: Output,
    #[command(flatten)]
    schema: SchemaArg,
}

/// Output formats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    #[default]
    Text,
    Json,
}

/// A name becomes a segment of a request's path.
fn parse_object_name(text: &str) -> Result<String, String> {
    parse_node_name(text).map_err(|_| format!("{text:?} is not a valid name"))
}

/// Prints the causes; what fails as a whole is not known.
pub async fn run(args: &WhyArgs) -> Result<ExitCode> {
    if args.schema.print::<WhyReport>()? {
        return Ok(ExitCode::SUCCESS);
    }
    or_unknown(explain(args).await)
}

async fn explain(args: &WhyArgs) -> Result<ExitCode> {
    let Some(name) = &args.pod else { return Err(Usage::error("give the name of a pod")) };
    args.reach.warn();
    let site = Site::connect(&args.connection, args.hosted_cluster.as_ref()).await?;
    let namespace = args.namespace.clone().unwrap_or_else(|| site.default_namespace());
    let pod = site.pod(&namespace, name).await?;
    let around = site.around(&args.reach, &namespace, &pod).await?;
    let report = walk::walk(&args.reach, around, name, &pod).await?;
    match args.output {
        Output::Text => console::print(&report.text())?,
        Output::Json => console::print_data(&report, DataFormat::Json)?,
    }
    Ok(ExitCode::from(report.exit_code()))
}

/// The object or file that declares a place, for people.
fn origin(origin: &EndpointOrigin) -> String {
    match origin {
        EndpointOrigin::File { file } => file.clone(),
        EndpointOrigin::Object(origin) => origin.to_string(),
    }
}
