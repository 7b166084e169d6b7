//! `render guest`: prints the objects that the manager applies in a guest cluster.

use anyhow::Result;
use clap::Args;
use hypermirror_api::annotations;

use super::super::input::{Input, InputArgs, Wanted};
use super::super::node::set_inputs;
use super::super::planning::Planner;
use super::super::{Usage, console, findings, yaml};
use crate::guest::objects::{AgentSpec, GuestInput, GuestKinds, GuestObjects};
use crate::hosted::delivery::Delivery;
use crate::hosted::guest::{api_endpoint, node_entries};
use crate::manager::options::{GuestAgent, GuestAgentOptions, ProofOptions};
use hypermirror_api::ClusterKey;

/// Flags of `render guest`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  hypermirror render guest -f fleet/ --hosted-cluster clusters/west \\
    --agent-image quay.io/me/hypermirror@sha256:...
  hypermirror render guest --hosted-cluster clusters/west --guest-agent external
The output is for a guest cluster with all kinds of OpenShift. The manager omits
objects of kinds that a guest cluster does not serve. The guest cluster is not
read: sources that the manager holds until they are proven are in the output,
and named on standard error.")]
pub struct GuestArgs {
    #[command(flatten)]
    input: InputArgs,
    /// HostedCluster; required if the input has several
    #[arg(long, value_name = "NAMESPACE/NAME")]
    hosted_cluster: Option<ClusterKey>,
    #[command(flatten)]
    agent: GuestAgentOptions,
    #[command(flatten)]
    proof: ProofOptions,
}

/// Prints the objects in the order in which they are applied.
pub async fn run(args: &GuestArgs) -> Result<()> {
    let input =
        args.input.load(Wanted { pools: true, control_planes: true, reports: true, ..Wanted::default() }).await?;
    findings::report_input(&input);
    let Some(cluster) = input.select(args.hosted_cluster.as_ref())? else {
        return Err(Usage::error("the input has no HostedCluster"));
    };
    let key = ClusterKey::of(cluster);
    let pools = input.pools_of(&key);
    findings::report_deliveries(cluster, &pools);
    if args.agent.who == GuestAgent::Off {
        console::note("--guest-agent=off: the manager does not write to guest clusters");
        return Ok(());
    }
    if Delivery::of(cluster) == Delivery::None {
        let annotation = annotations::NODE_DELIVERY;
        console::note(format!(
            "HostedCluster/{key}: annotation {annotation} is None: no objects are applied in its guest cluster"
        ));
        return Ok(());
    }
    let own = input.whole_sources(cluster)?;
    let (entries, found) = node_entries(own.entries.iter());
    findings::report(own.findings.iter().chain(&found));
    let agent = agent(&input, &key, &args.agent);
    let pools = set_inputs(&input, cluster, &pools)?;
    let plan = args.proof.into();
    let unproven = Planner::new(&input, &plan, false).unproven_on_nodes(cluster);
    findings::report_held(&key, "not proven, so that the manager keeps what the guest cluster has of it", &unproven);
    let objects = GuestInput { entries: &entries, pools: &pools, agent: agent.as_ref(), kinds: GuestKinds::OPENSHIFT };
    Ok(console::print(&yaml::print_documents(GuestObjects::new(&objects).all())?)?)
}

fn agent(input: &Input, key: &ClusterKey, options: &GuestAgentOptions) -> Option<AgentSpec> {
    let Some(agent) = options.spec() else {
        if options.who == GuestAgent::Managed {
            console::warning(
                "--agent-image is not set: the output has no agent (a manager in a pod uses its own image)",
            );
        }
        return None;
    };
    let api = input.control_plane_of(key).and_then(api_endpoint);
    if api.is_none() {
        console::warning(format!(
            "no HostedControlPlane {}/{} with status.controlPlaneEndpoint in the input: the agent connects to the API server \
                         through its Service, which is not reachable from a node without a pod network",
            key.control_plane_namespace(),
            key.name
        ));
    }
    Some(AgentSpec { api, ..agent })
}
