//! The condition about the configurations of a hosted cluster's NodePools.

use std::collections::BTreeMap;

use hypermirror_api::report::NodePoolReport;
use hypermirror_api::{Reason, annotations};

use super::PoolSources;
use crate::hosted::condition_state::{ConditionState, cut};
use crate::mirrors::finding::{Finding, Severity};
use crate::mirrors::validate::{Consumer, validate};

/// Maximum number of NodePools in a message, so that it stays readable.
const POOLS: usize = 100;

/// All findings about a NodePool's configuration: about its documents and about its mirrors on nodes.
pub fn findings(pool: &PoolSources) -> Vec<Finding> {
    let mut findings = pool.findings.clone();
    findings.extend(validate(pool.entries.iter(), Consumer::Node).findings);
    findings
}

/// The problem of one NodePool's configuration. `None` without a configuration.
fn of_pool(pool: &PoolSources) -> Option<ConditionState> {
    if pool.config_maps.is_empty() && pool.problems.is_empty() {
        return None;
    }
    let mut messages: Vec<String> = pool.problems.iter().map(|trouble| trouble.message.clone()).collect();
    let found = findings(pool);
    let errors = found.iter().filter(|finding| finding.severity == Severity::Error);
    messages.extend(errors.map(|finding| format!("{} {}: {}", finding.origin, finding.field, finding.message)));
    if !messages.is_empty() {
        let reason = pool.problems.first().map_or(Reason::InvalidEntries, |trouble| trouble.reason);
        return Some(ConditionState::new("False", reason, messages.join("; ")));
    }
    let mut message = "all documents are valid".to_owned();
    let warnings = found.len();
    if warnings > 0 {
        message = format!("{message}; {warnings} warnings, which hypermirror check prints");
    }
    if !pool.replacing.is_empty() {
        message = format!(
            "{message}; stock HyperShift replaces the nodes when the mirrors in {} change; it does not when the \
             mirrors are in a ConfigMap that annotation {} references",
            pool.replacing.join(", "),
            annotations::CONFIG
        );
    }
    Some(ConditionState::new("True", Reason::AsExpected, message))
}

/// `NodePoolConfigValid`; none if no NodePool has a configuration.
pub fn condition(pools: &BTreeMap<String, PoolSources>) -> Option<ConditionState> {
    let conditions: Vec<(&String, ConditionState)> =
        pools.iter().filter_map(|(name, pool)| Some((name, of_pool(pool)?))).collect();
    let bad: Vec<&(&String, ConditionState)> =
        conditions.iter().filter(|(_, condition)| condition.status != "True").collect();
    match bad.first() {
        Some((_, first)) => {
            let texts = bad.iter().map(|(name, condition)| format!("NodePool {name}: {}", condition.message));
            Some(ConditionState::new("False", first.reason, texts.collect::<Vec<_>>().join("; ")))
        }
        None if conditions.len() > 1 => {
            Some(ConditionState::new("True", Reason::AsExpected, "the configuration of all NodePools is valid"))
        }
        None => conditions.into_iter().next().map(|(_, only)| only),
    }
}

/// Each NodePool that has a configuration, by name.
pub fn reports(pools: &BTreeMap<String, PoolSources>) -> Vec<NodePoolReport> {
    let report = |(name, pool): (&String, &PoolSources)| {
        let condition = of_pool(pool)?;
        Some(NodePoolReport {
            name: name.clone(),
            config_maps: pool.config_maps.clone(),
            valid: condition.status == "True",
            reason: condition.reason.as_str().to_owned(),
            message: cut(condition.message),
        })
    };
    pools.iter().filter_map(report).take(POOLS).collect()
}
