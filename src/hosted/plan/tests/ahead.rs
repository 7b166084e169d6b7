//! What is announced, with an admission that gives it to the next write of a stock operator, and without one.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::super::review::{Reviewer, Write};
use super::*;
use crate::mirrors::MirrorEntry;

/// Stock operators that answer, and an admission, if there is one.
struct Stock {
    world: World,
    has_admission: bool,
    /// The flag of the operators, which stands in every argument and in the children's value.
    flag: &'static str,
    asked: Option<String>,
    /// How often the pod template of ignition-server changed.
    rollouts: usize,
}

impl Stock {
    fn new(entries: &[MirrorEntry], has_admission: bool, flag: &'static str) -> Self {
        let mut world = World::new(entries, "=");
        world.deployments = world.deployments.into_iter().map(stock_managed).collect();
        let mut stock = Self { world, has_admission, flag, asked: None, rollouts: 0 };
        stock.settle();
        stock.rollouts = 0;
        stock
    }

    /// A stock operator writes a target whole; the admission, if there is one, reviews it.
    fn write(&mut self, place: usize, env: &str) {
        let before = self.world.deployments[place].clone();
        let after = stock_managed(deployment(&stock_targets()[place], &[env], Some(self.flag)));
        if env_of(&before)[0] == env {
            return;
        }
        let mut written = before.clone();
        written["spec"] = after["spec"].clone();
        if self.has_admission {
            let reviewer = Reviewer { targets: stock_targets(), field_unaware_users: BTreeSet::new() };
            let raw = |object: &Value| serde_json::value::to_raw_value(object).unwrap();
            let (object, before) = (raw(&written), raw(&before));
            let write =
                Write { group: "apps", resource: "deployments", user: "stock", object: &object, before: Some(&before) };
            if let Some(patch) = reviewer.review(&write).unwrap() {
                json_patch::patch(&mut written, &patch).unwrap();
            }
        }
        self.take(place, &written);
    }

    fn take(&mut self, place: usize, written: &Value) {
        let before = std::mem::replace(&mut self.world.deployments[place], written.clone());
        self.rollouts += usize::from(place == 1 && before["spec"] != written["spec"]);
    }

    fn edit(&mut self, entries: &[MirrorEntry]) {
        self.world.edit(entries);
        self.world.handover_over = false;
        self.rollouts = 0;
        self.settle();
    }

    /// The manager and the operators act in turn until nobody has anything to do.
    fn settle(&mut self) {
        for _ in 0..9 {
            let plan = self.world.plan(self.asked.as_deref());
            let before = self.world.deployments.clone();
            if let Some(value) = &plan.touch {
                self.asked = Some(value.clone());
                self.world.announce(&plan);
                self.assert_quiet(&before);
                let value = self.world.management.stock_value.clone();
                self.write(0, value.as_str());
                self.hand_over();
                continue;
            }
            self.world.apply(&plan);
            let after = std::mem::replace(&mut self.world.deployments, before);
            for (place, after) in after.iter().enumerate() {
                self.take(place, after);
            }
            self.hand_over();
            if !plan.writes() {
                if self.world.handover_over {
                    return;
                }
                self.world.handover_over = true;
            }
        }
        panic!("no rest: {:#?}", self.world.plan(self.asked.as_deref()));
    }

    fn assert_quiet(&self, before: &[Value]) {
        for (before, after) in before.iter().zip(&self.world.deployments) {
            assert_eq!(before["spec"], after["spec"], "an announcement restarts nothing");
        }
    }

    /// A new pod of the parent writes the children: its value and the flag, sorted.
    fn hand_over(&mut self) {
        let running = env_of(&self.world.deployments[0]).last().copied().unwrap_or("=").to_owned();
        let (running, flag) = (Entries::from(running), Entries::from(self.flag));
        let mut pairs: Vec<&str> = running.iter().chain(flag.iter()).collect();
        pairs.sort_unstable();
        let value = format!("=,{}", pairs.join(","));
        for place in [1, 2] {
            self.write(place, &value);
        }
    }

    fn arguments(&self) -> Vec<String> {
        let words = &self.world.deployments[1]["spec"]["template"]["spec"]["containers"][1]["args"];
        let words: Vec<&str> = words.as_array().unwrap().iter().filter_map(Value::as_str).collect();
        words.windows(2).filter(|pair| pair[0] == "--registry-overrides").map(|pair| pair[1].to_owned()).collect()
    }
}

