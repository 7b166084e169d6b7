//! Deployments and maps for the tests of this folder.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::argument::ArgumentMode;
use super::entries::Entries;
use super::facts::{ClusterFacts, Flags, FleetFacts, RolloutFacts};
use super::known::EntrySet;
use super::observed::ObservedTarget;
use super::plan::{Counted, Plan, PlanInput, Target, Trigger, plan};
use super::proof::held::HeldSources;
use super::proof::requirement::RequireProof;
use super::settings::ClusterSettings;
use super::sources::{ClusterMap, ManagementLayer, OverrideMap, OwnSources};
use super::target::{ArgumentList, TargetSpec, stock_targets};
use crate::fleet::rollout::Budget;
use crate::mirrors::entry::{MirrorEntry, of_object};
use crate::mirrors::{Layer, merge};
use hypermirror_api::ClusterKey;
use hypermirror_api::hypershift::{HostedCluster, HostedClusterSpec};
use hypermirror_api::mirror_sets::{ImageDigestMirrorSetSpec, ImageTagMirrorSetSpec, SourceMirrors};

/// Entries of one IDMS: source, mirrors, and whether the source may never be contacted.
pub fn idms(list: &[(&str, &[&str], bool)]) -> Vec<MirrorEntry> {
    let image_digest_mirrors = list.iter().map(source_mirrors).collect();
    of_object("set", &ImageDigestMirrorSetSpec { image_digest_mirrors }, Layer::Management)
}

/// Entries of one ITMS.
pub fn itms(list: &[(&str, &[&str], bool)]) -> Vec<MirrorEntry> {
    let image_tag_mirrors = list.iter().map(source_mirrors).collect();
    of_object("set", &ImageTagMirrorSetSpec { image_tag_mirrors }, Layer::Management)
}

fn source_mirrors((source, mirrors, never): &(&str, &[&str], bool)) -> SourceMirrors {
    SourceMirrors {
        source: (*source).to_owned(),
        mirrors: mirrors.iter().map(|&mirror| mirror.to_owned()).collect(),
        mirror_source_policy: never.then(|| "NeverContactSource".to_owned()),
        insecure_skip_tls_verify: false,
    }
}

/// A map of a hosted cluster's own.
pub fn map(entries: &[MirrorEntry]) -> OverrideMap {
    OverrideMap::new(merge::merge_layer(entries))
}

/// A target Deployment as stock HyperShift writes it, with these values of the env var.
pub fn deployment(spec: &TargetSpec, env: &[&str], argument: Option<&str>) -> Value {
    let mut vars = vec![json!({"name": "FIRST", "value": "1"})];
    vars.extend(env.iter().map(|value| json!({"name": "OPENSHIFT_IMG_OVERRIDES", "value": value})));
    let words = match argument {
        None => vec!["run".to_owned()],
        Some(value) if spec.form.split => vec!["run".to_owned(), "--registry-overrides".to_owned(), value.to_owned()],
        Some(value) => vec!["run".to_owned(), format!("--registry-overrides={value}")],
    };
    let list = if spec.form.list == ArgumentList::Args { "args" } else { "command" };
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": spec.deployment, "namespace": "clusters-a", "uid": spec.deployment, "generation": 1},
        "spec": {"replicas": 1, "template": {"spec": {"containers": [
            {"name": "sidecar"}, {"name": spec.container, "env": vars, list: words}
        ]}}}
    })
}

/// Marks a Deployment as one that stock HyperShift reconciles.
pub fn stock_managed(mut deployment: Value) -> Value {
    deployment["metadata"]["annotations"]["hypershift.openshift.io/desired-state-hash"] = json!("x");
    deployment
}

/// The values of the env var, in order.
pub fn env_of(deployment: &Value) -> Vec<&str> {
    let env = deployment["spec"]["template"]["spec"]["containers"][1]["env"].as_array().unwrap();
    let ours = env.iter().filter(|entry| entry["name"] == "OPENSHIFT_IMG_OVERRIDES");
    ours.map(|entry| entry["value"].as_str().unwrap()).collect()
}

/// One annotation of ours.
pub fn annotation<'a>(deployment: &'a Value, name: &str) -> Option<&'a str> {
    deployment["metadata"]["annotations"][format!("hypermirror.dev/{name}")].as_str()
}

/// A small world: three Deployments, the management layer, and what is remembered.
pub struct World {
    pub management: ManagementLayer,
    pub map: OverrideMap,
    pub removed: EntrySet,
    pub remembered: EntrySet,
    /// What reports say of annotations: which of their entries are somebody else's.
    pub reported: HashMap<Entries, Entries>,
    pub deployments: Vec<Value>,
    pub argument: ArgumentMode,
    pub leaving: bool,
    pub handover_over: bool,
    pub trigger: Trigger,
    /// The mark of the rollout budget, where it is on.
    pub mark: Option<String>,
    pub in_flight: bool,
}

impl World {
    /// All three targets with this stock value, and the management layer as the wanted map.
    pub fn new(entries: &[MirrorEntry], stock: &str) -> Self {
        let management = ManagementLayer::new(entries);
        let map = (*management.map).clone();
        let deployments = stock_targets().iter().map(|spec| deployment(spec, &[stock], Some("="))).collect();
        Self {
            management,
            map,
            removed: EntrySet::new(),
            remembered: EntrySet::new(),
            reported: HashMap::new(),
            deployments,
            argument: ArgumentMode::default(),
            leaving: false,
            handover_over: false,
            trigger: Trigger::Repeated,
            mark: None,
            in_flight: false,
        }
    }

