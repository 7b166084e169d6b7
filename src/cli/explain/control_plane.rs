//! `explain --consumer control-plane`: the endpoints that HyperShift's operators try for an image.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;

use super::super::hops::Explained;
use super::super::input::{Input, Wanted};
use super::super::{console, findings};
use super::{ExplainArgs, RequestedImage, prove, text, with_hint};
use crate::hosted::settings::settings;
use crate::hosted::sources::{ManagementLayer, OverrideMap, cluster_map};
use crate::mirrors::finding::Finding;
use crate::mirrors::hypershift::{ControlPlaneExplanation, explain};

/// Prints the endpoints of each image. The exit code is 1 if an image reference is invalid.
pub async fn run(args: &ExplainArgs, requested: &[RequestedImage<'_>]) -> Result<ExitCode> {
    args.check_control_plane()?;
    let input = args.input.load(Wanted::default()).await?;
    findings::report_input(&input);
    let (map, found) = map(&input, args)?;
    findings::report(&found);
    let explanation: Vec<ControlPlaneExplanation> = requested
        .iter()
        .map(|requested| {
            let explanation = explain(&map.resolved, requested.image);
            let error = explanation.error.map(|error| with_hint(&error, requested.image));
            ControlPlaneExplanation { image: requested.requested_as.to_owned(), error, ..explanation }
        })
        .collect();
    if args.prove {
        let explained = explanation.into_iter().map(|one| Explained {
            is_unordered: one.unordered && one.endpoints.len() > 2,
            image: one.image,
            endpoints: one.endpoints,
            error: one.error,
        });
        return prove::run(args, explained.collect()).await;
    }
    match args.output.data() {
        Some(format) => console::print_data(&explanation, format)?,
        None => console::print(&text::of_control_plane(&explanation))?,
    }
    let failed = explanation.iter().any(|explanation| explanation.error.is_some());
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The map of the HostedCluster, or that of the management layer if there is no HostedCluster.
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
