//! Whether somebody has looked for the signatures that policies demand of mirrored images.

use kube::Client;

use super::super::super::coverage::policies_of;
use super::super::super::input::Input;
use super::super::super::planning::Planner;
use super::super::first_day::coverage_of;
use super::is_forbidden;
use crate::diagnosis::{Diagnosis, signatures};
use crate::management::pulled::{PolicyError, signature_policies};
use crate::manager::options::PlanOptions;
use crate::mirrors::layers::resolve;

/// Diagnoses hosted clusters without a result of the registry-manager. Those with one have findings by it.
pub async fn diagnose(client: &Client, input: &Input, options: &PlanOptions) -> Vec<Diagnosis> {
    let unknown: Vec<_> = input
        .clusters
        .iter()
        .filter(|cluster| {
            coverage_of(input, &hypermirror_api::ClusterKey::of(*cluster))
                .is_none_or(|status| status.last_check_time.is_none())
        })
        .collect();
    if unknown.is_empty() {
        return Vec::new();
    }
    let (policies, mut found) = match signature_policies(client).await {
        Ok(policies) => (policies, Vec::new()),
        Err(error) => (Vec::new(), vec![unread(&error)]),
    };
    let planner = Planner::new(input, options, false);
    for cluster in unknown {
        let plan = planner.plan(cluster);
        let declared = plan.map.map.resolved.sources.keys();
        let of_management = signatures::unchecked(&plan.key, &policies, declared.map(String::as_str));
        let own = input.own_sources(cluster);
        let of_pools = input.pools_of(&plan.key).into_iter().filter_map(|pool| {
            // What cannot be read is a finding of the NodePool.
            let policies = policies_of(input, pool).unwrap_or_default();
            let of_pool = input.pool_sources(pool);
            let (resolved, _) = resolve(own.entries.iter().chain(of_pool.entries.iter()));
            signatures::unchecked(&plan.key, &policies, resolved.sources.keys().map(String::as_str))
        });
        // One command answers for all.
        found.extend(of_management.into_iter().chain(of_pools).next());
    }
    found
}

fn unread(error: &PolicyError) -> Diagnosis {
    let cure = match error {
        PolicyError::List { cause, .. } if is_forbidden(cause) => {
            "run check as a user that may list signature policies"
        }
        PolicyError::List { .. } => "check the connection to the API server",
        PolicyError::Decode { .. } => "correct the object",
    };
    Diagnosis::not_checked("ClusterImagePolicy/all", error.to_string(), cure)
}
