//! Plans the changes of each hosted cluster in the input, with the same turn as the manager.

use std::iter::once;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result};
use hypermirror_api::ClusterKey;
use hypermirror_api::hypershift::HostedCluster;
use kube::ResourceExt as _;
use kube::core::SelectorExt as _;
use serde_json::Value;

use super::input::Input;
use crate::fleet::rollout::Budget;
use crate::hosted::boot::{self, BootWish};
use crate::hosted::carry_over::carried;
use crate::hosted::condition_state::SourceTrouble;
use crate::hosted::coverage::KnownCoverage;
use crate::hosted::delivery::Delivery;
use crate::hosted::facts::{ClusterFacts, Flags, FleetFacts, Moment, RolloutFacts};
use crate::hosted::guest::node_entries;
use crate::hosted::observed::ObservedTarget;
use crate::hosted::plan::{Plan, Target};
use crate::hosted::pool_config::KnownPool;
use crate::hosted::proof::control_plane::enforce;
use crate::hosted::proof::held::HeldSources;
use crate::hosted::proof::nodes::{NodeSet, unproven};
use crate::hosted::proof::proofs::Proofs;
use crate::hosted::settings::{ClusterSettings, settings};
use crate::hosted::sources::{ClusterMap, ManagementLayer, cluster_map};
use crate::hosted::target::TargetSpec;
use crate::hosted::turn::turn;
use crate::manager::options::PlanOptions;
use crate::registry::coverage::needs;

/// The input that all hosted clusters share.
pub struct Planner<'a> {
    input: &'a Input,
    options: &'a PlanOptions,
    flags: Arc<Flags>,
    /// The mirrors of the management cluster.
    pub management: Arc<ManagementLayer>,
}

/// The planned changes of one hosted cluster.
pub struct ClusterPlan {
    pub key: ClusterKey,
    /// The settings in its annotations.
    pub settings: ClusterSettings,
    /// An invalid value of `management-mirrors`.
    pub unknown_setting: Option<String>,
    /// Problems with its ConfigMap or its settings.
    pub problems: Vec<SourceTrouble>,
    pub map: ClusterMap,
    /// The sources that are held because their mirrors are not proven.
    pub held: HeldSources,
    /// Whether the selector excludes it, or its annotation uninstalls it.
    pub leaving: bool,
    pub plan: Plan,
    /// The index of each target in the Deployments of the input.
    places: Vec<Option<usize>>,
}

impl<'a> Planner<'a> {
    /// Resolves the management layer. `asks`: stock operators may be asked to read it again.
    pub fn new(input: &'a Input, options: &'a PlanOptions, triggers_stock: bool) -> Self {
        let management = Arc::new(ManagementLayer::new(&input.mirror_entries()));
        // The end is shown, and not the steps to it: no waiting, no limit, and nobody else's work in between.
        let flags = Flags {
            targets: options.targets().into_iter().map(Arc::new).collect(),
            argument: options.registry_overrides_argument.into(),
            observes: false,
            has_guests: false,
            triggers_stock,
            plans_final_state: true,
            rollouts: Budget::OFF,
            settle: std::time::Duration::ZERO,
            handover: std::time::Duration::ZERO,
            namespace: String::new(),
            require_proof: options.proof.require_proof.into(),
        };
        Self { input, options, flags: Arc::new(flags), management }
    }

    /// Plans all targets of one hosted cluster.
    pub fn plan(&self, cluster: &HostedCluster) -> ClusterPlan {
        let now = Moment { instant: Instant::now(), time: jiff::Timestamp::now() };
        let key = ClusterKey::of(cluster);
        let places = self.places(&key);
        let facts = self.facts(cluster, &key, &places, now);
        let turn = turn(&facts, now);
        ClusterPlan {
            key,
            leaving: facts.leaves(),
            settings: facts.settings,
            unknown_setting: facts.unknown_setting,
            problems: facts.own.problems,
            map: facts.map,
            held: facts.held,
            plan: turn.plan,
            places,
        }
    }

    /// The desired boot files of the NodePools of a hosted cluster, or why they are held.
    pub fn boot_files(&self, cluster: &HostedCluster) -> Vec<BootWish> {
        let (facts, now) = self.facts_now(cluster);
        boot::wishes(&facts, now)
    }

    /// The sources of the mirror sets in the guest cluster that are not proven. The guest cluster is not read: those that are live
    /// there stay as they are, and the others are held.
    pub fn unproven_on_nodes(&self, cluster: &HostedCluster) -> HeldSources {
        let (facts, now) = self.facts_now(cluster);
        let own = node_entries(facts.own.entries.iter()).0;
        let by_agent = |name: &str| facts.delivery_of_pool(name).is_some_and(Delivery::is_by_agent);
        let pools = facts.pool_sources.iter().filter(|(name, _)| by_agent(name));
        let pools: Vec<_> = pools.map(|(name, sources)| (name, node_entries(sources.entries.iter()).0)).collect();
        let of_pools = pools.iter().map(|(name, entries)| NodeSet { pool: Some(name), entries });
        let sets: Vec<NodeSet<'_>> = once(NodeSet { pool: None, entries: &own }).chain(of_pools).collect();
        let proofs = Proofs::of(&facts, now);
        let held = unproven(&proofs, &sets).into_iter().map(|unproven| {
            let set = sets.iter().find(|set| set.pool == unproven.pool.as_deref());
            unproven.held(set.map_or(&[], |set| set.entries), &[])
        });
        HeldSources { sources: held.collect(), cause: proofs.cause.as_ref().map(ToString::to_string) }
    }

