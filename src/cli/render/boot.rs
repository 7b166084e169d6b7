//! `render boot`: prints the ConfigMaps with the mirrors that nodes boot with.

use anyhow::{Context as _, Result};
use clap::Args;
use kube::ResourceExt as _;
use serde_json::Value;

use super::super::input::{InputArgs, Wanted};
use super::super::{Usage, console, findings, yaml};
use crate::hosted::boot::{config_map, of_pool};
use crate::hosted::delivery::Delivery;
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
}

/// Prints one ConfigMap for each NodePool with delivery `Rollout` or `AgentAndRollout`.
pub async fn run(args: &BootArgs) -> Result<()> {
    let input = args.input.load(Wanted { pools: true, ..Wanted::default() }).await?;
    findings::report_input(&input);
    let Some(cluster) = input.select(args.hosted_cluster.as_ref())? else {
        return Err(Usage::error("the input has no HostedCluster"));
    };
    let key = ClusterKey::of(cluster);
    let pools = input.pools_of(&key);
    findings::report_deliveries(cluster, &pools);
    let own = input.whole_sources(cluster)?;
    let mut documents: Vec<Value> = Vec::new();
    for pool in &pools {
        let delivery = Delivery::of_pool(Delivery::of(cluster), Delivery::requested(*pool).0);
        if !delivery.is_by_rollout() {
            continue;
        }
        let sources = input.whole_pool_sources(pool)?;
        let name = pool.name_any();
        let text = of_pool(&own, &sources).with_context(|| format!("NodePool/{}/{name}", key.namespace))?;
        documents.extend(text.map(|text| config_map(&key.control_plane_namespace(), &name, &text)));
    }
    if documents.is_empty() {
        console::note(format!("HostedCluster/{key}: no NodePool with delivery Rollout or AgentAndRollout has mirrors"));
    }
    Ok(console::print(&yaml::print_documents(&documents)?)?)
}