#[test]
fn a_source_that_is_never_contacted_costs_ignition_server_one_rollout_with_an_admission() {
    for (has_admission, expected) in [(true, 1), (false, 2)] {
        for flag in ["=", "zz.example=f.example"] {
            let mut stock = Stock::new(&a_and_b(), has_admission, flag);
            let never = |mirror| {
                let both = idms(&[("n.example", &[mirror], true), ("o.example", &["m.example/o"], true)]);
                [a_and_b(), both].concat()
            };
            let one = [a_and_b(), idms(&[("o.example", &["m.example/o"], true)])].concat();
            let say = |mirror: &str| vec![flag.to_owned(), format!("n.example={mirror},o.example=m.example/o")];
            for (what, entries, arguments) in [
                ("added", never("m.example/1"), say("m.example/1")),
                ("changed", never("m.example/2"), say("m.example/2")),
                ("one of two removed", one, vec![flag.to_owned(), "o.example=m.example/o".to_owned()]),
                ("removed", a_and_b(), vec![flag.to_owned()]),
            ] {
                stock.edit(&entries);
                assert_eq!(stock.arguments(), arguments, "{what}");
                // What goes was wiped by the stock operator's own write already.
                let expected = if what == "removed" { 1 } else { expected };
                assert_eq!(stock.rollouts, expected, "{what}, admission: {has_admission}, flag {flag}");
                for key in ["overrides", "retired"] {
                    assert_eq!(annotation(&stock.world.deployments[1], key), None, "{what}");
                }
            }
        }
    }
}

#[test]
fn an_order_that_stock_operators_lose_and_an_argument_are_added_in_the_same_write() {
    let ordered = |source| idms(&[("s.example", &["z.example", "a.example"], false), (source, &["m.example"], true)]);
    let mut stock = Stock::new(&[], true, "=");
    for (source, rollouts) in [("n.example", 1), ("p.example", 1)] {
        stock.edit(&ordered(source));
        assert_eq!(stock.arguments(), ["=".to_owned(), format!("{source}=m.example")]);
        assert_eq!(stock.rollouts, rollouts);
        assert!(env_of(&stock.world.deployments[1])[1].contains("s.example=z.example,s.example=a.example"));
    }
    stock.edit(&[]);
    assert_eq!((stock.arguments().len(), env_of(&stock.world.deployments[1]).len()), (1, 1));
}

#[test]
fn an_argument_is_known_by_its_pairs_while_its_annotation_is_ahead_also_after_a_crash() {
    for (what, now, arguments) in [
        ("another mirror", idms(&[("n.example", &["m.example/2"], true)]), vec!["=", "n.example=m.example/2"]),
        (
            "contacted again",
            idms(&[("n.example", &["m.example/1"], false), ("x.example", &["m.example"], false)]),
            vec!["="],
        ),
        ("gone", vec![], vec!["="]),
    ] {
        let mut stock = Stock::new(&idms(&[("n.example", &["m.example/1"], true)]), false, "=");
        stock.world.edit(&now);
        stock.world.announce(&stock.world.plan(stock.asked.as_deref()).clone());
        let ahead = annotation(&stock.world.deployments[1], "registry-overrides-argument");
        assert_eq!(ahead, arguments.get(1).copied(), "{what}");
        assert_eq!(stock.arguments(), ["=", "n.example=m.example/1"], "{what}");
        let ignition = ObservedTarget::read(&stock.world.deployments[1], &stock_targets()[1]);
        let ours = argument::appended(&ignition, ignition.container.as_ref().unwrap());
        assert_eq!(ours.len(), 1, "{what}");
        // The operators do not answer, and the process that knew is gone.
        stock.world.removed.clear();
        stock.world.handover_over = true;
        let asked = stock.world.plan(None).touch;
        for _ in 0..3 {
            let plan = stock.world.plan(asked.as_deref());
            stock.world.apply(&plan);
        }
        assert_eq!(stock.arguments(), arguments, "{what}");
        assert!(!stock.world.plan(asked.as_deref()).writes(), "{what}");
    }
}

#[test]
fn an_argument_that_another_client_appended_stays() {
    let mut stock = Stock::new(&idms(&[("n.example", &["m.example"], true)]), false, "=");
    let words = &mut stock.world.deployments[1]["spec"]["template"]["spec"]["containers"][1]["args"];
    let theirs = [json!("--registry-overrides"), json!("y.example=o.example")];
    words.as_array_mut().unwrap().extend(theirs);
    stock.world.edit(&idms(&[("n.example", &["m.example/2"], true)]));
    stock.world.handover_over = true;
    stock.world.announce(&stock.world.plan(None).clone());
    stock.world.apply(&stock.world.plan(Some("x")).clone());
    assert_eq!(stock.arguments(), ["=", "y.example=o.example", "n.example=m.example/2"]);
}

#[test]
fn restoring_only_the_argument_does_not_count_as_a_rollout() {
    let mut stock = Stock::new(&idms(&[("n.example", &["m.example"], true)]), false, "=");
    stock.world.mark = Some("2026-01-01T00:00:00Z".to_owned());
    let words = &mut stock.world.deployments[1]["spec"]["template"]["spec"]["containers"][1]["args"];
    words.as_array_mut().unwrap().truncate(3);
    let plan = stock.world.plan(stock.asked.as_deref());
    assert!(plan.writes() && !plan.restarts(), "{:#?}", plan.targets[1]);
}
