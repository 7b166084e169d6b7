use proptest::prelude::*;

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

/// A rollout that the management layer began.
fn mark(second: i64) -> Mark {
    Mark::of(at(second), Cause::Management)
}

/// A rollout that the hosted cluster began itself.
fn own(second: i64) -> Mark {
    Mark::of(at(second), Cause::Own)
}

/// `namespace/name`, or the one namespace of most tests.
impl Member for &'static str {
    fn namespace(&self) -> &str {
        self.split_once('/').map_or("clusters", |(namespace, _)| namespace)
    }
}

/// Three namespaces.
impl Member for usize {
    fn namespace(&self) -> &str {
        ["a", "b", "c"].get(self % 3).unwrap_or(&"a")
    }
}

fn halted(here: &[&'static str], elsewhere: usize) -> Claim<&'static str> {
    Claim::Halted(Halt { here: here.to_vec(), elsewhere })
}

fn budget(at_once: usize, failures: usize) -> Budget {
    Budget { at_once, failures, timeout: Duration::from_mins(1) }
}

/// Of a leader that knows what is in flight: nothing.
fn leading<K: Member>(budget: Budget) -> Rollouts<K> {
    let mut rollouts = Rollouts::new(budget);
    rollouts.begin_term();
    rollouts
}

/// Asks for each of these in turn at second 0; none has changed before.
fn claim(rollouts: &mut Rollouts<&'static str>, keys: &[&'static str]) -> Vec<Claim<&'static str>> {
    keys.iter().map(|key| rollouts.claim(key, None, at(0))).collect()
}

#[test]
fn without_a_limit_each_cluster_proceeds_and_nothing_is_recorded() {
    let mut rollouts = leading(Budget::OFF);
    rollouts.record_mark(&"a", Some(mark(0)));
    assert_eq!(claim(&mut rollouts, &["a", "b"]), [Claim::Held, Claim::Held]);
    assert!(!rollouts.follows(&"a") && !rollouts.counts(at(1000)).halted);
    assert!(rollouts.next(at(0)).is_empty());
}

#[test]
fn the_first_of_the_line_begins_when_one_is_back() {
    let mut rollouts = leading(budget(2, 1));
    let claims = claim(&mut rollouts, &["a", "b", "d", "c", "a"]);
    assert_eq!(claims, [Claim::Granted, Claim::Granted, Claim::Queued, Claim::Queued, Claim::Held]);
    assert!(rollouts.next(at(0)).is_empty());
    rollouts.record_mark(&"a", Some(mark(0)));
    rollouts.record_mark(&"a", None);
    assert_eq!(rollouts.next(at(0)), ["c"]);
    assert_eq!(claim(&mut rollouts, &["d", "c"]), [Claim::Queued, Claim::Granted], "c is first");
}

#[test]
fn the_cluster_that_changed_last_is_last_in_the_queue() {
    let mut rollouts = leading(budget(1, 1));
    claim(&mut rollouts, &["x"]);
    for (key, last) in [("a", Some(at(-5))), ("b", Some(at(-9))), ("z", None)] {
        assert_eq!(rollouts.claim(&key, last, at(0)), Claim::Queued);
    }
    let mut order = Vec::new();
    rollouts.release(&"x");
    while let Some(first) = rollouts.next(at(0)).first().copied() {
        rollouts.dequeue(&first);
        order.push(first);
    }
    assert_eq!(order, ["z", "b", "a"]);
}

#[test]
fn a_claim_that_was_not_used_is_free_again_and_a_mark_is_not() {
    let mut rollouts = leading(budget(1, 1));
    claim(&mut rollouts, &["a"]);
    rollouts.record_mark(&"a", None);
    assert_eq!(claim(&mut rollouts, &["b"]), [Claim::Queued], "a watch that is behind frees no claim");
    rollouts.release(&"a");
    assert_eq!(claim(&mut rollouts, &["b"]), [Claim::Granted]);
    rollouts.record_mark(&"b", Some(mark(1)));
    rollouts.release(&"b");
    assert_eq!(claim(&mut rollouts, &["a"]), [Claim::Queued]);
}