    fn facts_now(&self, cluster: &HostedCluster) -> (ClusterFacts, jiff::Timestamp) {
        let now = Moment { instant: Instant::now(), time: jiff::Timestamp::now() };
        let key = ClusterKey::of(cluster);
        (self.facts(cluster, &key, &self.places(&key), now), now.time)
    }

    /// The state of a hosted cluster in the input, without memory of an earlier turn.
    fn facts(&self, cluster: &HostedCluster, key: &ClusterKey, places: &[Option<usize>], now: Moment) -> ClusterFacts {
        let (settings, unknown_setting) = settings(cluster, now.time);
        let own = self.input.own_sources(cluster);
        let report = self.input.reports.iter().find(|report| ClusterKey::of(*report) == *key);
        let coverage = self.input.coverages.iter().find(|coverage| ClusterKey::of(*coverage) == *key);
        let pools = self.input.pools_of(key);
        let fleet = FleetFacts {
            management: Arc::clone(&self.management),
            is_blind: !self.input.vanished.is_empty(),
            ..FleetFacts::default()
        };
        let mut facts = ClusterFacts {
            key: key.clone(),
            object: Arc::new(cluster.clone()),
            flags: Arc::clone(&self.flags),
            fleet,
            is_selected: self.options.hosted_cluster_selector.matches(cluster.labels()),
            map: cluster_map(&self.management, &own, settings.use_management),
            settings,
            unknown_setting,
            own,
            pool_sources: pools.iter().map(|pool| (pool.name_any(), self.input.pool_sources(pool))).collect(),
            pools: Arc::new(pools.iter().map(|pool| (pool.name_any(), KnownPool::from(*pool))).collect()),
            enforcement: None,
            held: HeldSources::default(),
            targets: self.targets(places),
            report: report.and_then(|report| report.status.clone()).map(Arc::new),
            refusal: self.input.claims.refusal(key).cloned(),
            coverage: coverage.and_then(|coverage| coverage.status.as_ref()).and_then(KnownCoverage::of).map(Arc::new),
            guest: None,
            rollout: RolloutFacts::default(),
            has_claim: false,
            memory: Arc::default(),
        };
        if facts.is_blind() || facts.own.is_lost {
            let observed = facts.targets.iter().filter_map(|target| target.observed.as_deref());
            let map = carried(&facts.map.map, facts.report.as_deref(), observed, self.flags.argument);
            facts.map.map = Arc::new(map);
        }
        let needs = needs::of_cluster(cluster, &needs::of_pools(&facts.pools)).today();
        enforce(&mut facts, &needs, now);
        facts
    }

    /// Where the targets of a hosted cluster are among the input's Deployments: nowhere in a namespace that is not its own.
    fn places(&self, key: &ClusterKey) -> Vec<Option<usize>> {
        let namespace = key.control_plane_namespace();
        let is = |deployment: &Value, name: &str| {
            let metadata = &deployment["metadata"];
            metadata["namespace"] == namespace.as_str() && metadata["name"] == name
        };
        let find = |spec: &Arc<TargetSpec>| {
            self.input.deployments.iter().position(|deployment| is(deployment, &spec.deployment))
        };
        let is_its_own = self.input.claims.refusal(key).is_none();
        self.flags.targets.iter().map(|spec| find(spec).filter(|_| is_its_own)).collect()
    }

    fn targets(&self, places: &[Option<usize>]) -> Vec<Target> {
        let target = |(spec, place): (&Arc<TargetSpec>, &Option<usize>)| {
            let deployment = place.and_then(|place| self.input.deployments.get(place));
            let observed = deployment.map(|deployment| Arc::new(ObservedTarget::read(deployment, spec)));
            Target::new(Arc::clone(spec), observed)
        };
        self.flags.targets.iter().zip(places).map(target).collect()
    }
}

impl ClusterPlan {
    /// The patched Deployments, each with its target and its index in the Deployments of the input.
    pub fn patched(&self, deployments: &[Value]) -> Result<Vec<(&Target, usize, Value)>> {
        let mut patched = Vec::new();
        for (target, place) in self.plan.targets.iter().zip(&self.places) {
            let patch = target.plan.as_ref().and_then(|plan| plan.patch.as_ref());
            let (Some(place), Some(patch)) = (*place, patch) else { continue };
            let Some(mut deployment) = deployments.get(place).cloned() else { continue };
            json_patch::patch(&mut deployment, patch).context("failed to apply the patch for a Deployment")?;
            patched.push((target, place, deployment));
        }
        Ok(patched)
    }
}
