//! Stock operators, an administrator and crashes in any order: a model of what was measured, and what must hold.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::super::entries::Entries;
use super::super::super::fixtures::{World, deployment, env_of, idms, itms, stock_managed};
use super::super::super::known::EntrySet;
use super::super::super::observed::ObservedTarget;
use super::super::super::plan::Trigger;
use super::super::super::sources::{ManagementLayer, OverrideMap};
use super::super::super::target::stock_targets;
use super::super::super::value;
use crate::mirrors::{MirrorEntry, Policy, Resolved};

/// What only the stock operators know.
const FLAG: &str = "zz.example=m.example/zz";

/// One step.
#[derive(Clone, Debug)]
enum Step {
    /// The administrator has the mirrors say what this set says.
    Edit(usize),
    /// The hosted cluster opts out, or in again.
    Turn,
    /// The manager plans once and writes what it planned.
    Plan,
    /// The manager ends without a word; another one plans from then on.
    Crash,
    /// A report is written.
    Report,
    /// The hypershift operator looks: it reads the mirrors, and updates the parent if it wants something else.
    Look,
    /// It changes something of its own.
    ChangeParent,
    /// The parent's process starts with what its pod template says, and looks at its children.
    Restart,
    /// It changes something of its own on one child.
    ChangeChild(usize),
    /// Somebody edits what a stock operator wrote; it is put back when that operator looks.
    Deface(usize),
    /// The time for the handover passes.
    HandoverOver,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..sets().len()).prop_map(Step::Edit),
        1 => Just(Step::Turn),
        6 => Just(Step::Plan),
        1 => Just(Step::Crash),
        2 => Just(Step::Report),
        3 => Just(Step::Look),
        2 => Just(Step::ChangeParent),
        3 => Just(Step::Restart),
        2 => (1..3_usize).prop_map(Step::ChangeChild),
        1 => (0..3_usize).prop_map(Step::Deface),
        1 => Just(Step::HandoverOver),
    ]
}

fn sets() -> Vec<Vec<MirrorEntry>> {
    let ordered = idms(&[("s.example", &["z.example", "a.example"], false)]);
    let sorted = idms(&[("s.example", &["a.example", "z.example"], false)]);
    let strict = idms(&[("s.example", &["z.example"], true), ("t.example", &["m.example/t"], false)]);
    let tags = itms(&[("s.example", &["t.example/s"], false), ("v.example", &["m.example/v"], false)]);
    let single = idms(&[("u.example", &["m.example/u"], false)]);
    vec![
        vec![],
        [ordered.clone(), tags.clone()].concat(),
        [ordered, single.clone()].concat(),
        sorted,
        strict,
        [single.clone(), tags].concat(),
        single,
    ]
}

struct Model {
    world: World,
    mirrors: Vec<MirrorEntry>,
    opted_out: bool,
    /// The last map that the present manager recorded; none after a crash.
    last_map: Option<EntrySet>,
    /// `mirrors-observed`, and whether somebody has looked since.
    asked: Option<String>,
    unheard: bool,
    /// What the parent's process runs with.
    running: String,
    versions: [usize; 3],
    /// What stock operators want.
    desired: Vec<Value>,
    /// What anybody but the manager wrote last.
    theirs: Vec<Value>,
    stock_rollouts: [usize; 3],
    our_rollouts: [usize; 3],
    edits: usize,
}

