use serde_json::json;

use super::super::super::image::settings::Rules;
use super::super::pods::PodName;
use super::*;
use crate::mirrors::ImageReference;
use crate::registry::{Reference, Repository};

fn key() -> ObjectKey {
    ObjectKey { namespace: "a".to_owned(), name: "one".to_owned() }
}

fn rules(per_hour: i32) -> BTreeMap<ObjectKey, Rule> {
    let allowed = Rules { destinations: vec!["registry.corp".parse().unwrap()], ..Rules::default() };
    let spec = json!({
        "source": {"prefix": "quay.io/acme"}, "destination": {"prefix": "registry.corp/acme"}, "importsPerHour": per_hour,
    });
    [(key(), Rule::of("a", &serde_json::from_value(spec).unwrap(), &allowed, &[]).unwrap())].into()
}

fn plan(names: &[&str]) -> Plan {
    let repository = |name: &str| Repository::of(&ImageReference::parse(name).unwrap()).unwrap();
    let wanted = |name: &&str| Wanted {
        rule: key(),
        image: format!("{name}:1"),
        source: repository("quay.io/acme/app"),
        destination: repository(name),
        reference: Reference::Tag("1".to_owned()),
        pod: PodName { namespace: "a".to_owned(), name: "web".to_owned(), uid: "u".to_owned() },
    };
    let wanted = names.iter().map(|name| (format!("{name}:1"), wanted(name))).collect();
    Plan { wanted, ..Plan::default() }
}

fn ledger() -> Ledger {
    let mut ledger = Ledger::default();
    ledger.know(&key(), "u", None);
    ledger
}

fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + minute * 60).unwrap()
}

fn names(begun: &[(String, Wanted)]) -> Vec<&str> {
    begun.iter().map(|(name, _)| name.as_str()).collect()
}

#[expect(clippy::unnecessary_wraps, reason = "as failed is")]
fn imported() -> Ended {
    Ok(Imported { digest: Some("sha256:a".to_owned()), bytes: 7, is_new: true })
}

fn failed() -> Ended {
    Err(ImportFailure { reason: "Unreachable", message: "no".to_owned() })
}

const A: &str = "registry.corp/acme/a";
const B: &str = "registry.corp/acme/b";

#[test]
fn an_image_is_imported_once_at_a_time_and_looked_at_later_if_pods_still_wait() {
    let (mut ledger, rules, plan) = (ledger(), rules(9), plan(&[A, B]));
    let begun = ledger.begin(&plan, &rules, 1, at(0));
    assert_eq!(names(&begun), ["registry.corp/acme/a:1"], "one at once");
    assert!(ledger.begin(&plan, &rules, 1, at(0)).is_empty());
    let (name, wanted) = &begun[0];
    assert!(ledger.done(name, wanted, &imported(), at(0)));
    assert_eq!(names(&ledger.begin(&plan, &rules, 4, at(1))), ["registry.corp/acme/b:1"]);
    assert_eq!(names(&ledger.begin(&plan, &rules, 4, at(10))), ["registry.corp/acme/a:1"]);
    let again = Ok(Imported { digest: None, bytes: 0, is_new: false });
    assert!(!ledger.done(name, wanted, &again, at(10)), "that it is there is no news");
    assert_eq!(ledger.next(&plan, &rules, at(10)), Some(at(30)));
    let status = ledger.status(&key());
    assert_eq!((status.imported, status.failed, status.bytes, status.imports.len()), (1, 0, 7, 1));
    assert_eq!(status.last_import_time.map(|time| time.0), Some(at(0)));
}

