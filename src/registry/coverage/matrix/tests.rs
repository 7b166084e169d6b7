use proptest::prelude::*;

use super::super::super::credentials::Credential;
use super::*;

fn question(reference: &str) -> Question {
    Question {
        reference: reference.to_owned(),
        credential: Credential::Anonymous.id(),
        trust: TrustId::default(),
        level: Level::L1,
        is_insecure: false,
    }
}

fn demand(references: &[&str]) -> Demand {
    let endpoint =
        |reference: &&str| Endpoint { question: question(reference), is_blocked: false, origin: "IDMS a".into() };
    Demand {
        image: "quay.io/app@sha256:0".to_owned(),
        group: "release".to_owned(),
        name: String::new(),
        cluster: String::new(),
        consumer: "look-ups".to_owned(),
        endpoints: references.iter().map(endpoint).collect(),
        error: None,
        is_unordered: false,
        is_signed: false,
    }
}

fn lack(part: &str) -> Lack {
    if part == "the manifest" { Lack::manifest() } else { Lack::pull(part) }
}

fn findings(known: &[(&str, Finding)]) -> Findings {
    known.iter().map(|(reference, finding)| (question(reference), finding.clone())).collect()
}

fn unknown(reason: Reason) -> Finding {
    Finding::Unknown(reason, "why".to_owned())
}

fn held_at(reference: &str) -> Verdict {
    Verdict::Held { reference: reference.to_owned(), signatures: Signatures::NotRequired }
}

#[test]
fn the_first_place_that_answers_decides() {
    let lacks = |parts: &[&str]| Finding::Incomplete(parts.iter().map(|part| lack(part)).collect());
    let lacking = |(place, part): &(&str, &str)| Lacking { reference: (*place).to_owned(), parts: vec![lack(part)] };
    let missing = |places: &[(&str, &str)]| Verdict::Missing { lacking: places.iter().map(lacking).collect() };
    let held = held_at;
    let not_known = |reference: &str, reason, places: &[(&str, &str)]| Verdict::Unknown {
        reference: reference.to_owned(),
        reason,
        message: "why".into(),
        lacking: places.iter().map(lacking).collect(),
    };
    let cases = [
        (vec![("a", Finding::Held)], held("a")),
        (vec![("a", Finding::Absent), ("b", Finding::Held)], held("b")),
        (
            vec![("a", Finding::Absent), ("b", Finding::Absent)],
            missing(&[("a", "the manifest"), ("b", "the manifest")]),
        ),
        (vec![("a", lacks(&["blob"])), ("b", Finding::Held)], missing(&[("a", "blob")])),
        (vec![("a", Finding::Absent), ("b", lacks(&["blob"]))], missing(&[("a", "the manifest"), ("b", "blob")])),
        (vec![("a", unknown(Reason::Throttled)), ("b", Finding::Held)], not_known("a", Reason::Throttled, &[])),
        (
            vec![("a", Finding::Absent), ("b", unknown(Reason::Forbidden))],
            not_known("b", Reason::Forbidden, &[("a", "the manifest")]),
        ),
    ];
    for (known, expected) in cases {
        assert_eq!(judge(&demand(&["a", "b"]), &findings(&known)), expected, "{known:?}");
    }
    assert_eq!(judge(&demand(&[]), &Findings::new()), missing(&[]));
}

#[test]
fn b03_what_is_not_known_is_never_missing() {
    for reason in [
        Reason::Throttled,
        Reason::Unauthorized,
        Reason::Forbidden,
        Reason::ServerError,
        Reason::Timeout,
        Reason::Unreachable,
    ] {
        let verdict = judge(&demand(&["a"]), &findings(&[("a", unknown(reason))]));
        assert!(matches!(verdict, Verdict::Unknown { reason: told, .. } if told == reason), "{verdict:?}");
    }
}

#[test]
fn a_place_that_is_blocked_is_not_asked() {
    let mut blocked = demand(&["a", "b"]);
    blocked.endpoints[1].is_blocked = true;
    let known = findings(&[("a", Finding::Absent)]);
    assert_eq!(open(&[blocked.clone()], &known), BTreeSet::new());
    let Verdict::Missing { lacking } = judge(&blocked, &known) else { panic!() };
    assert_eq!(lacking[1].parts, [Lack::pull("blocked by IDMS a")]);
}

