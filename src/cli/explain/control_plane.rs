//! `explain --consumer control-plane`: where HyperShift's operators look for an image.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;

use super::super::input::{Input, Wanted};
use super::super::{console, findings};
use super::{Asked, ExplainArgs, text, with_hint};
use crate::hosted::sources::{ManagementLayer, OverrideMap, cluster_map, settings};
use crate::mirrors::finding::Finding;
use crate::mirrors::hypershift::{Looked, explain};

/// Prints where each image is looked for; the exit code is 1 if one is no image at all.
pub async fn run(args: &ExplainArgs, asked: &[Asked<'_>]) -> Result<ExitCode> {
    args.check_control_plane()?;
    let input = args.input.load(Wanted::default()).await?;
    findings::tell_troubles(&input);
    let (map, found) = map(&input, args)?;
    findings::tell(&found);
    let looked: Vec<Looked> = asked
        .iter()
        .map(|asked| {
            let looked = explain(&map.resolved, asked.image);
            let error = looked.error.map(|error| with_hint(&error, asked.image));
            Looked { image: asked.given.to_owned(), error, ..looked }
        })
        .collect();
    match args.output.data() {
        Some(format) => console::print_data(&looked, format)?,
        None => console::print(&text::of_control_plane(&looked))?,
    }
    let failed = looked.iter().any(|looked| looked.error.is_some());
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The map of the HostedCluster; without one that of the management layer.
fn map(input: &Input, args: &ExplainArgs) -> Result<(Arc<OverrideMap>, Vec<Finding>)> {
    let management = ManagementLayer::new(&input.mirror_entries());
    let Some(cluster) = input.select(args.scope.hosted_cluster.as_ref())? else {
        return Ok((management.map, management.findings));
    };
    let (settings, _) = settings(cluster, jiff::Timestamp::now());
    let own = input.whole_sources(cluster)?;
    let map = cluster_map(&management, &own, settings.use_management);
    Ok((map.map, map.findings.to_vec()))
}
