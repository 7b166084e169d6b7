use super::*;
use crate::mirrors::ImageReference;
use crate::registry::{Digest, Repository};

fn key(name: &str) -> ClusterKey {
    ClusterKey { namespace: "clusters".to_owned(), name: name.to_owned() }
}

fn gaps(mirrors: &[&str]) -> Gaps {
    let digest = Digest::parse(&format!("sha256:{}", "a".repeat(64))).unwrap();
    let repository = |name: &str| Repository::of(&ImageReference::parse(name).unwrap()).unwrap();
    let gap = |mirror: &&str| Gap {
        image: "quay.io/a".to_owned(),
        digest: digest.clone(),
        sources: vec![repository("quay.io/a")],
        destination: repository(mirror),
    };
    Gaps { fillable: mirrors.iter().map(|mirror| ((*mirror).to_owned(), gap(mirror))).collect(), refused: Vec::new() }
}

fn failure(reason: &'static str) -> Result<(), Failure> {
    Err(Failure { reason, message: "no".to_owned() })
}

fn time() -> Timestamp {
    Timestamp::from_second(1_000_000).unwrap()
}

#[test]
fn everything_that_is_missing_is_copied_once_and_then_there_is_news() {
    let (mut backlog, now, west) = (Backlog::default(), Instant::now(), key("west"));
    assert_eq!(backlog.next_cluster(now), None);
    backlog.put(&west, gaps(&["m.example/a", "m.example/b"]));
    assert_eq!((backlog.next_cluster(now), backlog.remaining()), (Some(west.clone()), 2));
    for mirror in ["m.example/a", "m.example/b"] {
        assert!(!backlog.take_news(&west, now), "it is not over");
        assert_eq!(backlog.next(&west, now).unwrap().0, mirror);
        assert!(backlog.done(&west, mirror, Ok(()), (now, time())));
    }
    assert!(backlog.take_news(&west, now) && !backlog.take_news(&west, now));
    let progress = backlog.progress(&west);
    assert_eq!((progress.copied, progress.last_copy, progress.remaining), (2, Some(time()), 0));
    backlog.wrote(&west, 2);
    assert_eq!((backlog.progress(&west).copied, backlog.next_cluster(now)), (0, None));
}

#[test]
fn a_failure_is_tried_again_ever_later_and_is_news_once() {
    let (mut backlog, begun, west) = (Backlog::default(), Instant::now(), key("west"));
    backlog.put(&west, gaps(&["m.example/a"]));
    let mut now = begun;
    let mut waits = Vec::new();
    for attempt in 0..9 {
        assert_eq!(backlog.next_cluster(now), Some(west.clone()));
        let is_news = backlog.done(&west, "m.example/a", failure("Unauthorized"), (now, time()));
        assert_eq!((is_news, backlog.take_news(&west, now)), (attempt == 0, attempt == 0));
        assert_eq!(backlog.next_cluster(now), None);
        // A check that finds the same does not bring it forward.
        backlog.put(&west, gaps(&["m.example/a"]));
        assert_eq!(backlog.next_cluster(now), None);
        let until = backlog.next_retry().unwrap();
        waits.push((until - now).as_secs() / 60);
        now = until;
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    assert!(backlog.done(&west, "m.example/a", failure("Unreachable"), (now, time())), "another reason is news");
    let progress = backlog.progress(&west);
    assert_eq!((progress.remaining, &*progress.unfilled[0].reason), (1, "Unreachable"));
}

#[test]
fn a_registry_that_loses_what_it_takes_is_not_filled_without_end() {
    let (mut backlog, now, west) = (Backlog::default(), Instant::now(), key("west"));
    backlog.put(&west, gaps(&["m.example/a"]));
    backlog.done(&west, "m.example/a", Ok(()), (now, time()));
    backlog.put(&west, gaps(&["m.example/a"]));
    assert_eq!(backlog.next_cluster(now), None);
    assert_eq!(backlog.progress(&west).unfilled[0].reason, "StillMissing");
    assert!(backlog.next_cluster(now + FIRST_RETRY).is_some());
    // Once it was there, it begins anew.
    backlog.put(&west, Gaps::default());
    backlog.put(&west, gaps(&["m.example/a"]));
    assert!(backlog.next_cluster(now).is_some());
}

#[test]
fn hosted_clusters_take_turns() {
    let (mut backlog, now) = (Backlog::default(), Instant::now());
    for name in ["a", "b"] {
        backlog.put(&key(name), gaps(&["m.example/a", "m.example/b"]));
    }
    let turns: Vec<String> = (0..4).map(|_| backlog.next_cluster(now).unwrap().name).collect();
    assert_eq!(turns, ["a", "b", "a", "b"]);
    backlog.forget(&key("a"));
    assert_eq!((backlog.next_cluster(now), backlog.next_cluster(now)), (Some(key("b")), Some(key("b"))));
    assert!(!backlog.done(&key("a"), "m.example/a", Ok(()), (now, time())), "it was deleted meanwhile");
}