#[test]
fn a_signature_is_demanded_of_the_place_that_answers_and_no_other_one_replaces_it() {
    let mut signed = demand(&["a", "b"]);
    signed.is_signed = true;
    let about = question("a").about_signatures();
    let mut known = findings(&[("a", Finding::Held), ("b", Finding::Held)]);
    assert_eq!(open(std::slice::from_ref(&signed), &known), BTreeSet::from([about.clone()]));
    known.insert(about.clone(), Finding::Held);
    let held = Verdict::Held { reference: "a".to_owned(), signatures: Signatures::Held };
    assert_eq!(judge(&signed, &known), held);
    known.insert(about.clone(), Finding::Incomplete(vec![lack("no signature")]));
    let Verdict::Missing { lacking } = judge(&signed, &known) else { panic!() };
    assert_eq!(lacking.iter().map(|it| it.reference.as_str()).collect::<Vec<_>>(), ["a"]);
    known.insert(about, unknown(Reason::Throttled));
    assert!(matches!(judge(&signed, &known), Verdict::Unknown { reason: Reason::Throttled, .. }));
    signed.is_signed = false;
    assert_eq!(judge(&signed, &known), held_at("a"), "no policy: not required");
}

#[test]
fn where_the_order_is_not_known_each_place_that_answers_must_hold_it() {
    let mut unordered = demand(&["a", "b", "source"]);
    unordered.is_unordered = true;
    let judged = |known: &[(&str, Finding)]| judge(&unordered, &findings(known));
    assert_eq!(judged(&[("a", Finding::Held), ("b", Finding::Held)]), held_at("a"), "the source is not asked");
    assert_eq!(judged(&[("a", Finding::Absent), ("b", Finding::Held)]), held_at("b"));
    let incomplete = Finding::Incomplete(vec![lack("x")]);
    let Verdict::Missing { lacking } = judged(&[("a", Finding::Held), ("b", incomplete)]) else { panic!() };
    assert_eq!(lacking[0].reference, "b");
    assert!(matches!(judged(&[("a", Finding::Held), ("b", unknown(Reason::Timeout))]), Verdict::Unknown { .. }));
    assert_eq!(judged(&[("a", Finding::Absent), ("b", Finding::Absent), ("source", Finding::Held)]), held_at("source"));
}

#[test]
fn each_question_is_asked_once_for_all_and_only_when_it_decides() {
    let demands = [demand(&["a", "b"]), demand(&["a", "c"]), demand(&["d"])];
    let asked = |known: &Findings| open(&demands, known).into_iter().map(|it| it.reference.clone()).collect::<Vec<_>>();
    assert_eq!(asked(&Findings::new()), ["a", "d"]);
    assert_eq!(asked(&findings(&[("a", Finding::Absent), ("d", Finding::Held)])), ["b", "c"]);
    assert_eq!(asked(&findings(&[("a", Finding::Held), ("d", Finding::Held)])), Vec::<String>::new());
    let other = Credential::basic("u", "p").id();
    let mut private = demand(&["a"]);
    private.endpoints[0].question.credential = other;
    let both = [demand(&["a"]), private];
    assert_eq!(open(&both, &Findings::new()).len(), 2, "the credential of one is not that of the other");
}

#[test]
fn the_exit_code_tells_missing_from_unknown() {
    let verdicts = |known: &[Finding]| -> Vec<Verdict> {
        known.iter().map(|finding| judge(&demand(&["a"]), &findings(&[("a", finding.clone())]))).collect()
    };
    let code = |known: &[Finding]| Counts::of(&verdicts(known)).exit_code();
    assert_eq!(code(&[]), 0);
    assert_eq!(code(&[Finding::Held]), 0);
    assert_eq!(code(&[Finding::Held, unknown(Reason::Timeout)]), 3);
    assert_eq!(code(&[unknown(Reason::Timeout), Finding::Absent]), 1);
}

fn any_finding() -> impl Strategy<Value = Finding> {
    prop_oneof![
        Just(Finding::Held),
        Just(Finding::Absent),
        Just(Finding::Incomplete(vec![lack("x")])),
        Just(Finding::Unknown(Reason::Timeout, "why".to_owned())),
    ]
}

proptest! {
    /// Asking what is open, round by round, ends, asks nothing twice, and leaves nothing undecided.
    #[test]
    fn asking_what_is_open_is_enough(
        places in proptest::collection::vec(proptest::collection::vec(0_usize..6, 0..4), 0..6),
        truth in proptest::collection::vec(any_finding(), 6),
    ) {
        let names = ["a", "b", "c", "d", "e", "f"];
        let demands: Vec<Demand> = places.iter().map(|places| demand(&places.iter().map(|it| names[*it]).collect::<Vec<_>>())).collect();
        let mut known = Findings::new();
        for _ in 0..=names.len() {
            for question in open(&demands, &known) {
                let place = names.iter().position(|name| *name == question.reference).unwrap();
                prop_assert!(known.insert(question, truth[place].clone()).is_none(), "asked twice");
            }
        }
        prop_assert!(open(&demands, &known).is_empty());
        let all: Findings = names.iter().zip(&truth).map(|(name, finding)| (question(name), finding.clone())).collect();
        for demand in &demands {
            prop_assert_eq!(judge(demand, &known), judge(demand, &all), "what was not asked would change nothing");
        }
    }
}
