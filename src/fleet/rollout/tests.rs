use proptest::prelude::*;

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn budget(at_once: usize, failures: usize) -> Budget {
    Budget { at_once, failures, timeout: Duration::from_mins(1) }
}

/// Of a leader that knows what is in flight: nothing.
fn leading<K: Ord + Clone>(budget: Budget) -> Rollouts<K> {
    let mut rollouts = Rollouts::new(budget);
    rollouts.begin_term();
    rollouts
}

/// Asks for each of these in turn at second 0; none has changed before.
fn ask(rollouts: &mut Rollouts<&'static str>, keys: &[&'static str]) -> Vec<Answer<&'static str>> {
    keys.iter().map(|key| rollouts.ask(key, None, at(0))).collect()
}

#[test]
fn without_a_limit_everybody_goes_and_nothing_is_remembered() {
    let mut rollouts = leading(Budget::OFF);
    rollouts.told(&"a", Some(at(0)));
    assert_eq!(ask(&mut rollouts, &["a", "b"]), [Answer::Goes, Answer::Goes]);
    assert!(!rollouts.follows(&"a") && !rollouts.standing(at(1000)).halted);
    assert!(rollouts.next(at(0)).is_empty());
}

#[test]
fn the_first_of_the_line_begins_when_one_is_back() {
    let mut rollouts = leading(budget(2, 1));
    let answers = ask(&mut rollouts, &["a", "b", "d", "c", "a"]);
    assert_eq!(answers, [Answer::Begins, Answer::Begins, Answer::Waits, Answer::Waits, Answer::Goes]);
    assert!(rollouts.next(at(0)).is_empty());
    rollouts.told(&"a", Some(at(0)));
    rollouts.told(&"a", None);
    assert_eq!(rollouts.next(at(0)), ["c"]);
    assert_eq!(ask(&mut rollouts, &["d", "c"]), [Answer::Waits, Answer::Begins], "c is first");
}

#[test]
fn whoever_changed_last_is_last_in_line() {
    let mut rollouts = leading(budget(1, 1));
    ask(&mut rollouts, &["x"]);
    for (key, last) in [("a", Some(at(-5))), ("b", Some(at(-9))), ("z", None)] {
        assert_eq!(rollouts.ask(&key, last, at(0)), Answer::Waits);
    }
    let mut order = Vec::new();
    rollouts.give_back(&"x");
    while let Some(first) = rollouts.next(at(0)).first().copied() {
        rollouts.leave_line(&first);
        order.push(first);
    }
    assert_eq!(order, ["z", "b", "a"]);
}

#[test]
fn a_claim_that_was_not_used_is_free_again_and_a_mark_is_not() {
    let mut rollouts = leading(budget(1, 1));
    ask(&mut rollouts, &["a"]);
    rollouts.told(&"a", None);
    assert_eq!(ask(&mut rollouts, &["b"]), [Answer::Waits], "a watch that is behind frees no claim");
    rollouts.give_back(&"a");
    assert_eq!(ask(&mut rollouts, &["b"]), [Answer::Begins]);
    rollouts.told(&"b", Some(at(1)));
    rollouts.give_back(&"b");
    assert_eq!(ask(&mut rollouts, &["a"]), [Answer::Waits]);
}

#[test]
fn what_the_server_tells_of_survives_a_term_and_a_claim_does_not() {
    let mut rollouts = leading(budget(2, 1));
    ask(&mut rollouts, &["a", "b", "c"]);
    rollouts.told(&"a", Some(at(0)));
    rollouts.end_term();
    assert_eq!(rollouts.standing(at(0)).in_flight, 1);
    assert_eq!(rollouts.standing(at(0)).waiting, 0);
    assert_eq!(ask(&mut rollouts, &["c"]), [Answer::Waits], "others may be in flight");
    assert!(rollouts.next(at(0)).is_empty());
    rollouts.begin_term();
    assert_eq!(rollouts.next(at(0)), ["c"]);
    assert_eq!(ask(&mut rollouts, &["c", "b"]), [Answer::Begins, Answer::Waits]);
}

#[test]
fn none_begins_while_one_is_late_and_who_is_in_flight_goes_on() {
    let mut rollouts = leading(budget(3, 1));
    rollouts.told(&"a", Some(at(0)));
    rollouts.told(&"b", Some(at(30)));
    assert_eq!(rollouts.ask(&"c", None, at(60)), Answer::Halted(vec!["a"]));
    assert_eq!(rollouts.ask(&"b", None, at(60)), Answer::Goes);
    assert!(rollouts.next(at(60)).is_empty());
    let standing = rollouts.standing(at(60));
    assert_eq!((standing.in_flight, standing.waiting, standing.halted), (2, 1, true));
    rollouts.told(&"a", None);
    assert_eq!(rollouts.next(at(60)), ["c"]);
    assert_eq!(rollouts.ask(&"c", None, at(60)), Answer::Begins);
}