impl Model {
    fn new() -> Self {
        let mut world = World::new(&[], "=");
        world.deployments = world.deployments.into_iter().map(stock_managed).collect();
        let mut model = Self {
            desired: world.deployments.clone(),
            theirs: world.deployments.clone(),
            world,
            mirrors: Vec::new(),
            opted_out: false,
            last_map: None,
            asked: None,
            unheard: false,
            running: "=".to_owned(),
            versions: [0; 3],
            stock_rollouts: [0; 3],
            our_rollouts: [0; 3],
            edits: 0,
        };
        model.look();
        model.restart();
        model
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Edit(set) => self.edit(&sets()[*set]),
            Step::Turn => {
                self.opted_out = !self.opted_out;
                self.edits += 1;
                self.resolve();
            }
            Step::Plan => {
                self.plan();
            }
            Step::Crash => {
                self.last_map = None;
                self.world.trigger = Trigger::First;
                self.world.removed.clear();
                self.world.management = ManagementLayer::new(&self.mirrors);
                self.world.handover_over = false;
            }
            Step::Report => self.report(),
            Step::Look => self.look(),
            Step::ChangeParent => {
                self.versions[0] += 1;
                self.look();
            }
            Step::Restart => self.restart(),
            Step::ChangeChild(place) => {
                self.versions[*place] += 1;
                self.look_at_children();
            }
            Step::Deface(place) => {
                self.theirs[*place] = self.desired[*place].clone();
                for deployment in [&mut self.theirs[*place], &mut self.world.deployments[*place]] {
                    let env = &mut deployment["spec"]["template"]["spec"]["containers"][1]["env"];
                    env[1]["value"] = json!("y.example=o.example");
                    let generation = deployment["metadata"]["generation"].as_i64().unwrap();
                    deployment["metadata"]["generation"] = json!(generation + 1);
                }
                self.edits += 1;
            }
            Step::HandoverOver => self.world.handover_over = true,
        }
    }

    fn edit(&mut self, mirrors: &[MirrorEntry]) {
        self.edits += 1;
        self.mirrors = mirrors.to_vec();
        let before = std::mem::take(&mut self.world.management);
        self.world.management = ManagementLayer::new(mirrors);
        if self.last_map.is_some() {
            self.world.management.explained.extend(before.explained);
        }
        self.resolve();
    }

    fn resolve(&mut self) {
        self.world.handover_over = false;
        let map =
            if self.opted_out { OverrideMap::new(Resolved::default()) } else { (*self.world.management.map).clone() };
        self.world.map = map;
    }

    /// Answers whether anything was written.
    fn plan(&mut self) -> bool {
        let wanted = &self.world.map.entries;
        if let Some(before) = &self.last_map {
            self.world.removed.extend(before.difference(wanted).cloned());
        }
        self.world.removed.retain(|entry| !wanted.contains(entry));
        self.last_map = Some(EntrySet::clone(wanted));
        let before = self.world.deployments.clone();
        let plan = self.world.plan(self.asked.as_deref());
        if let Some(value) = &plan.touch {
            self.world.trigger = Trigger::Repeated;
            self.world.announce(&plan);
            self.asked = Some(value.clone());
            self.unheard = true;
        } else {
            self.world.apply(&plan);
        }
        for (place, (before, after)) in before.iter().zip(&self.world.deployments).enumerate() {
            self.our_rollouts[place] += usize::from(before["spec"] != after["spec"]);
            assert!(extends(&self.theirs[place]["spec"], &after["spec"]), "edited in place: {after:#}");
        }
        plan.writes()
    }

    fn report(&mut self) {
        let plan = self.world.plan(self.asked.as_deref());
        self.world.reported.clear();
        for (deployment, target) in self.world.deployments.iter().zip(&plan.targets) {
            let annotation = deployment["metadata"]["annotations"]["hypermirror.dev/overrides"].as_str();
            if let (Some(annotation), Some(target)) = (annotation, &target.plan) {
                self.world.reported.insert(annotation.into(), target.annotated_foreign.clone());
            }
        }
    }

    fn look(&mut self) {
        self.unheard = false;
        let value = self.world.management.stock_value.clone();
        self.update(0, value.as_str());
    }

    fn restart(&mut self) {
        self.running = env_of(&self.world.deployments[0]).last().copied().unwrap_or("=").to_owned();
        self.look_at_children();
    }

    fn look_at_children(&mut self) {
        let running = Entries::from(self.running.as_str());
        let mut pairs: Vec<&str> = running.iter().chain([FLAG]).collect();
        pairs.sort_unstable();
        let value = format!("=,{}", pairs.join(","));
        for place in [1, 2] {
            self.update(place, &value);
        }
    }

    /// A full update, if the desired state changed or something of it is gone: it wipes everything but the Deployment's own
    /// annotations.
    fn update(&mut self, place: usize, value: &str) {
        let mut desired = stock_managed(deployment(&stock_targets()[place], &[value], Some("=")));
        desired["spec"]["template"]["spec"]["containers"][1]["env"][0]["value"] =
            json!(self.versions[place].to_string());
        let current = &mut self.world.deployments[place];
        if desired["spec"] == self.desired[place]["spec"] && extends(&desired["spec"], &current["spec"]) {
            return;
        }
        self.desired[place] = desired.clone();
        self.theirs[place] = desired.clone();
        self.stock_rollouts[place] += 1;
        let generation = current["metadata"]["generation"].as_i64().unwrap();
        current["metadata"]["generation"] = json!(generation + 1);
        current["spec"] = desired["spec"].take();
    }

    /// Until nobody has anything to do; fails if that takes for ever.
    fn settle(&mut self) {
        for round in 0..40 {
            self.world.handover_over |= round > 20;
            let wrote = self.plan();
            let heard = std::mem::take(&mut self.unheard);
            let defaced = |place: usize| !extends(&self.desired[place]["spec"], &self.world.deployments[place]["spec"]);
            let (parent_defaced, child_defaced) = (defaced(0), defaced(1) || defaced(2));
            if heard || parent_defaced {
                self.look();
            }
            let restarts = env_of(&self.world.deployments[0]).last().copied() != Some(self.running.as_str());
            if restarts {
                self.restart();
            }
            if child_defaced {
                self.look_at_children();
            }
            let rests = !wrote && !heard && !restarts && !parent_defaced && !child_defaced;
            if rests && self.world.handover_over {
                return;
            }
            self.world.handover_over |= rests;
        }
        panic!("no rest");
    }

    fn check(&self) {
        for (place, deployment) in self.world.deployments.iter().enumerate() {
            let effective = env_of(deployment).last().copied().unwrap_or("=").to_owned();
            let wanted = format!("{},{}", self.world.map.env, if place == 0 { "" } else { FLAG });
            assert!(Entries::from(effective).is_same_map(&wanted.into()), "target {place}: {deployment:#}");
            let annotations = &deployment["metadata"]["annotations"];
            let ours = env_of(deployment).len() > 1;
            assert_eq!(annotations["hypermirror.dev/overrides"].is_string(), ours, "{annotations}");
            let allowed = self.stock_rollouts[place] + self.edits;
            assert!(self.our_rollouts[place] <= allowed, "{} rollouts for {allowed} changes", self.our_rollouts[place]);
        }
        self.check_arguments();
        let plan = self.world.plan(self.asked.as_deref());
        assert!(!plan.writes(), "{plan:#?}");
        let observed = |place: usize| ObservedTarget::read(&self.world.deployments[place], &stock_targets()[place]);
        let remembered = value::remembered(&[observed(1), observed(2)], |_| None);
        assert!(!remembered.contains(FLAG), "an entry of somebody else's is remembered as ours");
    }
}

