use std::sync::atomic::{AtomicUsize, Ordering};

use super::super::error::{Party, Reason, Refusal};
use super::*;

/// Some registries name parts of a second.
const PART: Duration = Duration::from_millis(20);

fn registry() -> RegistryAddress {
    RegistryAddress::parse("r.example").unwrap()
}

fn refused(status: u16, retry_after: Option<Duration>) -> RegistryError {
    let refusal = Refusal { by: Party::Registry, status, code: None, message: None, hint: None, retry_after };
    let place = Place { registry: "r.example".to_owned(), repository: "a".to_owned(), reference: None };
    RegistryError { operation: "read", place, cause: Cause::Refused(refusal) }
}

/// Answers with these errors, one after the other, and then well; how often it was called, and how it ended.
async fn run(policy: &Policy, mode: Mode, errors: &[RegistryError]) -> (usize, Result<(), RegistryError>) {
    let calls = AtomicUsize::new(0);
    let call = || {
        let answer = errors.get(calls.fetch_add(1, Ordering::Relaxed)).cloned();
        std::future::ready(answer.map_or(Ok(()), Err))
    };
    let result = policy.run(&registry(), &Credential::Anonymous, mode, call).await;
    (calls.load(Ordering::Relaxed), result)
}

#[tokio::test(start_paused = true)]
async fn b01_what_may_be_answered_better_is_asked_again_and_nothing_else() {
    for (status, calls) in
        [(429, 2), (500, 2), (502, 2), (503, 2), (504, 2), (408, 2), (400, 1), (401, 1), (403, 1), (404, 1), (501, 1)]
    {
        let policy = Policy::new(PolicyOptions::default());
        let (made, result) = run(&policy, Mode::Patient, &[refused(status, None)]).await;
        assert_eq!((made, result.is_ok()), (calls, calls == 2), "{status}");
    }
    let policy = Policy::new(PolicyOptions::default());
    let (made, result) = run(&policy, Mode::Patient, &vec![refused(503, None); 9]).await;
    assert_eq!((made, result), (5, Err(refused(503, None))));
}

#[tokio::test(start_paused = true)]
async fn b01_a_registry_that_is_down_is_not_asked_five_times_as_often() {
    let policy = Policy::new(PolicyOptions::default());
    let mut made = 0;
    for _ in 0..1_000 {
        made += run(&policy, Mode::Patient, &vec![refused(500, None); 9]).await.0;
    }
    assert_eq!(made, 1_000 + 100);
}

#[tokio::test(start_paused = true)]
async fn b02_the_time_that_a_registry_names_is_waited_for() {
    let policy = Policy::new(PolicyOptions::default());
    let before = Instant::now();
    let (made, result) = run(&policy, Mode::Patient, &[refused(429, Some(Duration::from_secs(7)))]).await;
    assert_eq!((made, result), (2, Ok(())));
    assert_eq!(before.elapsed().as_secs(), 7);
}

#[tokio::test(start_paused = true)]
async fn b02_a_wait_beyond_the_limit_fails_at_once_and_says_until_when() {
    let policy = Policy::new(PolicyOptions::default());
    let before = Instant::now();
    for wait in [Duration::from_secs(121), Duration::from_hours(365 * 24), Duration::MAX] {
        let (made, result) = run(&policy, Mode::Patient, &[refused(429, Some(wait))]).await;
        let error = result.unwrap_err();
        assert!(matches!(error.cause, Cause::Throttled { .. }), "{error}");
        // The first one was sent; the others know already.
        assert!(made <= 1);
    }
    assert_eq!(before.elapsed(), Duration::ZERO);
    let (made, other) = run(&policy, Mode::Patient, &[]).await;
    assert!(made == 0 && matches!(other.unwrap_err().cause, Cause::Throttled { .. }), "nobody else asks, either");
}

#[tokio::test(start_paused = true)]
async fn b03_a_probe_that_is_throttled_asks_once() {
    let policy = Policy::new(PolicyOptions::default());
    let before = Instant::now();
    for wait in [None, Some(Duration::from_secs(7))] {
        let policy = Policy::new(PolicyOptions::default());
        let (made, result) = run(&policy, Mode::Probe, &[refused(429, wait)]).await;
        assert_eq!((made, result), (1, Err(refused(429, wait))));
    }
    assert_eq!(before.elapsed(), Duration::ZERO);
    assert_eq!(run(&policy, Mode::Probe, &[refused(503, None)]).await.0, 2);
}

#[tokio::test(start_paused = true)]
async fn b01_refusals_are_bounded_by_time_and_not_by_attempts() {
    for error in [refused(429, None), refused(429, Some(PART)), refused(503, Some(PART))] {
        let policy = Policy::new(PolicyOptions::default());
        let (made, result) = run(&policy, Mode::Patient, &vec![error.clone(); 20]).await;
        assert_eq!((made, result), (21, Ok(())), "{error}");
        // A failure in between is counted by itself.
        let policy = Policy::new(PolicyOptions::default());
        let mixed = [vec![error.clone(); 9], vec![refused(500, None); 4], vec![error; 9]].concat();
        assert_eq!(run(&policy, Mode::Patient, &mixed).await, (23, Ok(())));
    }
}