#[test]
fn as_many_as_are_configured_may_fail_and_a_full_house_of_them_is_a_halt_too() {
    let mut rollouts = leading(budget(3, 2));
    rollouts.told(&"a", Some(at(0)));
    assert_eq!(rollouts.ask(&"x", None, at(60)), Answer::Begins);
    rollouts.told(&"b", Some(at(0)));
    assert_eq!(rollouts.ask(&"y", None, at(60)), Answer::Halted(vec!["a", "b"]));
    let mut full = leading(budget(1, 5));
    full.told(&"a", Some(at(0)));
    assert_eq!(full.ask(&"b", None, at(60)), Answer::Halted(vec!["a"]));
}

#[test]
fn who_was_not_available_holds_no_place_and_is_followed() {
    let mut rollouts = leading(budget(1, 1));
    ask(&mut rollouts, &["a", "b"]);
    rollouts.leave_out(&"a");
    assert!(rollouts.follows(&"a") && rollouts.is_left_out(&"a"));
    assert_eq!(rollouts.next(at(0)), ["b"]);
    assert_eq!(rollouts.standing(at(1000)).unavailable, 1);
    assert!(!rollouts.standing(at(1000)).halted, "it is not counted");
    ask(&mut rollouts, &["a"]);
    assert!(!rollouts.is_left_out(&"a"));
    rollouts.forget(&"a");
    assert!(!rollouts.follows(&"a"));
}

#[test]
fn a_look_tells_what_is_back_and_what_is_late() {
    let look = |age, rolled_out, pending| look(&budget(1, 1), at(0), at(age), rolled_out, pending);
    assert_eq!(look(1, true, false), Look::Back);
    assert_eq!(look(1, true, true), Look::InFlight, "children wait for their parent");
    assert_eq!(look(1, false, false), Look::InFlight);
    assert_eq!(look(60, false, true), Look::Failed);
    assert_eq!(look(60, true, true), Look::Back, "what cannot go on holds no place for ever");
    assert_eq!(look(-60, false, false), Look::InFlight, "somebody's clock was ahead");
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
    Mark(usize),
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
        3 => (0..fleet).prop_map(Step::Mark),
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
    marks: BTreeMap<usize, Timestamp>,
    done: BTreeSet<usize>,
    now: i64,
}

impl Fleet {
    fn take(&mut self, step: &Step) {
        match step {
            Step::Ask(key) if !self.done.contains(key) => {
                let halted_before = self.late() >= self.rollouts.budget().failures;
                let answer = self.rollouts.ask(key, None, at(self.now));
                assert!(!(halted_before && answer == Answer::Begins), "{key} began although halted");
            }
            Step::Mark(key) if self.rollouts.flights.contains_key(key) && !self.done.contains(key) => {
                let mark = *self.marks.entry(*key).or_insert_with(|| at(self.now));
                self.rollouts.told(key, Some(mark));
            }
            Step::Fail(key) => self.rollouts.give_back(key),
            Step::Back(key) if self.marks.remove(key).is_some() => {
                self.done.insert(*key);
                self.rollouts.told(key, None);
            }
            Step::Leader => {
                self.rollouts = leading(*self.rollouts.budget());
                for (key, mark) in &self.marks {
                    self.rollouts.told(key, Some(*mark));
                }
            }
            Step::Later(seconds) => self.now += seconds,
            _ => {}
        }
    }

    fn late(&self) -> usize {
        self.marks.values().filter(|mark| self.rollouts.budget().is_late(**mark, at(self.now))).count()
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
            prop_assert!(fleet.marks.len() <= at_once, "{step:?}");
            prop_assert!(fleet.rollouts.standing(at(fleet.now)).in_flight <= at_once, "{step:?}");
        }
        // Whatever happened: when everything comes back, everybody has his turn.
        (0..12).for_each(|key| fleet.take(&Step::Ask(key)));
        for _ in 0..12 {
            (0..12).for_each(|key| fleet.take(&Step::Mark(key)));
            (0..12).for_each(|key| fleet.take(&Step::Back(key)));
            fleet.rollouts.next(at(fleet.now)).iter().for_each(|key| fleet.take(&Step::Ask(*key)));
        }
        prop_assert_eq!(fleet.done.len(), 12);
    }

    #[test]
    fn who_may_begin_does_not_depend_on_who_asked_first(order in Just((0..9).collect::<Vec<usize>>()).prop_shuffle()) {
        let mut rollouts = leading(budget(3, 1));
        (100..103).for_each(|key| rollouts.told(&key, Some(at(0))));
        for key in &order {
            rollouts.ask(key, None, at(0));
        }
        (100..103).for_each(|key| rollouts.told(&key, None));
        prop_assert_eq!(rollouts.next(at(0)), vec![0, 1, 2]);
    }
}

#[test]
fn an_operator_that_does_not_answer_holds_the_place_for_seconds_and_not_for_the_handover() {
    let (settle, handover) = (Duration::from_millis(300), Duration::from_mins(2));
    for (asked, left) in [(0, Some(3000)), (2900, Some(100)), (3000, None), (60_000, None)] {
        let due = answer_due(Duration::from_millis(asked), settle, handover);
        assert_eq!(due, left.map(Duration::from_millis), "asked {asked} ms ago");
    }
    let short = Duration::from_secs(1);
    assert_eq!(answer_due(Duration::ZERO, settle, short), Some(short));
}
