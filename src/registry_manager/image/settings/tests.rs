use serde_json::{Value, json};

use super::*;
use crate::registry::Credential;

fn rules() -> Rules {
    let allowed = |text: &str| text.parse().unwrap();
    Rules { destinations: vec![allowed("docker.io/tchoupinax"), allowed("r.example")], ..Rules::default() }
}

fn merged(more: &Value) -> ImageSpec {
    let mut spec = json!({
        "mode": "Recurrent", "frequency": "15m",
        "source": {"name": "quay.io/nginx/nginx-ingress", "version": "3.7-alpine"},
        "destination": {"name": "tchoupinax/nginx/nginx-ingress", "version": "3.7-alpine"},
    });
    json_patch::merge(&mut spec, more);
    serde_json::from_value(spec).unwrap()
}

fn settings(more: &Value, rules: &Rules) -> Result<Settings, RunFailure> {
    Settings::of("ns", &merged(more), rules)
}

#[test]
fn the_sample_of_the_earlier_operator_is_understood() {
    let found = settings(&json!({}), &rules()).unwrap();
    assert_eq!(found.source.repository.to_string(), "quay.io/nginx/nginx-ingress");
    assert_eq!(found.destination.repository.to_string(), "docker.io/tchoupinax/nginx/nginx-ingress");
    assert_eq!((found.destination_tag.as_deref(), found.max_tags), (Some("3.7-alpine"), 200));
    assert_eq!((found.source.identity, found.destination.identity), (Identity::Own, Identity::Own));
    assert_eq!(period(&merged(&json!({}))), Duration::from_mins(15));
    let pattern = json!({"mode": "OneShot", "source": {"version": "v2.13.x"}, "destination": {"version": "v2.13.x"}});
    assert_eq!(settings(&pattern, &rules()).unwrap().destination_tag, None, "each tag to its own name");
}

#[test]
fn what_cannot_be_used_is_named_with_its_field() {
    for (more, field) in [
        (json!({"frequency": "soon"}), "frequency"),
        (json!({"source": {"version": "("}}), "source.version"),
        (json!({"source": {"version": ".*"}}), "source.version"),
        (json!({"destination": {"version": "a b"}}), "destination.version"),
        (json!({"source": {"version": "2.13.x"}}), "destination.version"),
        (json!({"destination": {"version": "2.13.x"}}), "destination.version"),
        (json!({"source": {"name": "quay.io/Nginx"}}), "source.name"),
        (json!({"source": {"name": "quay.io/a:v1"}}), "source.name"),
        (json!({"source": {"name": "quay.io/$(id)"}}), "source.name"),
        (json!({"destination": {"name": "quay.io/../a"}}), "destination.name"),
        (json!({"source": {"name": "r.example/a"}, "destination": {"name": "r.example/a"}}), "destination.name"),
        (json!({"destination": {"useAwsIRSA": true}}), "destination.useAwsIRSA"),
    ] {
        let failure = settings(&more, &rules()).unwrap_err();
        assert_eq!(failure.reason, ImageReason::InvalidSpec, "{more}");
        assert!(failure.message.starts_with(&format!("{field}: ")), "{more}: {}", failure.message);
    }
}

#[test]
fn a_destination_is_allowed_by_a_flag_and_by_nothing_else() {
    let failure = settings(&json!({}), &Rules::default()).unwrap_err();
    assert_eq!(failure.reason, ImageReason::DestinationNotAllowed);
    assert!(failure.message.contains("--destination-allow=docker.io/tchoupinax/nginx/nginx-ingress"), "{failure:?}");
    assert!(settings(&json!({"destination": {"name": "other/app"}}), &rules()).is_err());
    assert!(settings(&json!({"destination": {"name": "r.example:5000/app"}}), &rules()).is_err());
}

#[test]
fn a_destination_without_a_registry_is_in_the_default_one() {
    let defaults = Defaults { destination_registry: Some("r.example/mirror".to_owned()), ..Defaults::default() };
    let rules = Rules { defaults, ..rules() };
    let of = |name: &str| {
        let found = settings(&json!({"destination": {"name": name}}), &rules).unwrap();
        found.destination.repository.to_string()
    };
    assert_eq!(of("nginx/nginx-ingress"), "r.example/mirror/nginx/nginx-ingress");
    assert_eq!(
        (of("nginx"), of("r.example/nginx")),
        ("r.example/mirror/nginx".to_owned(), "r.example/nginx".to_owned())
    );
    assert_eq!(settings(&json!({}), &rules).unwrap().source.repository.registry.name(), "quay.io");
}

#[test]
fn credentials_of_the_process_go_only_where_the_administrator_wants() {
    let mut rules = rules();
    rules.defaults.source.credential = Some(Credential::basic("u", "canary"));
    rules.defaults.destination.credential = Some(Credential::basic("v", "canary"));
    let failure = settings(&json!({}), &rules).unwrap_err();
    assert_eq!(failure.reason, ImageReason::CredentialsNotAllowed);
    assert!(failure.message.contains("--source-credentials-allow=quay.io/nginx/nginx-ingress"), "{failure:?}");
    rules.credentials = vec!["quay.io/nginx".parse().unwrap()];
    let found = settings(&json!({}), &rules).unwrap();
    assert_eq!((found.source.identity, found.destination.identity), (Identity::Process, Identity::Process));
    let own = json!({"source": {"name": "quay.io/b", "credentialsSecret": {"name": "creds"}}});
    assert_eq!(settings(&own, &rules).unwrap().source.identity, Identity::Own);
}

#[test]
fn the_aws_identity_is_for_ecr_only() {
    let mut rules = rules();
    rules.destinations.push("123456789012.dkr.ecr.eu-west-1.amazonaws.com".parse().unwrap());
    let ecr = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/app";
    let asked = json!({"destination": {"name": ecr, "useAwsIRSA": true}});
    assert_eq!(settings(&asked, &rules).unwrap().destination.identity, Identity::Aws);
    rules.defaults.destination.uses_aws = true;
    let default = json!({"destination": {"name": ecr}});
    assert_eq!(settings(&default, &rules).unwrap().destination.identity, Identity::Aws);
    assert_eq!(
        settings(&json!({}), &rules).unwrap().destination.identity,
        Identity::Own,
        "the default is for ECR alone"
    );
    let source = json!({"source": {"name": ecr, "useAwsIRSA": true}});
    assert_eq!(settings(&source, &rules).unwrap_err().reason, ImageReason::CredentialsNotAllowed);
}

#[test]
fn what_is_done_once_ends() {
    let of = |mode: &str, version: &str| ends(&merged(&json!({"mode": mode, "source": {"version": version}})));
    assert!(of("OneShot", "2.13.x") && of("OneShot", "v1") && of("OnceByTag", "v1"));
    assert!(!of("OnceByTag", "2.13.x") && !of("Recurrent", "v1"));
}
