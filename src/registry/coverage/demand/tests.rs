use super::super::super::credentials::Credential;
use super::super::lack::Lack;
use super::super::matrix::{Finding, Findings, Signatures, Verdict, judge, open};
use super::*;
use crate::mirrors::fixtures::digest;
use crate::mirrors::merge::merge_layer;

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn rules(text: &str) -> NodeRules {
    let config = RegistriesConfig::load(Some(("registries.conf", text.as_bytes())), []).unwrap();
    NodeRules { config, is_whole: true, own: None }
}

fn need(image: &str, is_release: bool) -> Need {
    let consumers = BTreeSet::from([Consumer::Nodes(None), Consumer::LookUps]);
    Need { image: image.to_owned(), group: "release 4".to_owned(), name: "etcd".to_owned(), is_release, consumers }
}

fn puller(consumer: Consumer, rules: Rules) -> Puller {
    Puller { cluster: "clusters/west".to_owned(), consumer, rules, policies: Vec::new() }
}

fn demand(puller: &Puller, need: Need) -> Demand {
    let shown = |_: &str| Shown { credential: Credential::Anonymous.id(), trust: TrustId::default() };
    puller.pulls(&[need])[0].demand(&Closeness { level: Level::L1, ..Closeness::default() }, shown)
}

#[test]
fn a_demand_has_the_places_of_explain_in_its_order() {
    let text = "[[registry]]\nprefix = \"quay.io/ocp\"\nlocation = \"quay.io/ocp\"\nblocked = true\n\
                [[registry.mirror]]\nlocation = \"mirror.corp/ocp\"\ninsecure = true\n";
    let (rules, image) = (rules(text), format!("quay.io/ocp/etcd@{DIGEST}"));
    let explained = rules.explain(&image);
    let demand = demand(&puller(Consumer::Nodes(None), Rules::Node(Box::new(rules))), need(&image, false));
    let places: Vec<_> = demand
        .endpoints
        .iter()
        .map(|it| (it.question.reference.as_str(), it.question.is_insecure, it.is_blocked))
        .collect();
    assert_eq!(
        places,
        explained.endpoints.iter().map(|it| (it.reference.as_str(), it.insecure, it.blocked)).collect::<Vec<_>>()
    );
    assert_eq!((places.len(), demand.group.as_str(), demand.name.as_str()), (2, "release 4", "etcd"));
    let first = demand.endpoints[0].question.clone();
    let absent = Findings::from([(first.clone(), Finding::Absent)]);
    let Verdict::Missing { lacking } = judge(&demand, &absent) else { panic!() };
    assert_eq!(lacking.len(), 2, "the source is blocked: {lacking:?}");
    let held = Findings::from([(first, Finding::Held)]);
    let reference = format!("mirror.corp/ocp/etcd@{DIGEST}");
    assert_eq!(judge(&demand, &held), Verdict::Held { reference, signatures: Signatures::NotRequired });
}

#[test]
fn a_pull_that_fails_before_it_begins_is_missing_and_nobody_is_asked() {
    let demand = demand(&puller(Consumer::Nodes(None), Rules::Node(Box::new(rules("")))), need("quay.io/A", false));
    assert!(open(std::slice::from_ref(&demand), &Findings::new()).is_empty());
    let Verdict::Missing { lacking } = judge(&demand, &Findings::new()) else { panic!() };
    assert!(lacking[0].parts[0].message.contains("lowercase"), "{lacking:?}");
    assert_ne!(lacking[0].parts, [Lack::manifest()]);
}

#[test]
fn operators_look_images_up_by_their_own_rules_and_releases_by_theirs() {
    let map = merge_layer(&[digest("quay.io/ocp", "m.example:5000/all/ocp")]);
    let look_ups = puller(Consumer::LookUps, Rules::LookUps(map));
    let places = |need| {
        let demand = demand(&look_ups, need);
        demand.endpoints.iter().map(|it| it.question.reference.clone()).collect::<Vec<_>>()
    };
    let image = format!("quay.io/ocp/etcd@{DIGEST}");
    assert_eq!(places(need(&image, false)), [format!("m.example:5000/ocp/etcd@{DIGEST}"), image]);
    assert_eq!(
        places(need("quay.io/ocp/release:4", true)),
        ["m.example:5000/all/ocp/release:4", "quay.io/ocp/release:4"]
    );
}

#[test]
fn what_somebody_else_pulls_is_no_demand_and_a_policy_demands_signatures_by_the_declared_name() {
    let mut node = puller(Consumer::Nodes(Some("edge".to_owned())), Rules::Node(Box::new(rules(""))));
    assert!(node.pulls(&[need("quay.io/a:1", false)]).is_empty());
    node.consumer = Consumer::Nodes(None);
    assert!(!node.pulls(&[need("quay.io/a:1", false)])[0].is_signed);
    node.policies = vec![SignaturePolicy { namespace: None, scopes: vec!["quay.io".to_owned()] }];
    assert!(node.pulls(&[need("quay.io/a:1", false)])[0].is_signed);
    assert!(!node.pulls(&[need("docker.io/a/b:1", false)])[0].is_signed);
}

#[test]
fn a_registry_that_pulls_through_is_asked_lightly() {
    let closeness = Closeness { level: Level::L2, pull_through: BTreeSet::from(["cache.corp:5000".to_owned()]) };
    assert_eq!(closeness.of("cache.corp:5000/a:1"), Level::L0);
    assert_eq!(closeness.of("cache.corp/a:1"), Level::L2);
}
