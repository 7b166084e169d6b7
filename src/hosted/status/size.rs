//! Truncates a report to the limit of the API server, the longest lists first.

use hypermirror_api::HostedClusterMirrorsStatus;
use hypermirror_api::report::NodesReport;

use super::super::condition_state::cut_at;

/// Maximum size of a status: etcd accepts objects of 1.5 MiB, including metadata.
pub const REPORT_BYTES: usize = 1 << 20;
/// Maximum number of NodePools, of boot ConfigMaps, and of nodes in one list.
const LIST: usize = 100;
/// Maximum number of ConfigMaps of one NodePool.
const NAMES: usize = 20;
/// Maximum length of an object's name.
const NAME_BYTES: usize = 253;

/// The steps of truncation while the report is too large. Lists that the next reconcile needs are last.
const STEPS: [fn(&mut HostedClusterMirrorsStatus); 6] = [
    |status| status.node_pools.iter_mut().for_each(|pool| pool.config_maps.clear()),
    |status| status.findings.truncate(5),
    |status| {
        status.sources_cut = status.source_count;
        status.sources.clear();
    },
    |status| {
        status.node_pools.truncate(LIST / 10);
        status.nodes = status.nodes.take().map(|nodes| NodesReport {
            behind: Vec::new(),
            rejected: Vec::new(),
            shadowed: Vec::new(),
            ..nodes
        });
    },
    |status| status.conditions.iter_mut().for_each(|condition| cut_at(&mut condition.message, NAME_BYTES)),
    // Remove the digest, too, so that the annotation does not seem to have no entries of other managers.
    |status| {
        for target in &mut status.control_plane.targets {
            target.foreign.clear();
            target.admitted.clear();
            cut_at(&mut target.message, NAME_BYTES);
        }
        status.boot.truncate(LIST / 10);
    },
];

/// The report with all lists truncated, and the whole.
#[must_use]
pub fn fitted(mut status: HostedClusterMirrorsStatus) -> HostedClusterMirrorsStatus {
    status.node_pools.truncate(LIST);
    status.boot.truncate(LIST);
    for pool in &mut status.node_pools {
        pool.config_maps.truncate(NAMES);
        pool.config_maps.iter_mut().for_each(|name| cut_at(name, NAME_BYTES));
    }
    if let Some(config) = &mut status.mirror_config {
        cut_at(&mut config.name, NAME_BYTES);
    }
    for step in STEPS {
        if serde_json::to_string(&status).is_ok_and(|text| text.len() <= REPORT_BYTES) {
            break;
        }
        step(&mut status);
    }
    status
}

#[cfg(test)]
mod tests {
    use hypermirror_api::report::{BootReport, FindingReport, NodePoolReport, SourceReport, TargetReport};

    use super::*;

    fn bytes(status: &HostedClusterMirrorsStatus) -> usize {
        serde_json::to_string(status).unwrap().len()
    }

    fn pools(count: usize, names: usize, name: &str) -> Vec<NodePoolReport> {
        let pool = |n: usize| NodePoolReport {
            name: format!("pool-{n}"),
            config_maps: vec![name.to_owned(); names],
            message: "x".repeat(2_048),
            ..NodePoolReport::default()
        };
        (0..count).map(pool).collect()
    }

    #[test]
    fn sixty_node_pools_with_three_hundred_missing_names_each_are_a_report() {
        let node_pools = pools(60, 300, &"n".repeat(200));
        let status = HostedClusterMirrorsStatus { node_pools, ..HostedClusterMirrorsStatus::default() };
        assert!(bytes(&status) > 3 << 20);
        let fitted = fitted(status);
        assert!(bytes(&fitted) <= REPORT_BYTES);
        assert_eq!((fitted.node_pools.len(), fitted.node_pools[0].config_maps.len()), (60, NAMES));
    }

    #[test]
    fn a_report_within_the_limit_is_unchanged() {
        let mut status = HostedClusterMirrorsStatus { node_pools: pools(3, 5, "a"), ..Default::default() };
        status.sources = vec![SourceReport::default(); 10];
        status.source_count = 10;
        assert_eq!(fitted(status.clone()), status);
    }

    #[test]
    fn a_report_of_maximum_size_fits_and_keeps_the_fields_that_reconciles_need() {
        let target = TargetReport {
            name: "ignition-server".to_owned(),
            foreign: "f".repeat(128 << 10),
            admitted: "digest".to_owned(),
            ..TargetReport::default()
        };
        let finding = FindingReport { message: "m".repeat(2_048), ..FindingReport::default() };
        let boot = BootReport { node_pool: "p".repeat(253), config_map: "c".repeat(253), digest: "d".to_owned() };
        let mut status =
            HostedClusterMirrorsStatus { node_pools: pools(150, 25, &"n".repeat(5_000)), ..Default::default() };
        status.control_plane.targets = vec![target; 3];
        status.findings = vec![finding; 50];
        status.boot = vec![boot; 1_000];
        status.source_count = 7;
        let once = fitted(status);
        assert!(bytes(&once) <= REPORT_BYTES, "{}", bytes(&once));
        assert_eq!((once.source_count, once.control_plane.targets[0].admitted.as_str()), (7, "digest"));
        assert_eq!(fitted(once.clone()), once, "fitting again changes nothing");
        let mut absurd = once;
        absurd.control_plane.targets[0].foreign = "f".repeat(REPORT_BYTES);
        let fitted = fitted(absurd);
        assert!(bytes(&fitted) <= REPORT_BYTES && fitted.control_plane.targets[0].admitted.is_empty());
    }
}