impl Model {
    /// Each target has its stock argument, and ignition-server the sources that are never contacted.
    fn check_arguments(&self) {
        let sources = self.world.map.resolved.sources.iter();
        let strict = sources.filter(|(_, source)| source.policy == Policy::NeverContactSource);
        let pairs = strict.map(|(name, source)| format!("{name}={}", source.all_mirrors().next().unwrap()));
        let pairs = pairs.collect::<Vec<_>>().join(",");
        for (place, deployment) in self.world.deployments.iter().enumerate() {
            let target = ObservedTarget::read(deployment, &stock_targets()[place]);
            let said = target.container.as_ref().unwrap().arguments.iter().map(|entry| entry.value.as_str());
            let wanted = ["="].into_iter().chain((place == 1 && !pairs.is_empty()).then_some(pairs.as_str()));
            assert!(said.eq(wanted), "target {place}: {deployment:#}");
            assert_eq!(target.argument.is_some(), place == 1 && !pairs.is_empty());
        }
    }
}

/// Whether everything that a stock operator wrote stands as it wrote it: only ends of lists are longer.
fn extends(stock: &Value, current: &Value) -> bool {
    match (stock, current) {
        (Value::Object(stock), Value::Object(current)) => {
            stock.len() == current.len() && stock.iter().all(|(key, value)| extends(value, &current[key]))
        }
        (Value::Array(stock), Value::Array(current)) => {
            stock.len() <= current.len() && stock.iter().zip(current).all(|(stock, current)| extends(stock, current))
        }
        _ => stock == current,
    }
}

proptest! {
    #[test]
    fn each_target_converges_to_the_desired_map_and_the_foreign_entries(
        steps in proptest::collection::vec(step(), 1..40)
    ) {
        let mut model = Model::new();
        for step in &steps {
            model.take(step);
        }
        model.settle();
        model.check();
    }
}

#[test]
fn an_order_that_is_restored_before_the_children_changed_leaves_no_annotations() {
    use Step::{Edit, Look, Plan, Restart};
    let mut model = Model::new();
    for step in [Edit(2), Look, Plan, Restart, Plan, Edit(3), Plan, Look, Plan, Edit(2)] {
        model.take(&step);
    }
    model.settle();
    model.check();
}

#[test]
fn a_stock_operator_that_read_mirrors_while_no_manager_ran_is_triggered_again() {
    use Step::{Crash, Edit, Look, Plan};
    let mut model = Model::new();
    for step in [Edit(1), Look, Edit(5), Plan, Edit(1), Look, Crash, Edit(5)] {
        model.take(&step);
    }
    model.settle();
    model.check();
}