#[test]
fn a_failure_is_tried_again_ever_later_until_no_pod_waits() {
    let (mut ledger, rules, plan) = (ledger(), rules(100), plan(&[A]));
    let (mut now, mut waits) = (at(0), Vec::new());
    for _ in 0..8 {
        let begun = ledger.begin(&plan, &rules, 4, now);
        let (name, wanted) = &begun[0];
        assert!(ledger.done(name, wanted, &failed(), now));
        let next = ledger.next(&plan, &rules, now).unwrap();
        waits.push(next.duration_since(now).as_secs() / 60);
        now = next;
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
    let gone = Plan::default();
    assert!(ledger.begin(&gone, &rules, 4, now).is_empty() && ledger.next(&gone, &rules, now).is_none());
    assert_eq!(ledger.begin(&plan, &rules, 4, now).len(), 1, "it begins anew");
    let status = ledger.status(&key());
    assert_eq!((status.failed, status.imports.len(), &*status.imports[0].result), (8, 8, "Unreachable"));
}

#[test]
fn a_rule_imports_so_many_images_in_an_hour_also_after_a_restart() {
    let (mut ledger, rules) = (ledger(), rules(2));
    let names: Vec<String> = (0..4).map(|place| format!("registry.corp/acme/app-{place}")).collect();
    let plan = plan(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let begun = ledger.begin(&plan, &rules, 9, at(0));
    assert_eq!(begun.len(), 2);
    for (name, wanted) in &begun {
        ledger.done(name, wanted, &imported(), at(1));
    }
    let rule = &rules[&key()];
    assert_eq!(ledger.limited(&key(), rule, at(1)), Some(at(60)));
    let mut restarted = Ledger::default();
    restarted.know(&key(), "u", Some(&ledger.status(&key())));
    assert!(restarted.begin(&plan, &rules, 9, at(2)).is_empty());
    assert_eq!(restarted.next(&plan, &rules, at(2)), Some(at(60)));
    assert_eq!((restarted.limited(&key(), rule, at(60)), restarted.begin(&plan, &rules, 9, at(60)).len()), (None, 2));
    restarted.know(&key(), "another", None);
    assert_eq!(restarted.status(&key()), ImportRuleStatus::default(), "another rule of the same name");
}

#[test]
fn what_was_there_counts_for_no_limit_and_the_list_ends_at_twenty() {
    let (mut ledger, rules) = (ledger(), rules(1_000));
    for place in 0..30 {
        let plan = plan(&[&format!("registry.corp/acme/app-{place}")]);
        let begun = ledger.begin(&plan, &rules, 4, at(0));
        let there = Ok(Imported { digest: None, bytes: 0, is_new: false });
        assert!(ledger.done(&begun[0].0, &begun[0].1, &there, at(0)));
    }
    let status = ledger.status(&key());
    assert_eq!((status.window_imports, status.imported, status.imports.len()), (0, 0, MAX_LINES));
    assert_eq!(status.imports[0].destination, "registry.corp/acme/app-29:1");
    ledger.keep(|_| false);
    assert_eq!(ledger.status(&key()), ImportRuleStatus::default());
}

#[test]
fn a_secret_that_fails_an_import_is_the_trouble_of_its_rule_until_another_attempt_or_an_edit() {
    let (mut ledger, rules, plan) = (ledger(), rules(30), plan(&[A, B]));
    let refused = |reason| Err(ImportFailure { reason, message: "source.credentialsSecret: Secret x".to_owned() });
    let attempt = |ledger: &mut Ledger, name: &str, ended: &Ended, minute: i64| {
        let begun = ledger.begin(&plan, &rules, 4, at(minute));
        let (name, wanted) = begun.iter().find(|(begun, _)| begun.starts_with(name)).unwrap().clone();
        for (other, wanted) in begun.iter().filter(|(begun, _)| *begun != name) {
            ledger.done(other, wanted, &failed(), at(minute));
        }
        ledger.done(&name, &wanted, ended, at(minute));
        ledger.trouble(&key()).map(|refusal| (refusal.reason, refusal.message.clone()))
    };
    let message = "source.credentialsSecret: Secret x".to_owned();
    let missing = Some((ImportReason::SecretMissing, message));
    assert_eq!(attempt(&mut ledger, A, &refused("SecretMissing"), 0), missing);
    assert_eq!(attempt(&mut ledger, A, &failed(), 2), None, "one image says nothing about others");
    assert_eq!(attempt(&mut ledger, A, &refused("SecretMissing"), 10), missing);
    assert_eq!(attempt(&mut ledger, A, &imported(), 30), None);
    assert_eq!(
        attempt(&mut ledger, A, &refused("SecretInvalid"), 200).map(|(reason, _)| reason),
        Some(ImportReason::SecretInvalid)
    );
    assert!(ledger.begin(&plan, &rules, 4, at(200)).is_empty());
    ledger.edited(&key());
    assert_eq!(ledger.trouble(&key()), None);
    assert_eq!(ledger.begin(&plan, &rules, 4, at(200)).len(), 2);
}