#[test]
fn marks_survive_a_term_and_claims_do_not() {
    let mut rollouts = leading(budget(2, 1));
    claim(&mut rollouts, &["a", "b", "c"]);
    rollouts.record_mark(&"a", Some(mark(0)));
    rollouts.end_term();
    assert_eq!(rollouts.counts(at(0)).in_flight, 1);
    assert_eq!(rollouts.counts(at(0)).waiting, 0);
    assert_eq!(claim(&mut rollouts, &["c"]), [Claim::Queued], "others may be in flight");
    assert!(rollouts.next(at(0)).is_empty());
    rollouts.begin_term();
    assert_eq!(rollouts.next(at(0)), ["c"]);
    assert_eq!(claim(&mut rollouts, &["c", "b"]), [Claim::Granted, Claim::Queued]);
}

#[test]
fn no_rollout_starts_while_one_is_late_and_those_in_flight_continue() {
    let mut rollouts = leading(budget(3, 1));
    rollouts.record_mark(&"a", Some(mark(0)));
    rollouts.record_mark(&"b", Some(mark(30)));
    assert_eq!(rollouts.claim(&"c", None, at(60)), halted(&["a"], 0));
    assert_eq!(rollouts.claim(&"b", None, at(60)), Claim::Held);
    assert!(rollouts.next(at(60)).is_empty());
    let counts = rollouts.counts(at(60));
    assert_eq!((counts.in_flight, counts.waiting, counts.halted), (2, 1, true));
    rollouts.record_mark(&"a", None);
    assert_eq!(rollouts.next(at(60)), ["c"]);
    assert_eq!(rollouts.claim(&"c", None, at(60)), Claim::Granted);
}

#[test]
fn as_many_as_are_configured_may_fail_and_a_full_house_of_them_is_a_halt_too() {
    let mut rollouts = leading(budget(3, 2));
    rollouts.record_mark(&"a", Some(mark(0)));
    assert_eq!(rollouts.claim(&"x", None, at(60)), Claim::Granted);
    rollouts.record_mark(&"b", Some(mark(0)));
    assert_eq!(rollouts.claim(&"y", None, at(60)), halted(&["a", "b"], 0));
    let mut full = leading(budget(1, 5));
    full.record_mark(&"a", Some(mark(0)));
    assert_eq!(full.claim(&"b", None, at(60)), halted(&["a"], 0));
}

