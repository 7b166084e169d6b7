use serde_json::json;

use super::super::status::Known;
use super::*;

const LIMITS: Limits = Limits { all: 4, namespace: 3, host: 2 };
const LEAST: Duration = Duration::from_secs(10);

/// A clock that a test moves.
struct Clock(Instant);

impl Clock {
    fn new() -> Self {
        Self(Instant::now())
    }

    fn at(&self, second: u64) -> Moment {
        let time = Timestamp::from_second(1_000_000 + i64::try_from(second).unwrap()).unwrap();
        Moment { instant: self.0 + Duration::from_secs(second), time }
    }
}

fn object(namespace: &str, name: &str, host: &str, generation: i64) -> Watched {
    let spec = json!({"url": format!("https://{host}"), "repository": "a", "scanInterval": 1_000});
    Watched {
        key: ObjectKey { namespace: namespace.to_owned(), name: name.to_owned() },
        uid: format!("{namespace}-{name}"),
        generation,
        scan_now: None,
        spec: Ok(Arc::new(serde_json::from_value(spec).unwrap())),
        hosts: vec![host.to_owned()],
    }
}

fn started(agenda: &mut Agenda, now: Moment) -> Vec<Job> {
    std::iter::from_fn(|| agenda.start(now)).collect()
}

fn names(jobs: &[Job]) -> Vec<&str> {
    jobs.iter().map(|job| job.object.key.name.as_str()).collect()
}

fn good(generation: i64, now: Moment) -> Finished {
    let known = Known { observed_generation: Some(generation), last_scan: Some(now.time), ..Known::default() };
    Finished { known: Some(known), version: Some("10".to_owned()), throttled_until: None, unreachable: None }
}

#[test]
fn a_status_write_never_starts_a_scan() {
    let (mut agenda, clock) = (Agenda::<Scans>::new(LIMITS, LEAST), Clock::new());
    agenda.put(object("a", "one", "r", 1), Known::default(), "5", clock.at(0));
    let jobs = started(&mut agenda, clock.at(0));
    assert_eq!(names(&jobs), ["one"]);
    let done = good(1, clock.at(1));
    agenda.finish(&jobs[0].object.key, jobs[0].number, done.clone(), clock.at(1));
    // The event of our own write, and one from before it that comes late.
    for (version, known) in [("10", done.known.unwrap()), ("9", Known::default())] {
        assert_eq!(agenda.put(object("a", "one", "r", 1), known, version, clock.at(2)), None);
        assert!(started(&mut agenda, clock.at(500)).is_empty(), "version {version}");
    }
    // The status of somebody else counts.
    agenda.put(object("a", "one", "r", 1), Known::default(), "11", clock.at(2));
    assert_eq!(started(&mut agenda, clock.at(500)).len(), 1);
}

#[test]
fn a_dead_host_and_a_full_namespace_leave_room_for_others() {
    let (mut agenda, clock) = (Agenda::<Scans>::new(LIMITS, LEAST), Clock::new());
    for number in 0..5 {
        agenda.put(object("a", &format!("dead-{number}"), "dead", 1), Known::default(), "1", clock.at(0));
    }
    for number in 0..5 {
        let host = format!("host-{number}");
        agenda.put(object("b", &host.clone(), &host, 1), Known::default(), "1", clock.at(1));
    }
    let jobs = started(&mut agenda, clock.at(1));
    let of = |namespace: &str| jobs.iter().filter(|job| job.object.key.namespace == namespace).count();
    assert_eq!((of("a"), of("b"), agenda.running()), (LIMITS.host, 2, LIMITS.all));
    for job in jobs.iter().filter(|job| job.object.hosts == ["dead"]) {
        let failed = Finished { unreachable: Some("dead".to_owned()), ..good(1, clock.at(2)) };
        agenda.finish(&job.object.key, job.number, failed, clock.at(2));
    }
    let next = started(&mut agenda, clock.at(2));
    let dead = next.iter().filter(|job| job.object.hosts == ["dead"]).count();
    assert_eq!((dead, next.len()), (1, 2), "one shows whether it is back");
}

#[test]
fn a_change_of_the_spec_stops_the_scan_of_the_old_one() {
    let (mut agenda, clock) = (Agenda::<Scans>::new(LIMITS, LEAST), Clock::new());
    agenda.put(object("a", "one", "r", 1), Known::default(), "1", clock.at(0));
    let old = started(&mut agenda, clock.at(0)).remove(0);
    assert_eq!(agenda.put(object("a", "one", "r", 1), Known::default(), "2", clock.at(1)), None, "the same spec");
    assert_eq!(agenda.put(object("a", "one", "r", 2), Known::default(), "3", clock.at(1)), Some(old.number));
    let new = started(&mut agenda, clock.at(1)).remove(0);
    agenda.finish(&old.object.key, old.number, good(1, clock.at(2)), clock.at(2));
    assert_eq!(agenda.running(), 1, "the end of a stopped job is nobody's");
    agenda.finish(&new.object.key, new.number, good(2, clock.at(2)), clock.at(2));
    assert!(started(&mut agenda, clock.at(100)).is_empty());
}

#[test]
fn an_object_that_is_deleted_and_created_again_is_another_one() {
    let (mut agenda, clock) = (Agenda::<Scans>::new(LIMITS, LEAST), Clock::new());
    agenda.put(object("a", "one", "r", 1), Known::default(), "1", clock.at(0));
    let job = started(&mut agenda, clock.at(0)).remove(0);
    let again = Watched { uid: "other".to_owned(), ..object("a", "one", "r", 1) };
    assert_eq!(agenda.put(again, Known::default(), "2", clock.at(0)), Some(job.number));
    assert_eq!(started(&mut agenda, clock.at(0)).len(), 1);
    assert!(agenda.remove(&job.object.key).is_some() && agenda.keys().is_empty());
    assert_eq!((agenda.running(), agenda.next_due()), (0, None));
}

#[test]
fn a_job_without_a_result_is_due_again_and_a_lost_term_stops_all() {
    let (mut agenda, clock) = (Agenda::<Scans>::new(LIMITS, LEAST), Clock::new());
    agenda.put(object("a", "one", "r", 1), Known::default(), "1", clock.at(0));
    agenda.put(object("a", "two", "r", 1), Known::default(), "1", clock.at(0));
    let jobs = started(&mut agenda, clock.at(0));
    let mut stopped = agenda.stop_all(clock.at(1));
    stopped.sort_unstable();
    assert_eq!((stopped, agenda.running()), (jobs.iter().map(|job| job.number).collect::<Vec<_>>(), 0));
    assert_eq!(started(&mut agenda, clock.at(1)).len(), 2);
}

#[test]
fn thousands_of_objects_are_all_scanned_and_never_more_at_once_than_allowed() {
    let limits = Limits { all: 50, namespace: 20, host: 8 };
    let (mut agenda, clock) = (Agenda::<Scans>::new(limits, LEAST), Clock::new());
    for number in 0..3_000 {
        let (namespace, host) = (format!("n{}", number % 7), format!("h{}", number % 11));
        agenda.put(object(&namespace, &number.to_string(), &host, 1), Known::default(), "1", clock.at(0));
    }
    let mut scanned = 0;
    loop {
        let jobs = started(&mut agenda, clock.at(1));
        if jobs.is_empty() {
            break;
        }
        assert!(agenda.running() <= limits.all);
        scanned += jobs.len();
        for job in &jobs {
            agenda.finish(&job.object.key, job.number, good(1, clock.at(1)), clock.at(1));
        }
    }
    assert_eq!(scanned, 3_000);
}