    /// The Deployments as targets.
    pub fn targets(&self) -> Vec<Target> {
        let read = |(spec, deployment): (TargetSpec, &Value)| {
            let observed = ObservedTarget::read(deployment, &spec);
            Target::new(Arc::new(spec), Some(Arc::new(observed)))
        };
        stock_targets().into_iter().zip(&self.deployments).map(read).collect()
    }

    /// Plans once.
    pub fn plan(&self, mirrors_observed: Option<&str>) -> Plan {
        let targets = self.targets();
        let observed = || targets.iter().filter_map(|target| target.observed.as_deref());
        let remembered = super::value::remembered(observed(), |target| {
            target.overrides.as_ref().and_then(|overrides| self.reported.get(overrides)).cloned()
        });
        let remembered = remembered.union(&self.remembered).cloned().collect();
        let input = PlanInput {
            map: &self.map,
            management: &self.management,
            removed: &self.removed,
            remembered: &remembered,
            targets: &targets,
            argument: self.argument,
            leaving: self.leaving,
            handover_over: self.handover_over,
            trigger: self.trigger,
            rollout: Counted { mark: self.mark.as_deref(), in_flight: self.in_flight },
        };
        plan(&input, mirrors_observed)
    }

    /// Applies the patches of a plan as the API server would.
    pub fn apply(&mut self, plan: &Plan) {
        for (deployment, target) in self.deployments.iter_mut().zip(&plan.targets) {
            if let Some(patch) = target.plan.as_ref().and_then(|target| target.patch.as_ref()) {
                json_patch::patch(deployment, patch).unwrap();
                let generation = deployment["metadata"]["generation"].as_i64().unwrap();
                deployment["metadata"]["generation"] = json!(generation + 1);
            }
        }
    }

    /// Applies the annotations that a plan announces.
    pub fn announce(&mut self, plan: &Plan) {
        for (deployment, target) in self.deployments.iter_mut().zip(&plan.targets) {
            if let Some(patch) = target.plan.as_ref().and_then(|target| target.announce.as_ref()) {
                json_patch::patch(deployment, patch).unwrap();
                let generation = deployment["metadata"]["generation"].as_i64().unwrap();
                deployment["metadata"]["generation"] = json!(generation + 1);
            }
        }
    }

    /// Sets a new management layer; entries that left the map count as removed.
    pub fn edit(&mut self, entries: &[MirrorEntry]) {
        let before = std::mem::take(&mut self.map);
        self.management = ManagementLayer::new(entries);
        self.map = (*self.management.map).clone();
        self.removed.extend(before.entries.difference(&self.map.entries).cloned());
    }

    /// Plans and applies until nothing is left; fails if that takes more than two rounds.
    pub fn settle(&mut self) {
        for _ in 0..2 {
            let plan = self.plan(None);
            if !plan.writes() {
                return;
            }
            self.apply(&plan);
        }
        let plan = self.plan(None);
        assert!(!plan.writes(), "still to write: {plan:#?}");
    }
}

/// What there is of a target, to be changed.
pub fn observed_mut(target: &mut Target) -> &mut ObservedTarget {
    Arc::make_mut(target.observed.as_mut().unwrap())
}

/// Facts of a hosted cluster that uses these mirrors of the management cluster, and whose targets have this stock value and
/// are available.
pub fn facts(entries: &[MirrorEntry], stock: &str) -> ClusterFacts {
    let mut targets = World::new(entries, stock).targets();
    for target in &mut targets {
        observed_mut(target).rolled_out = true;
    }
    let mut object = HostedCluster::new("a", HostedClusterSpec::default());
    (object.metadata.namespace, object.metadata.generation) = (Some("clusters".to_owned()), Some(1));
    let management = Arc::new(ManagementLayer::new(entries));
    let flags = Flags {
        targets: targets.iter().map(|target| Arc::clone(&target.spec)).collect(),
        argument: ArgumentMode::default(),
        observes: false,
        has_guests: false,
        triggers_stock: true,
        plans_final_state: false,
        rollouts: Budget::OFF,
        settle: Duration::ZERO,
        handover: Duration::from_mins(2),
        namespace: "hypermirror-system".to_owned(),
        require_proof: RequireProof::default(),
    };
    ClusterFacts {
        key: ClusterKey::of(&object),
        object: Arc::new(object),
        flags: Arc::new(flags),
        is_selected: true,
        settings: ClusterSettings { use_management: true, paused: None },
        unknown_setting: None,
        own: OwnSources::default(),
        pool_sources: BTreeMap::new(),
        pools: Arc::default(),
        map: ClusterMap { map: Arc::clone(&management.map), findings: Arc::default() },
        fleet: FleetFacts { management, management_revision: 1, ..FleetFacts::default() },
        targets,
        report: None,
        refusal: None,
        guest: None,
        rollout: RolloutFacts::default(),
        coverage: None,
        enforcement: None,
        held: HeldSources::default(),
        has_claim: false,
        memory: Arc::default(),
    }
}