/// Which of these keys are halted a minute after the given ones began, and by whom.
fn halts(budget: Budget, failed: &[(&'static str, Mark)], asked: &[&'static str]) -> Vec<Option<(usize, usize)>> {
    let mut rollouts = leading(budget);
    for (key, mark) in failed {
        rollouts.record_mark(key, Some(*mark));
    }
    let claims = asked.iter().map(|key| rollouts.claim(key, None, at(60)));
    let halt = |answer| match answer {
        Claim::Halted(halt) => Some((halt.here.len(), halt.elsewhere)),
        _ => None,
    };
    claims.map(halt).collect()
}

#[test]
fn a_failure_counts_for_the_fleet_or_for_its_own_namespace() {
    let asked = ["a/x", "b/x", "c/x"];
    let halts = |failures: usize, failed: &[(&'static str, Mark)]| halts(budget(10, failures), failed, &asked);
    // One owner stops its own namespace alone, whatever it breaks there.
    assert_eq!(halts(1, &[("a/1", own(0))]), [Some((1, 0)), None, None]);
    assert_eq!(halts(1, &[("a/1", own(0)), ("a/2", own(0)), ("a/3", own(0))]), [Some((3, 0)), None, None]);
    assert_eq!(halts(2, &[("a/1", own(0))]), [None, None, None]);
    // The management layer stops everybody.
    assert_eq!(halts(1, &[("a/1", mark(0))]), [Some((1, 0)), Some((0, 1)), Some((0, 1))]);
    assert_eq!(halts(2, &[("a/1", mark(0))]), [None, None, None]);
    assert_eq!(halts(2, &[("a/1", mark(0)), ("b/1", mark(0))]), [Some((1, 1)), Some((1, 1)), Some((0, 2))]);
    // Several namespaces at once are everybody's trouble: at least two, and as many as may fail.
    assert_eq!(halts(1, &[("a/1", own(0)), ("b/1", own(0))]), [Some((1, 1)), Some((1, 1)), Some((0, 2))]);
    assert_eq!(halts(3, &[("a/1", own(0)), ("b/1", own(0))]), [None, None, None]);
    assert_eq!(halts(2, &[("a/1", own(0)), ("b/1", mark(0))]), [Some((1, 1)), Some((1, 1)), Some((0, 2))]);
}

#[test]
fn an_owner_whose_clusters_fail_holds_no_place_of_others_and_its_line_is_passed_over() {
    let mut rollouts = leading(budget(2, 1));
    rollouts.record_mark(&"a/1", Some(own(0)));
    rollouts.record_mark(&"a/2", Some(own(0)));
    assert_eq!(rollouts.claim(&"b/1", None, at(59)), Claim::Queued, "until they are late they hold their places");
    assert_eq!(rollouts.claim(&"a/3", None, at(60)), halted(&["a/1", "a/2"], 0));
    assert_eq!(rollouts.next(at(60)), ["b/1"]);
    assert_eq!(rollouts.claim(&"b/1", None, at(60)), Claim::Granted);
    let counts = rollouts.counts(at(60));
    assert_eq!((counts.failed, counts.halted, counts.in_flight), (vec!["a/1", "a/2"], false, 3));
    rollouts.record_mark(&"a/1", None);
    rollouts.record_mark(&"a/2", None);
    assert_eq!(rollouts.next(at(60)), ["a/3"]);
    // Those that the management layer began hold theirs.
    let mut full = leading(budget(1, 9));
    full.record_mark(&"a/1", Some(mark(0)));
    assert_eq!(full.claim(&"b/1", None, at(60)), halted(&[], 1));
}

#[test]
fn a_cluster_that_was_unavailable_has_no_slot_and_is_watched() {
    let mut rollouts = leading(budget(1, 1));
    claim(&mut rollouts, &["a", "b"]);
    rollouts.skip(&"a");
    assert!(rollouts.follows(&"a") && rollouts.is_skipped(&"a"));
    assert_eq!(rollouts.next(at(0)), ["b"]);
    assert_eq!(rollouts.counts(at(1000)).unavailable, 1);
    assert!(!rollouts.counts(at(1000)).halted, "it is not counted");
    claim(&mut rollouts, &["a"]);
    assert!(!rollouts.is_skipped(&"a"));
    rollouts.forget(&"a");
    assert!(!rollouts.follows(&"a"));
}

#[test]
fn a_rollout_is_done_in_flight_or_failed() {
    let after = |age, rolled_out, pending| progress(&budget(1, 1), at(0), at(age), rolled_out, pending);
    assert_eq!(after(1, true, false), Progress::Done);
    assert_eq!(after(1, true, true), Progress::InFlight, "children wait for their parent");
    assert_eq!(after(1, false, false), Progress::InFlight);
    assert_eq!(after(60, false, true), Progress::Failed);
    assert_eq!(after(60, true, true), Progress::Done, "a stuck rollout releases its slot at last");
    assert_eq!(after(-60, false, false), Progress::InFlight, "a clock was ahead");
}

#[test]
fn marks_only_move_on() {
    assert_eq!(next_mark(None, at(5)), at(5));
    assert_eq!(next_mark(Some(at(1)), at(5)), at(5));
    assert_eq!(next_mark(Some(at(9)), at(5)), at(9) + Duration::from_millis(1));
    let odd = Timestamp::new(1_800_000_000, 123_456_789).unwrap();
    let mark = next_mark(None, odd);
    assert_eq!(mark.to_string().parse::<Timestamp>().unwrap(), mark);
    assert!(next_mark(Some(mark), odd) > mark);
    assert_eq!(next_mark(Some(Timestamp::MAX), at(0)), at(0), "after the end of time there is nothing");
}

/// One thing that happens to the fleet.
#[derive(Clone, Debug)]
enum Step {
    /// It is looked at and asks if it still has to change.
    Ask(usize),
    /// The write after a place was taken is seen.
    Mark(usize, Cause),
    /// The write failed.
    Fail(usize),
    /// It is back.
    Back(usize),
    /// Another instance leads, which knows what stands on the server.
    Leader,
    Later(i64),
}

fn steps(fleet: usize) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..fleet).prop_map(Step::Ask),
        3 => (0..fleet, prop::bool::ANY).prop_map(|(key, is_own)| {
            Step::Mark(key, if is_own { Cause::Own } else { Cause::Management })
        }),
        1 => (0..fleet).prop_map(Step::Fail),
        2 => (0..fleet).prop_map(Step::Back),
        1 => Just(Step::Leader),
        1 => (1_i64..40).prop_map(Step::Later),
    ];
    prop::collection::vec(step, 0..200)
}

/// What stands on the server, and one leader after the other.
struct Fleet {
    rollouts: Rollouts<usize>,
    marks: BTreeMap<usize, Mark>,
    done: BTreeSet<usize>,
    now: i64,
}

