//! `render control-plane`: prints the Deployments of the input with the manager's changes. Other Deployments are unchanged.

use anyhow::Result;
use clap::Args;
use serde_json::Value;

use super::super::input::{InputArgs, Wanted};
use super::super::planning::{ClusterPlan, Planner};
use super::super::{catalogs, console, findings, yaml};
use crate::manager::options::PlanOptions;
use hypermirror_api::ClusterKey;

/// Flags of `render control-plane`.
#[derive(Args, Debug)]
#[command(after_help = "Example:
  hypermirror render control-plane -f examples/disconnected \\
    --hosted-cluster clusters/east")]
pub struct ControlPlaneArgs {
    #[command(flatten)]
    input: InputArgs,
    /// HostedCluster of the Deployments; required if the input has several
    #[arg(long, value_name = "NAMESPACE/NAME")]
    hosted_cluster: Option<ClusterKey>,
    #[command(flatten)]
    plan: PlanOptions,
}

/// Prints the Deployments in the order of the input.
pub async fn run(args: &ControlPlaneArgs) -> Result<()> {
    let specs = args.plan.targets();
    let mut input =
        args.input.load(Wanted { targets: &specs, reports: true, pools: true, ..Wanted::default() }).await?;
    findings::report_input(&input);
    let cluster = input.select(args.hosted_cluster.as_ref())?.cloned();
    let patched = if let Some(cluster) = &cluster {
        let planner = Planner::new(&input, &args.plan, false);
        let plan = planner.plan(cluster);
        report(&planner, &plan);
        let targets = plan.patched(&input.deployments)?.into_iter();
        targets.map(|(_, place, value)| (place, value)).collect()
    } else {
        console::warning("the input has no HostedCluster: the Deployments are unchanged");
        Vec::new()
    };
    for (place, deployment) in patched {
        if let Some(slot) = input.deployments.get_mut(place) {
            *slot = deployment;
        }
    }
    if let Some(cluster) = &cluster {
        let written = catalogs::written(&input, cluster, &args.plan);
        catalogs::patch(&mut input.deployments, cluster, &written)?;
    }
    if input.is_live {
        input.deployments.iter_mut().for_each(hide_bookkeeping);
    }
    if input.deployments.is_empty() {
        console::warning("the input has no Deployment");
    }
    Ok(console::print(&yaml::print_documents(&input.deployments)?)?)
}

fn report(planner: &Planner<'_>, plan: &ClusterPlan) {
    let management = planner.management.findings.iter().filter(|_| plan.settings.use_management);
    findings::report(management.chain(plan.map.findings.iter()));
    findings::report_plan(plan);
    findings::report_held(&plan.key, "held until its mirrors are proven", &plan.held);
}

/// Removes `managedFields`, which only the API server uses.
fn hide_bookkeeping(deployment: &mut Value) {
    if let Some(metadata) = deployment.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
}
