//! `render overrides`: each map, with where its entries come from, and in both forms that operators read.

use std::collections::BTreeMap;

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use super::super::console::{self, DataFormat};
use super::super::findings;
use super::super::input::{Input, InputArgs, Wanted};
use crate::hosted::sources::{MAX_VALUE_BYTES, ManagementLayer, OverrideMap, cluster_map, fits, settings};
use crate::mirrors::finding::Finding;
use crate::mirrors::{Mirror, Origin, overrides};
use hypermirror_api::ClusterKey;

/// Prints maps.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  hypermirror render overrides -f mirrors.yaml -f hosted-clusters.yaml
  hypermirror render overrides | jq -r '.\"clusters/east\".env'")]
pub struct OverridesArgs {
    #[command(flatten)]
    input: InputArgs,
    /// Output format
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: DataFormat,
}

/// One map for programs.
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
        Self { sources: sources.collect(), env: &map.env, flag: overrides::print_argument(&map.resolved) }
    }
}

fn locations(mirrors: &[Mirror]) -> Vec<&str> {
    mirrors.iter().map(|mirror| mirror.location.as_str()).collect()
}

/// Prints the map of the management layer, under an empty key, and that of each HostedCluster.
pub async fn run(args: &OverridesArgs) -> Result<()> {
    let input = args.input.load(Wanted::default()).await?;
    findings::tell_troubles(&input);
    let (maps, findings) = maps(&input)?;
    findings::tell(&findings);
    for (key, map) in maps.iter().filter(|(_, map)| !fits(&map.env)) {
        let whose = if key.is_empty() { "the management layer" } else { key };
        console::error(format!(
            "the map of {whose} has {} bytes; an environment variable takes {MAX_VALUE_BYTES} with its name, and the \
             manager would not write it",
            map.env.len()
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
