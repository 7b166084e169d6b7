use hypermirror_api::MirrorCoverageStatus;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::*;

const INTERVAL: Duration = Duration::from_hours(1);

fn key(name: &str) -> ClusterKey {
    ClusterKey { namespace: "clusters".to_owned(), name: name.to_owned() }
}

fn time() -> Timestamp {
    Timestamp::from_second(1_000_000).unwrap()
}

fn known(check_now: Option<&str>, next: i64) -> Known {
    let next = time().checked_add(jiff::SignedDuration::from_secs(next)).unwrap();
    let status = MirrorCoverageStatus {
        inputs: "digest".to_owned(),
        next_check_time: Some(Time(next)),
        ..MirrorCoverageStatus::default()
    };
    Known { uid: "u".to_owned(), check_now: check_now.map(str::to_owned), status: Some(status) }
}

/// A term that began now, with these hosted clusters, which were looked at.
fn fleet(names: &[&str], now: Instant) -> Schedule {
    let mut schedule = Schedule::new(INTERVAL);
    schedule.begin(now, time());
    for name in names {
        schedule.change(&key(name), now);
    }
    let due = schedule.start(now + SETTLE, 1.0);
    assert_eq!(due.len(), names.len());
    for due in due {
        schedule.finish(&due.key, End::Known, Some(known(None, 3_600)), now);
    }
    schedule
}

fn started(schedule: &mut Schedule, now: Instant) -> Vec<(String, bool)> {
    schedule.start(now, 1.0).into_iter().map(|due| (due.key.name, due.is_forced)).collect()
}

fn named(name: &str, is_forced: bool) -> (String, bool) {
    (name.to_owned(), is_forced)
}

#[test]
fn all_are_checked_together_once_in_an_interval() {
    let now = Instant::now();
    let mut schedule = fleet(&["a", "b"], now);
    assert_eq!(schedule.next(), Some(now + INTERVAL));
    assert_eq!(started(&mut schedule, now + (INTERVAL.saturating_sub(SETTLE))), []);
    assert_eq!(started(&mut schedule, now + INTERVAL), [named("a", true), named("b", true)]);
    assert_eq!(schedule.next_round(now + INTERVAL, time()), time().checked_add(INTERVAL).unwrap());
}

#[test]
fn a_change_is_looked_at_after_a_moment_and_starts_no_round() {
    let now = Instant::now();
    let mut schedule = fleet(&["a", "b"], now);
    schedule.change(&key("b"), now);
    schedule.change(&key("b"), now + SETTLE / 2);
    assert_eq!(schedule.next(), Some(now + SETTLE), "later changes do not delay it");
    assert_eq!(started(&mut schedule, now + SETTLE), [named("b", false)]);
    // What changes meanwhile is looked at afterwards.
    schedule.change(&key("b"), now + SETTLE);
    assert_eq!(started(&mut schedule, now + 3 * SETTLE), []);
    schedule.finish(&key("b"), End::Nothing, None, now + 3 * SETTLE);
    assert_eq!(started(&mut schedule, now + 3 * SETTLE), [named("b", false)]);
}

#[test]
fn what_is_not_known_is_asked_again_soon_and_ever_later() {
    let now = Instant::now();
    let mut schedule = fleet(&["a"], now);
    for wait in [60, 120, 240] {
        schedule.change(&key("a"), now);
        assert_eq!(started(&mut schedule, now + SETTLE).len(), 1);
        schedule.finish(&key("a"), End::Unknown, None, now);
        assert_eq!(schedule.next(), Some(now + Duration::from_secs(wait)));
    }
    assert_eq!(started(&mut schedule, now + Duration::from_mins(4)), [named("a", true)]);
    schedule.finish(&key("a"), End::Known, None, now);
    assert_eq!(schedule.next(), Some(now + INTERVAL));
}

#[test]
fn an_annotation_counts_once_and_a_deleted_object_is_made_again() {
    let now = Instant::now();
    let mut schedule = fleet(&["a"], now);
    schedule.observe(&key("a"), Some(known(Some("x"), 3_600)), now);
    assert_eq!(started(&mut schedule, now), [named("a", false)]);
    let mut handled = known(Some("x"), 3_600);
    handled.status.as_mut().unwrap().last_handled_check_now = Some("x".to_owned());
    schedule.finish(&key("a"), End::Known, Some(handled.clone()), now);
    schedule.observe(&key("a"), Some(handled), now);
    assert_eq!(started(&mut schedule, now), []);
    schedule.observe_all(BTreeMap::new(), now);
    assert_eq!(started(&mut schedule, now), [named("a", false)]);
}

#[test]
fn an_annotation_that_changes_during_a_check_is_not_lost() {
    let now = Instant::now();
    let mut schedule = fleet(&["a"], now);
    schedule.observe(&key("a"), Some(known(Some("x"), 3_600)), now);
    assert_eq!(started(&mut schedule, now), [named("a", false)]);
    schedule.observe(&key("a"), Some(known(Some("y"), 3_600)), now);
    let mut written = known(Some("x"), 3_600);
    written.status.as_mut().unwrap().last_handled_check_now = Some("x".to_owned());
    schedule.finish(&key("a"), End::Known, Some(written), now);
    let due = schedule.start(now, 1.0);
    assert!(due[0].known.as_ref().unwrap().is_asked());
}

#[test]
fn a_coverage_without_a_hosted_cluster_is_left_alone() {
    let now = Instant::now();
    let mut schedule = fleet(&["a"], now);
    schedule.remove(&key("a"));
    schedule.observe(&key("a"), None, now);
    assert_eq!((started(&mut schedule, now + INTERVAL), schedule.statuses().count()), (Vec::new(), 0));
}

#[test]
fn a_new_leader_makes_the_round_that_the_last_one_had_planned() {
    let now = Instant::now();
    for (planned, expected) in [(600, 600), (-5, 0), (1_000_000, 3_600)] {
        let mut schedule = Schedule::new(INTERVAL);
        schedule.observe(&key("a"), Some(known(None, planned)), now);
        schedule.begin(now, time());
        assert_eq!(schedule.next(), Some(now + Duration::from_secs(expected)));
        schedule.end();
        assert_eq!(schedule.next(), None, "a replica that does not lead checks nothing");
    }
}

#[test]
fn whoever_filled_a_mirror_has_it_checked_at_once_and_once() {
    let now = Instant::now();
    let mut schedule = fleet(&["a", "b"], now);
    schedule.ask(&key("a"), now);
    assert_eq!(schedule.next(), Some(now));
    assert_eq!(started(&mut schedule, now), [named("a", true)]);
    // Also while it is being checked: that check may have asked before the copy.
    schedule.ask(&key("a"), now);
    assert_eq!(started(&mut schedule, now), []);
    schedule.finish(&key("a"), End::Known, None, now);
    assert_eq!(started(&mut schedule, now), [named("a", true)]);
    schedule.finish(&key("a"), End::Known, None, now);
    assert_eq!(started(&mut schedule, now), []);
    schedule.ask(&key("gone"), now);
    assert_eq!(schedule.next(), Some(now + INTERVAL));
}
