use super::super::super::credentials::Credential;
use super::super::demand::{Closeness, Shown};
use super::super::matrix::{Finding, Question, TrustId};
use super::super::needs::Consumer;
use super::*;
use crate::mirrors::MirrorEntry;
use crate::mirrors::fixtures::{digest, never};
use crate::mirrors::merge::merge_layer;
use crate::mirrors::registries::RegistriesConfig;

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn need(image: &str) -> Need {
    Need {
        image: format!("{image}@{DIGEST}"),
        group: "release 4".to_owned(),
        name: "etcd".to_owned(),
        is_release: false,
        consumers: [Consumer::LookUps, Consumer::Nodes(None)].into(),
    }
}

fn puller(consumer: Consumer, entries: &[MirrorEntry]) -> Puller {
    let set = merge_layer(entries);
    let rules = match consumer {
        Consumer::LookUps => Rules::LookUps(set),
        _ => Rules::Node(Box::new(NodeRules::of(&set, RegistriesConfig::default(), true).unwrap().0)),
    };
    Puller { cluster: "clusters/west".to_owned(), consumer, rules, policies: Vec::new() }
}

fn demands(strict: &Strict) -> Vec<Demand> {
    let shown = |_: &str| Shown { credential: Credential::Anonymous.id(), trust: TrustId::default() };
    strict.pulls.iter().map(|strict| strict.pull.demand(&Closeness::default(), shown)).collect()
}

/// What is proven if registries, by the beginning of a reference, give these answers. Nobody else has anything.
fn proven(puller: Puller, image: &str, answers: &[(&str, Finding)]) -> Vec<SourceProof> {
    let strict = Strict::of(&[puller], &[need(image)]);
    let demands = demands(&strict);
    let questions = demands.iter().flat_map(|demand| &demand.endpoints).map(|endpoint| &endpoint.question);
    let finding = |question: &Question| {
        let known = answers.iter().find(|(place, _)| question.reference.starts_with(place));
        (question.clone(), known.map_or(Finding::Absent, |(_, finding)| finding.clone()))
    };
    let findings: Findings = questions.map(finding).collect();
    strict.prove(&demands, &findings, None)
}

/// Missing, unknown.
fn counts(proofs: &[SourceProof]) -> Vec<(usize, usize)> {
    proofs.iter().map(|proof| (proof.missing, proof.unknown)).collect()
}

fn unreachable() -> Finding {
    Finding::Unknown(super::super::super::error::Reason::Unreachable, "no answer".to_owned())
}

#[test]
fn look_ups_are_proven_by_the_mirrors_alone_and_by_the_first_one_for_the_argument() {
    let of = |answers: &[(&str, Finding)]| {
        let entry = never(digest("quay.io/ocp", "one.example/x/ocp two.example/x/ocp"));
        counts(&proven(puller(Consumer::LookUps, &[entry]), "quay.io/ocp/etcd", answers))
    };
    assert_eq!(of(&[("one.example", Finding::Held)]), [(0, 0)]);
    assert_eq!(of(&[("quay.io", Finding::Held)]), [(2, 0)], "the source does not count");
    assert_eq!(of(&[("two.example", Finding::Held)]), [(1, 0)], "the argument has only the first one");
    assert_eq!(of(&[("one.example", unreachable())]), [(0, 2)]);
    assert_eq!(of(&[("one.example", unreachable()), ("two.example", Finding::Held)]), [(0, 2)]);
}

#[test]
fn nodes_are_proven_by_any_mirror_of_the_source_that_decides() {
    let entries = [never(digest("quay.io", "m.example")), digest("quay.io/ocp", "n.example/ocp")];
    let of = |image: &str, answers: &[(&str, Finding)]| {
        counts(&proven(puller(Consumer::Nodes(None), &entries), image, answers))
    };
    assert_eq!(of("quay.io/other/etcd", &[("m.example", Finding::Held)]), [(0, 0)]);
    assert_eq!(of("quay.io/other/etcd", &[("quay.io", Finding::Held)]), [(1, 0)], "the source is blocked");
    assert_eq!(of("quay.io/ocp/etcd", &[]), [(0, 0)], "a longer prefix decides, which has a fallback");
    assert_eq!(of("docker.io/library/etcd", &[]), [(0, 0)], "a source that decides nothing lacks nothing");
}

#[test]
fn sources_with_a_fallback_need_no_proof() {
    for consumer in [Consumer::LookUps, Consumer::Nodes(None)] {
        assert_eq!(proven(puller(consumer, &[digest("quay.io/ocp", "m.example/ocp")]), "quay.io/ocp/etcd", &[]), []);
    }
}

#[test]
fn nothing_is_proven_while_it_is_not_known_what_a_release_needs() {
    let puller = puller(Consumer::Nodes(None), &[never(digest("quay.io", "m.example"))]);
    let strict = Strict::of(&[puller], &[]);
    let proofs = strict.prove(&[], &Findings::new(), Some("failed to read what release x needs"));
    assert_eq!((counts(&proofs), proofs[0].is_proven()), (vec![(0, 1)], false));
    assert!(proofs[0].first.contains("release x"));
}

#[test]
fn the_first_missing_image_is_named_before_those_that_are_not_known() {
    let puller = puller(Consumer::Nodes(None), &[never(digest("quay.io", "m.example"))]);
    let strict = Strict::of(&[puller], &[need("quay.io/a/one"), need("quay.io/a/two")]);
    let demands = demands(&strict);
    let question = |place: usize| demands[place].endpoints[0].question.clone();
    let findings = Findings::from([(question(0), unreachable()), (question(1), Finding::Absent)]);
    let [proof] = strict.prove(&demands, &findings, None).try_into().unwrap();
    assert_eq!((proof.missing, proof.unknown), (1, 1));
    assert!(proof.first.starts_with("quay.io/a/two@"), "{}", proof.first);
}
