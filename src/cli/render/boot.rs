//! `render boot`: prints the ConfigMaps with the mirrors that nodes boot with.

use anyhow::{Result, bail};
use clap::Args;
use hypermirror_api::Reason;

use super::super::input::{InputArgs, Wanted};
use super::super::planning::Planner;
use super::super::{Usage, console, findings, yaml};
use crate::hosted::boot::BootWish;
use crate::hosted::condition_state::SourceTrouble;
use crate::hosted::delivery::Delivery;
use crate::manager::options::ProofOptions;
use hypermirror_api::ClusterKey;

/// Flags of `render boot`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  hypermirror render boot --hosted-cluster clusters/west
  hypermirror render boot -f hosted-cluster.yaml -f node-pools.yaml")]
pub struct BootArgs {
    #[command(flatten)]
    input: InputArgs,
    /// HostedCluster; required if the input has several
    #[arg(long, value_name = "NAMESPACE/NAME")]
    hosted_cluster: Option<ClusterKey>,
    #[command(flatten)]
    proof: ProofOptions,
}

/// Prints one ConfigMap for each NodePool with delivery `Rollout` or `AgentAndRollout`.
pub async fn run(args: &BootArgs) -> Result<()> {
    let input = args.input.load(Wanted { pools: true, reports: true, ..Wanted::default() }).await?;
    findings::report_input(&input);
    let Some(cluster) = input.select(args.hosted_cluster.as_ref())? else {
        return Err(Usage::error("the input has no HostedCluster"));
    };
    let key = ClusterKey::of(cluster);
    let pools = input.pools_of(&key);
    findings::report_deliveries(cluster, &pools);
    input.whole_sources(cluster)?;
    for pool in &pools {
        let delivery = Delivery::of_pool(Delivery::of(cluster), Delivery::requested(*pool).0);
        if delivery.is_by_rollout() {
            input.whole_pool_sources(pool)?;
        }
    }
    let plan = args.proof.into();
    let (mut documents, mut are_held) = (Vec::new(), false);
    for BootWish { pool, config_map } in Planner::new(&input, &plan, false).boot_files(cluster) {
        let pool = format!("NodePool/{}/{pool}", key.namespace);
        match config_map {
            Ok(config_map) => documents.extend(config_map),
            Err(SourceTrouble { reason: Reason::ProofMissing, message }) => {
                console::warning(format!("{pool}: {message}"));
                are_held = true;
            }
            Err(trouble) => bail!("{pool}: {}", trouble.message),
        }
    }
    if documents.is_empty() && !are_held {
        console::note(format!("HostedCluster/{key}: no NodePool with delivery Rollout or AgentAndRollout has mirrors"));
    }
    Ok(console::print(&yaml::print_documents(&documents)?)?)
}
