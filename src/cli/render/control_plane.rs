//! `render control-plane`: the Deployments of the input with our entries, all other Deployments as they are.

use anyhow::{Context as _, Result};
use clap::Args;
use serde_json::Value;

use super::super::input::{InputArgs, Wanted};
use super::super::planning::{ClusterPlan, Planner};
use super::super::{console, findings, unknown_setting, yaml};
use crate::kube::ClusterKey;
use crate::manager::options::PlanOptions;

/// Prints Deployments.
#[derive(Args, Debug)]
#[command(after_help = "Example:
  hypermirror render control-plane -f examples/disconnected --hosted-cluster clusters/east")]
pub struct ControlPlaneArgs {
    #[command(flatten)]
    input: InputArgs,
    /// The HostedCluster whose Deployments are changed; needed if the input holds several
    #[arg(long, value_name = "NAMESPACE/NAME")]
    hosted_cluster: Option<ClusterKey>,
    #[command(flatten)]
    plan: PlanOptions,
}

/// Prints the Deployments in the order of the input.
pub async fn run(args: &ControlPlaneArgs) -> Result<()> {
    let specs = args.plan.targets();
    let mut input = args.input.load(Wanted { targets: &specs, reports: true }).await?;
    findings::tell_troubles(&input);
    let selected = input.select(args.hosted_cluster.as_ref())?;
    let patched = if let Some(cluster) = selected {
        let planner = Planner::new(&input, &args.plan);
        let plan = planner.plan(cluster, false);
        tell(&planner, &plan);
        patched(&plan, &input.deployments)?
    } else {
        console::warning("the input has no HostedCluster: nothing was changed");
        Vec::new()
    };
    for (place, deployment) in patched {
        if let Some(slot) = input.deployments.get_mut(place) {
            *slot = deployment;
        }
    }
    if input.is_live {
        input.deployments.iter_mut().for_each(hide_bookkeeping);
    }
    if input.deployments.is_empty() {
        console::warning("the input has no Deployment");
    }
    Ok(console::print(&yaml::print_documents(&input.deployments))?)
}

fn patched(plan: &ClusterPlan, deployments: &[Value]) -> Result<Vec<(usize, Value)>> {
    let mut patched = Vec::new();
    for (target, change) in plan.targets.iter().zip(&plan.plan.targets) {
        let patch = change.as_ref().and_then(|change| change.patch.as_ref());
        let (Some(target), Some(patch)) = (target, patch) else { continue };
        let Some(mut deployment) = deployments.get(target.place).cloned() else { continue };
        json_patch::patch(&mut deployment, patch)
            .context("a Deployment does not take the change that was made for it")?;
        patched.push((target.place, deployment));
    }
    Ok(patched)
}

fn tell(planner: &Planner<'_>, plan: &ClusterPlan) {
    let management = planner.management.findings.iter().filter(|_| plan.settings.use_management);
    findings::tell(management.chain(&plan.map.findings));
    if let Some(value) = &plan.unknown_setting {
        console::warning(unknown_setting(&plan.key, value));
    }
    let namespace = plan.key.control_plane_namespace();
    for (spec, change) in planner.specs.iter().zip(&plan.plan.targets) {
        if let Some(change) = change.as_ref().filter(|change| !change.message.is_empty()) {
            console::warning(format!("Deployment {namespace}/{}: {}", spec.deployment, change.message));
        }
    }
}

/// What a server notes about an object's writers says nothing to a reader.
fn hide_bookkeeping(deployment: &mut Value) {
    if let Some(metadata) = deployment.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
}
