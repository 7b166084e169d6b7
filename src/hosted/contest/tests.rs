use serde_json::json;

use super::super::fixtures::{World, annotation, deployment, idms, stock_managed};
use super::super::target::stock_targets;
use super::*;

const HANDOVER: Duration = Duration::from_mins(2);

/// One target of a hosted cluster whose map the stock value does not say, under contest.
struct Ring {
    world: World,
    contest: Contest,
    now: Instant,
}

impl Ring {
    fn new() -> Self {
        let mut world = World::new(&idms(&[("s.example", &["z.example", "a.example"], false)]), "=");
        world.handover_over = true;
        Self { world, contest: Contest::default(), now: Instant::now() }
    }

    /// One look and, unless the target is left alone, one write. Answers for how many seconds it is left alone.
    fn look(&mut self) -> Option<u64> {
        let plan = self.world.plan(None);
        let spec = stock_targets().swap_remove(0);
        let target = ObservedTarget::read(&self.world.deployments[0], &spec);
        let planned = plan.targets[0].plan.as_ref().unwrap();
        if self.world.leaving {
            self.contest.record_removal();
        } else if let Some(left) = self.contest.observe(&target, planned, HANDOVER, self.now) {
            return Some(left.as_secs());
        }
        self.world.apply(&plan);
        None
    }

    /// Somebody writes the Deployment as its operator wants it, which wants this image.
    fn wipe(&mut self, image: &str) {
        let mut stock = stock_managed(deployment(&stock_targets()[0], &["="], Some("=")));
        stock["spec"]["template"]["spec"]["containers"][1]["image"] = json!(image);
        self.world.deployments[0]["spec"] = stock["spec"].take();
    }

    /// Our entry appears, is seen and is wiped without a change, so often. Answers the truces, in seconds.
    fn rounds(&mut self, count: usize) -> Vec<Option<u64>> {
        let round = |ring: &mut Self| {
            ring.wipe("one");
            let truce = ring.look();
            if let Some(left) = truce {
                ring.now += Duration::from_secs(left);
                ring.look();
            }
            ring.look();
            truce
        };
        self.wipe("one");
        self.look();
        self.look();
        (0..count).map(|_| round(self)).collect()
    }
}

#[test]
fn three_removals_without_a_change_are_a_contest_and_each_further_one_doubles_the_delay_up_to_ten_minutes() {
    let truces = Ring::new().rounds(11);
    let doubled = [10, 20, 40, 80, 160, 320, 600, 600, 600].map(Some);
    assert_eq!(truces, [[None, None].as_slice(), &doubled].concat());
}

#[test]
fn removals_with_a_change_of_the_stock_part_do_not_count_and_reset_the_count() {
    let mut ring = Ring::new();
    assert_eq!(ring.rounds(2), [None, None]);
    for image in ["two", "three", "four", "five"] {
        ring.wipe(image);
        assert_eq!((ring.look(), ring.look()), (None, None));
    }
    ring.wipe("five");
    assert_eq!(ring.look(), None, "the first of a new count");
}

#[test]
fn a_change_of_the_desired_state_hash_counts_as_a_change() {
    let mut ring = Ring::new();
    ring.look();
    for hash in 0..9 {
        ring.look();
        ring.wipe("one");
        ring.world.deployments[0]["metadata"]["annotations"]["hypershift.openshift.io/desired-state-hash"] =
            json!(hash.to_string());
        assert_eq!(ring.look(), None);
    }
}

#[test]
fn an_absence_counts_once() {
    let mut ring = Ring::new();
    ring.rounds(2);
    ring.wipe("one");
    let left = |ring: &mut Ring| (0..9).map(|_| ring.look()).collect::<Vec<_>>();
    assert_eq!(left(&mut ring), [Some(10); 9]);
}

#[test]
fn wipes_that_are_far_apart_are_no_contest() {
    let mut ring = Ring::new();
    for _ in 0..9 {
        assert_eq!(ring.rounds(1), [None]);
        ring.now += REMOVAL_COUNTS_FOR + Duration::from_secs(1);
    }
}

#[test]
fn removals_by_hypermirror_do_not_count() {
    type Turn = fn(&mut World, bool);
    let (map, empty) = (Ring::new().world.map, World::new(&[], "=").map);
    let leaves: Turn = |world, away| world.leaving = away;
    for (what, turn) in [("leaving", Some(leaves)), ("an opt-out, or the last mirror deleted", None)] {
        let mut ring = Ring::new();
        ring.look();
        for round in 0..9 {
            assert_eq!(ring.look(), None, "{what} {round}");
            for away in [true, false] {
                match turn {
                    Some(turn) => turn(&mut ring.world, away),
                    None => ring.world.map = if away { empty.clone() } else { map.clone() },
                }
                assert_eq!(ring.look(), None, "{what} {round}");
                if away {
                    ring.contest.record_removal(); // as after each removal that was written
                }
            }
        }
    }
}

#[test]
fn one_write_of_a_stock_operator_after_each_trigger_does_not_count() {
    let mut ring = Ring::new();
    ring.look();
    for _ in 0..9 {
        ring.look();
        ring.contest.record_trigger(ring.now);
        ring.wipe("one"); // to another value and back, before anybody looked
        assert_eq!(ring.look(), None);
    }
    ring.look();
    assert_eq!(ring.rounds(2), [None, Some(10)], "nobody asked, and it was there before the first wipe");
}

#[test]
fn an_answer_that_was_seen_or_comes_too_late_excuses_nothing() {
    let mut ring = Ring::new();
    ring.look();
    ring.contest.record_trigger(ring.now);
    ring.wipe("two");
    ring.look();
    ring.look();
    for expected in [None, None, Some(10)] {
        ring.wipe("two");
        assert_eq!(ring.look(), expected, "it has answered");
        ring.look();
    }
    let mut ring = Ring::new();
    ring.wipe("one");
    ring.look();
    ring.look();
    for expected in [None, None, Some(10)] {
        ring.contest.record_trigger(ring.now);
        ring.now += HANDOVER;
        ring.wipe("one");
        assert_eq!(ring.look(), expected);
        ring.look();
    }
}

#[test]
fn an_announced_value_was_not_removed() {
    let mut ring = Ring::new();
    ring.world.deployments = ring.world.deployments.drain(..).map(stock_managed).collect();
    ring.world.announce(&ring.world.plan(None).clone());
    assert!(annotation(&ring.world.deployments[0], "overrides").is_some());
    for _ in 0..9 {
        let plan = ring.world.plan(None);
        let target = ObservedTarget::read(&ring.world.deployments[0], &stock_targets()[0]);
        let planned = plan.targets[0].plan.as_ref().unwrap();
        assert!(planned.restarts && !planned.carries);
        assert_eq!(ring.contest.observe(&target, planned, HANDOVER, ring.now), None);
    }
}

#[test]
fn a_deployment_that_was_created_anew_and_a_new_term_begin_without_strikes() {
    let mut ring = Ring::new();
    for uid in 0..9 {
        assert_eq!(ring.rounds(2), [None, None]);
        ring.world.deployments[0]["metadata"]["uid"] = json!(uid.to_string());
    }
    for _ in 0..9 {
        assert_eq!(ring.rounds(2), [None, None]);
        ring.contest = Contest::default();
    }
}

#[test]
fn a_delay_applies_to_restored_entries_and_not_to_removals() {
    let mut ring = Ring::new();
    ring.rounds(2);
    ring.wipe("one");
    assert_eq!(ring.look(), Some(10));
    ring.world.leaving = true;
    assert_eq!(ring.look(), None);
}