#[tokio::test(start_paused = true)]
async fn b01_refusals_without_end_end_after_the_longest_wait() {
    for error in [refused(429, None), refused(429, Some(PART)), refused(503, Some(PART))] {
        let policy = Policy::new(PolicyOptions::default());
        let before = Instant::now();
        let (made, result) = run(&policy, Mode::Patient, &vec![error; 10_000]).await;
        assert!(matches!(result.unwrap_err().cause.reason(), Reason::Throttled | Reason::ServerError));
        let seconds = before.elapsed().as_secs();
        assert!((110..130).contains(&seconds) && (30..80).contains(&made), "{made} in {seconds} s");
    }
}

#[tokio::test(start_paused = true)]
async fn b01_who_wants_one_attempt_or_probes_does_not_wait_out_a_storm() {
    for (mode, attempts, error, calls) in [
        (Mode::Patient, 1, refused(429, None), 1),
        (Mode::Patient, 1, refused(503, Some(PART)), 1),
        (Mode::Probe, 5, refused(429, Some(PART)), 1),
        (Mode::Probe, 5, refused(503, Some(PART)), 5),
    ] {
        let policy = Policy::new(PolicyOptions { attempts, ..PolicyOptions::default() });
        let (made, result) = run(&policy, mode, &vec![error.clone(); 9]).await;
        assert_eq!((made, result), (calls, Err(error)));
    }
}

#[tokio::test(start_paused = true)]
async fn b01_all_requests_come_through_a_minute_in_which_four_of_five_are_refused() {
    for retry_after in [None, Some(PART), Some(Duration::from_secs(1))] {
        let policy = Policy::new(PolicyOptions::default());
        let (begin, calls, refusals) = (Instant::now(), AtomicUsize::new(0), AtomicUsize::new(0));
        let call = || {
            let number = calls.fetch_add(1, Ordering::Relaxed);
            let is_refused = begin.elapsed() < Duration::from_mins(1) && !number.is_multiple_of(5);
            let answer = if is_refused { Err(refused(429, retry_after)) } else { Ok(()) };
            refusals.fetch_add(usize::from(is_refused), Ordering::Relaxed);
            std::future::ready(answer)
        };
        let registry = registry();
        let one = || policy.run(&registry, &Credential::Anonymous, Mode::Patient, call);
        let all = futures::future::join_all((0..200).map(|_| one())).await;
        let failed = all.iter().filter(|result| result.is_err()).count();
        assert_eq!(failed, 0, "{retry_after:?}: {calls:?} calls");
        let refusals = refusals.load(Ordering::Relaxed);
        // The gate slows down: a registry that cannot answer is not hammered.
        assert!((10..200).contains(&refusals), "{retry_after:?}: {refusals} refusals");
    }
}

#[tokio::test(start_paused = true)]
async fn one_credentials_pace_is_not_anothers() {
    let policy = Policy::new(PolicyOptions::default());
    run(&policy, Mode::Patient, &[refused(429, Some(Duration::from_hours(1)))]).await.1.unwrap_err();
    let other = Credential::basic("u", "p");
    policy.run(&registry(), &other, Mode::Patient, || std::future::ready(Ok(()))).await.unwrap();
    let elsewhere = RegistryAddress::parse("s.example").unwrap();
    policy.run(&elsewhere, &Credential::Anonymous, Mode::Patient, || std::future::ready(Ok(()))).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn no_more_requests_are_under_way_than_the_pace_allows() {
    let policy = Policy::new(PolicyOptions { concurrency: 3, ..PolicyOptions::default() });
    let (under_way, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let call = || async {
        most.fetch_max(under_way.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
        sleep(Duration::from_millis(10)).await;
        under_way.fetch_sub(1, Ordering::Relaxed);
        Ok(())
    };
    let registry = registry();
    let one = || policy.run(&registry, &Credential::Anonymous, Mode::Patient, call);
    let all = futures::future::join_all((0..30).map(|_| one())).await;
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(most.load(Ordering::Relaxed), 3);
    // One that is given up in the middle frees its place.
    drop(timeout(Duration::from_millis(1), one()).await);
    assert!(futures::future::join_all((0..3).map(|_| one())).await.iter().all(Result::is_ok));
}

#[tokio::test(start_paused = true)]
async fn a_stream_may_read_from_the_registry_that_it_writes_to() {
    let policy = Policy::new(PolicyOptions { concurrency: 1, ..PolicyOptions::default() });
    let (registry, credential) = (registry(), Credential::Anonymous);
    let read = || policy.run(&registry, &credential, Mode::Patient, || std::future::ready(Ok(7)));
    // Before each attempt, and while it is under way: the only turn must be free both times.
    let write = async |prepared: i32| Ok(prepared + read().await?);
    let written = policy.run_stream(&registry, &credential, Mode::Patient, read, write);
    assert_eq!(timeout(Duration::from_secs(5), written).await, Ok(Ok(14)));
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_opened_again_for_each_attempt() {
    let policy = Policy::new(PolicyOptions::default());
    let (opened, sent) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let open = || std::future::ready(Ok(opened.fetch_add(1, Ordering::Relaxed)));
    let send = |number| {
        sent.fetch_add(1, Ordering::Relaxed);
        std::future::ready(if number < 2 { Err(refused(503, None)) } else { Ok(number) })
    };
    let result = policy.run_stream(&registry(), &Credential::Anonymous, Mode::Patient, open, send).await;
    assert_eq!((result, sent.load(Ordering::Relaxed)), (Ok(2), 3));
}
