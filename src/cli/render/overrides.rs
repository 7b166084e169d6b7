//! `render overrides`: prints the maps with their origins, and in the two formats that HyperShift's operators read.

use std::collections::BTreeMap;

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use super::super::console::{self, DataFormat};
use super::super::findings;
use super::super::input::{Input, InputArgs, Wanted};
use super::super::planning::Planner;
use crate::hosted::settings::settings;
use crate::hosted::sources::{MAX_VALUE_BYTES, ManagementLayer, OverrideMap, cluster_map, fits};
use crate::manager::options::ProofOptions;
use crate::mirrors::finding::Finding;
use crate::mirrors::{Mirror, Origin, overrides};
use hypermirror_api::ClusterKey;

/// Flags of `render overrides`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  hypermirror render overrides -f mirrors.yaml -f hosted-clusters.yaml
  hypermirror render overrides | jq -r '.\"clusters/east\".env'
The Deployments are not read: sources that the manager holds until they are
proven are in the output, and named on standard error.")]
pub struct OverridesArgs {
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    proof: ProofOptions,
    /// Output format
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: DataFormat,
}

/// The JSON of one map.
#[derive(Debug, Serialize)]
struct MapData<'a> {
    sources: Vec<SourceData<'a>>,
    env: &'a str,
    flag: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SourceData<'a> {
    source: &'a str,
    digest_mirrors: Vec<&'a str>,
    tag_mirrors: Vec<&'a str>,
    policy: &'static str,
    origins: &'a [Origin],
}

impl<'a> MapData<'a> {
    fn new(map: &'a OverrideMap) -> Self {
        let sources = map.resolved.sources.iter().map(|(name, source)| SourceData {
            source: name,
            digest_mirrors: locations(&source.digest_mirrors),
            tag_mirrors: locations(&source.tag_mirrors),
            policy: source.policy.as_str(),
            origins: &source.origins,
        });
        Self { sources: sources.collect(), env: map.env.as_str(), flag: overrides::print_argument(&map.resolved) }
    }
}

fn locations(mirrors: &[Mirror]) -> Vec<&str> {
    mirrors.iter().map(|mirror| mirror.location.as_str()).collect()
}

/// Prints the map of the management layer, under an empty key, and that of each HostedCluster.
pub async fn run(args: &OverridesArgs) -> Result<()> {
    let input = args.input.load(Wanted { pools: true, reports: true, ..Wanted::default() }).await?;
    findings::report_input(&input);
    let (maps, findings) = maps(&input)?;
    findings::report(&findings);
    let plan = args.proof.into();
    let planner = Planner::new(&input, &plan, false);
    for cluster in &input.clusters {
        let what = "not proven, so that the manager keeps what the Deployments have of it";
        findings::report_held(&ClusterKey::of(cluster), what, &planner.plan(cluster).held);
    }
    for (key, map) in maps.iter().filter(|(_, map)| !fits(&map.env)) {
        let whose = if key.is_empty() { "the management layer" } else { key };
        console::error(format!(
            "the map of {whose} has {} bytes and would not be written: the limit for an environment variable and its name is \
                         {MAX_VALUE_BYTES}",
            map.env.as_str().len()
        ));
    }
    let data: BTreeMap<&str, MapData<'_>> = maps.iter().map(|(key, map)| (key.as_str(), MapData::new(map))).collect();
    console::print_data(&data, args.output)
}

fn maps(input: &Input) -> Result<(BTreeMap<String, OverrideMap>, Vec<Finding>)> {
    let management = ManagementLayer::new(&input.mirror_entries());
    let mut maps = BTreeMap::from([(String::new(), OverrideMap::clone(&management.map))]);
    let mut findings = management.findings.clone();
    for cluster in &input.clusters {
        let key = ClusterKey::of(cluster);
        let (settings, unknown) = settings(cluster, jiff::Timestamp::now());
        if let Some(value) = unknown {
            console::warning(findings::unknown_setting(&key, &value));
        }
        let own = input.whole_sources(cluster)?;
        let map = cluster_map(&management, &own, settings.use_management);
        findings.extend(map.findings.iter().cloned());
        maps.insert(key.to_string(), OverrideMap::clone(&map.map));
    }
    Ok((maps, findings))
}
