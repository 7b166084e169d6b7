//! Plans the changes of each hosted cluster in the input, with the same rules as the manager.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use hypermirror_api::annotations;
use hypermirror_api::hypershift::HostedCluster;
use kube::ResourceExt as _;
use kube::core::SelectorExt as _;
use serde_json::Value;

use super::input::Input;
use crate::hosted::carry_over::carried;
use crate::hosted::known::EntrySet;
use crate::hosted::observed::ObservedTarget;
use crate::hosted::plan::{Counted, Facts, Plan, plan};
use crate::hosted::report::{SourceTrouble, foreign_of};
use crate::hosted::sources::{ClusterMap, ClusterSettings, ManagementLayer, cluster_map, settings};
use crate::hosted::target::TargetSpec;
use crate::hosted::value::remembered;
use crate::manager::options::PlanOptions;
use hypermirror_api::ClusterKey;

/// The input that all hosted clusters share.
pub struct Planner<'a> {
    input: &'a Input,
    options: &'a PlanOptions,
    /// The targets, the parent first.
    pub specs: Vec<TargetSpec>,
    /// The mirrors of the management cluster.
    pub management: ManagementLayer,
}

/// One target Deployment of the input.
pub struct Target {
    /// Its index in the Deployments of the input.
    pub place: usize,
    /// The relevant part of the Deployment.
    pub observed: ObservedTarget,
}

/// The planned changes of one hosted cluster.
pub struct ClusterPlan {
    pub key: ClusterKey,
    /// The settings in its annotations.
    pub settings: ClusterSettings,
    /// An invalid value of `management-mirrors`.
    pub unknown_setting: Option<String>,
    /// Problems with its ConfigMap or its settings.
    pub troubles: Vec<SourceTrouble>,
    pub map: ClusterMap,
    /// Whether the selector excludes it.
    pub leaving: bool,
    /// The targets that are in the input, in the order of [`Planner::specs`].
    pub targets: Vec<Option<Target>>,
    pub plan: Plan,
}

impl<'a> Planner<'a> {
    /// Resolves the management layer.
    pub fn new(input: &'a Input, options: &'a PlanOptions) -> Self {
        let management = ManagementLayer::new(&input.mirror_entries());
        Self { input, options, specs: options.targets(), management }
    }

    /// Plans all targets of one hosted cluster. `may_touch` allows triggering stock operators.
    pub fn plan(&self, cluster: &HostedCluster, may_touch: bool) -> ClusterPlan {
        let key = ClusterKey::of(cluster);
        let (settings, unknown_setting) = settings(cluster, jiff::Timestamp::now());
        let own = self.input.own_sources(cluster);
        let mut map = cluster_map(&self.management, &own, settings.use_management);
        let leaving = !self.options.hosted_cluster_selector.matches(cluster.labels());
        let targets = self.targets(&key);
        let report = self.input.reports.iter().find(|report| ClusterKey::of(*report) == key);
        let report = report.and_then(|report| report.status.as_ref());
        let observed = || targets.iter().flatten().map(|target| &target.observed);
        let remembered = remembered(observed(), |target| foreign_of(report, target));
        let is_blind = settings.use_management && !self.input.vanished.is_empty();
        if is_blind || own.is_lost {
            let mode = self.options.registry_overrides_argument.into();
            map.map = Arc::new(carried(&map.map, report, observed(), mode));
        }
        let pairs = self.specs.iter().zip(targets.iter().map(|target| target.as_ref().map(|target| &target.observed)));
        let pairs: Vec<_> = pairs.collect();
        let facts = Facts {
            map: &map.map,
            management: &self.management,
            departed: &EntrySet::new(),
            remembered: &remembered,
            targets: &pairs,
            argument: self.options.registry_overrides_argument.into(),
            leaving,
            handover_over: true,
            may_touch: may_touch && !is_blind,
            rollout: Counted::default(),
        };
        let plan = plan(&facts, cluster.annotations().get(annotations::MIRRORS_OBSERVED).map(String::as_str));
        ClusterPlan { key, settings, unknown_setting, troubles: own.troubles, map, leaving, targets, plan }
    }

    fn targets(&self, key: &ClusterKey) -> Vec<Option<Target>> {
        let namespace = key.control_plane_namespace();
        let is = |deployment: &Value, name: &str| {
            let metadata = &deployment["metadata"];
            metadata["namespace"] == namespace.as_str() && metadata["name"] == name
        };
        let find = |spec: &TargetSpec| {
            let place = self.input.deployments.iter().position(|deployment| is(deployment, &spec.deployment))?;
            let observed = ObservedTarget::read(self.input.deployments.get(place)?, spec);
            Some(Target { place, observed })
        };
        // In a namespace that another HostedCluster owns, the Deployments belong to that one.
        let is_its_own = self.input.claims.refusal(key).is_none();
        self.specs.iter().map(|spec| find(spec).filter(|_| is_its_own)).collect()
    }
}

impl ClusterPlan {
    /// The patched Deployments, each with the index of its target.
    pub fn patched(&self, deployments: &[Value]) -> Result<Vec<(usize, Value)>> {
        let mut patched = Vec::new();
        for (place, (target, change)) in self.targets.iter().zip(&self.plan.targets).enumerate() {
            let patch = change.as_ref().and_then(|change| change.patch.as_ref());
            let (Some(target), Some(patch)) = (target, patch) else { continue };
            let Some(mut deployment) = deployments.get(target.place).cloned() else { continue };
            json_patch::patch(&mut deployment, patch).context("failed to apply the patch for a Deployment")?;
            patched.push((place, deployment));
        }
        Ok(patched)
    }
}