impl Fleet {
    fn take(&mut self, step: &Step) {
        match step {
            Step::Ask(key) if !self.done.contains(key) => {
                let halted_before = self.is_halted(*key);
                let answer = self.rollouts.claim(key, None, at(self.now));
                assert!(!(halted_before && answer == Claim::Granted), "{key} began although halted");
            }
            Step::Mark(key, cause) if self.rollouts.flights.contains_key(key) && !self.done.contains(key) => {
                let mark = *self.marks.entry(*key).or_insert_with(|| Mark::of(at(self.now), *cause));
                self.rollouts.record_mark(key, Some(mark));
            }
            Step::Fail(key) => self.rollouts.release(key),
            Step::Back(key) if self.marks.remove(key).is_some() => {
                self.done.insert(*key);
                self.rollouts.record_mark(key, None);
            }
            Step::Leader => {
                self.rollouts = leading(*self.rollouts.budget());
                for (key, mark) in &self.marks {
                    self.rollouts.record_mark(key, Some(*mark));
                }
            }
            Step::Later(seconds) => self.now += seconds,
            _ => {}
        }
    }

    /// Judged anew, from what stands on the server.
    fn is_halted(&self, key: usize) -> bool {
        let is_late = |mark: &Mark| self.rollouts.budget().is_late(mark.at, at(self.now));
        let late = || self.marks.iter().filter(|(_, mark)| is_late(mark));
        let of_management = late().filter(|(_, mark)| mark.cause == Cause::Management).count();
        let namespaces: BTreeSet<usize> = late().map(|(key, _)| key % 3).collect();
        let here = late().filter(|(other, _)| *other % 3 == key % 3).count();
        let failures = self.rollouts.budget().failures;
        of_management >= failures || here >= failures || namespaces.len() >= failures.max(2)
    }

    /// Those that hold a place: all but what failed by its own doing.
    fn held(&self) -> usize {
        let frees = |mark: &Mark| mark.cause == Cause::Own && self.rollouts.budget().is_late(mark.at, at(self.now));
        self.marks.values().filter(|mark| !frees(mark)).count()
    }
}

proptest! {
    #[test]
    fn never_more_than_the_budget_and_everybody_in_the_end(
        at_once in 1_usize..5, failures in 1_usize..4, steps in steps(12)
    ) {
        let mut fleet = Fleet {
            rollouts: leading(budget(at_once, failures)), marks: BTreeMap::new(), done: BTreeSet::new(), now: 0,
        };
        for step in &steps {
            fleet.take(step);
            prop_assert!(fleet.held() <= at_once, "{step:?}");
        }
        // Whatever happened: when everything comes back, everybody has his turn.
        (0..12).for_each(|key| fleet.take(&Step::Ask(key)));
        for _ in 0..12 {
            (0..12).for_each(|key| fleet.take(&Step::Mark(key, Cause::Own)));
            (0..12).for_each(|key| fleet.take(&Step::Back(key)));
            fleet.rollouts.next(at(fleet.now)).iter().for_each(|key| fleet.take(&Step::Ask(*key)));
        }
        prop_assert_eq!(fleet.done.len(), 12);
    }

    #[test]
    fn which_rollouts_start_does_not_depend_on_the_order_of_requests(order in Just((0..9).collect::<Vec<usize>>()).prop_shuffle()) {
        let mut rollouts = leading(budget(3, 1));
        (100..103).for_each(|key| rollouts.record_mark(&key, Some(mark(0))));
        for key in &order {
            rollouts.claim(key, None, at(0));
        }
        (100..103).for_each(|key| rollouts.record_mark(&key, None));
        prop_assert_eq!(rollouts.next(at(0)), vec![0, 1, 2]);
    }
}

#[test]
fn an_operator_that_does_not_answer_holds_the_place_for_seconds_and_not_for_the_handover() {
    let (settle, handover) = (Duration::from_millis(300), Duration::from_mins(2));
    for (asked, left) in [(0, Some(3000)), (2900, Some(100)), (3000, None), (60_000, None)] {
        let due = response_due(Duration::from_millis(asked), settle, handover);
        assert_eq!(due, left.map(Duration::from_millis), "asked {asked} ms ago");
    }
    let short = Duration::from_secs(1);
    assert_eq!(response_due(Duration::ZERO, settle, short), Some(short));
}
