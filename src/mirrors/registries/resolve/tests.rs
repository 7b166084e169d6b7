use super::super::{DROP_IN, render, with_ours};
use super::*;
use crate::mirrors::{Layer, ResolvedSource};

const DIGEST: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

fn config(content: &str) -> RegistriesConfig {
    RegistriesConfig::load(Some(("registries.conf", content.as_bytes())), []).unwrap()
}

/// The references in order, `!` before the blocked ones; or the error.
fn order(config: &RegistriesConfig, image: &str) -> Result<Vec<String>, String> {
    let explanation = explain(config, image);
    match explanation.error {
        Some(error) if explanation.endpoints.is_empty() => Err(error),
        Some(error) => panic!("{error} beside endpoints"),
        None => Ok(explanation
            .endpoints
            .iter()
            .map(|endpoint| format!("{}{}", if endpoint.blocked { "!" } else { "" }, endpoint.reference))
            .collect()),
    }
}

#[test]
fn mirrors_come_in_order_for_their_kind_of_pull_and_the_source_last() {
    let config = config(
        "[[registry]]\nlocation = \"a.io/ns\"\n\
         [[registry.mirror]]\nlocation = \"d.io/x\"\npull-from-mirror = \"digest-only\"\n\
         [[registry.mirror]]\nlocation = \"t.io\"\npull-from-mirror = \"tag-only\"\n\
         [[registry.mirror]]\nlocation = \"b.io\"\n",
    );
    assert_eq!(order(&config, "a.io/ns/app:v1").unwrap(), ["t.io/app:v1", "b.io/app:v1", "a.io/ns/app:v1"]);
    assert_eq!(order(&config, "a.io/ns/app").unwrap(), ["t.io/app:latest", "b.io/app:latest", "a.io/ns/app:latest"]);
    let by_digest = ["d.io/x/app@", "b.io/app@", "a.io/ns/app@"].map(|name| format!("{name}{DIGEST}"));
    assert_eq!(order(&config, &format!("a.io/ns/app@{DIGEST}")).unwrap(), by_digest);
    assert_eq!(order(&config, &format!("a.io/ns/app:v1@{DIGEST}")).unwrap(), by_digest);
    assert_eq!(order(&config, "a.io/other:v1").unwrap(), ["a.io/other:v1"]);
    assert_eq!(explain(&config, "a.io/other:v1").prefix, None);
}

#[test]
fn names_of_docker_hub_are_completed_first() {
    let config = config("[[registry]]\nlocation = \"docker.io\"\n[[registry.mirror]]\nlocation = \"m.io/hub\"\n");
    let expected = ["m.io/hub/library/nginx:latest", "docker.io/library/nginx:latest"];
    assert_eq!(order(&config, "nginx").unwrap(), expected);
    assert_eq!(order(&config, "index.docker.io/nginx").unwrap(), expected);
}

#[test]
fn one_mirror_that_makes_an_invalid_name_fails_the_pull() {
    for (mirror, image) in [
        ("mirror/ns", "a.io/app:v1"),
        ("docker.io", "a.io/app:v1"),
        ("index.docker.io", "a.io/x/app:v1"),
        ("m.io/Upper", "a.io/app:v1"),
        ("m.io/x:v1", "a.io/app:v1"),
        ("m.io/with space", "a.io/app:v1"),
        ("m.io/x", "a.io:5000/app:v1"),
    ] {
        let config = config(&format!(
            "[[registry]]\nlocation = \"a.io\"\n[[registry.mirror]]\nlocation = \"good.io\"\n\
             [[registry.mirror]]\nlocation = {mirror:?}\n"
        ));
        let error = order(&config, image).unwrap_err();
        assert!(error.starts_with("rewriting reference: "), "{mirror}: {error}");
    }
    let repository = config("[[registry]]\nlocation = \"a.io/app\"\n[[registry.mirror]]\nlocation = \"m.io\"\n");
    assert!(order(&repository, "a.io/app:v1").is_err());
    assert_eq!(order(&repository, "a.io/app/x:v1").unwrap(), ["m.io/x:v1", "a.io/app/x:v1"]);
    let hub = config("[[registry]]\nlocation = \"a.io\"\n[[registry.mirror]]\nlocation = \"docker.io\"\n");
    assert_eq!(order(&hub, "a.io/ns/app:v1").unwrap(), ["docker.io/ns/app:v1", "a.io/ns/app:v1"]);
}

#[test]
fn wildcards_keep_the_name_and_mirrors_replace_the_host() {
    let config = config(
        "[[registry]]\nprefix = \"*.example.test\"\nblocked = true\n[[registry.mirror]]\nlocation = \"m.io/x\"\n\
         [[registry]]\nprefix = \"*.host.test\"\n[[registry.mirror]]\nlocation = \"m.io\"\n",
    );
    assert_eq!(order(&config, "a.b.example.test/app:v1").unwrap(), ["m.io/x/app:v1", "!a.b.example.test/app:v1"]);
    assert!(order(&config, "a.example.test:8443/app:v1").is_err());
    assert_eq!(order(&config, "a.host.test:8443/app:v1").unwrap(), ["m.io:8443/app:v1", "a.host.test:8443/app:v1"]);
    assert_eq!(explain(&config, "x.host.test/app").prefix.as_deref(), Some("*.host.test"));
}

#[test]
fn an_endpoint_is_blocked_by_the_table_of_its_own_name() {
    let config = config(
        "[[registry]]\nlocation = \"a.io\"\nblocked = true\n[[registry.mirror]]\nlocation = \"a.io/mirror\"\n\
         [[registry.mirror]]\nlocation = \"b.io/ok\"\n[[registry.mirror]]\nlocation = \"b.io/no\"\n\
         [[registry]]\nlocation = \"b.io/no\"\nblocked = true\n\
         [[registry]]\nprefix = \"moved.io\"\nlocation = \"c.io\"\nblocked = true\n",
    );
    let expected = ["!a.io/mirror/app:v1", "b.io/ok/app:v1", "!b.io/no/app:v1", "!a.io/app:v1"];
    assert_eq!(order(&config, "a.io/app:v1").unwrap(), expected);
    assert_eq!(order(&config, "moved.io/app:v1").unwrap(), ["c.io/app:v1"]);
}

#[test]
fn a_mirror_is_insecure_by_its_own_flag_and_is_not_chased() {
    let config = config(
        "[[registry]]\nlocation = \"a.io\"\ninsecure = true\n[[registry.mirror]]\nlocation = \"m.io\"\n\
         [[registry.mirror]]\nlocation = \"n.io\"\ninsecure = true\n\
         [[registry]]\nlocation = \"m.io\"\ninsecure = true\n[[registry.mirror]]\nlocation = \"far.io\"\n",
    );
    let explanation = explain(&config, "a.io/app:v1");
    let flags: Vec<_> = explanation.endpoints.iter().map(|e| (e.reference.as_str(), e.insecure)).collect();
    assert_eq!(flags, [("m.io/app:v1", false), ("n.io/app:v1", true), ("a.io/app:v1", true)]);
}

#[test]
fn an_explanation_prints_as_the_command_line_promises() {
    let config = config("[[registry]]\nlocation = \"a.io\"\n[[registry.mirror]]\nlocation = \"m.io/x\"\n");
    let json = serde_json::to_value(explain(&config, "a.io/app:v1")).unwrap();
    assert_eq!(
        json,
        serde_json::json!({
            "image": "a.io/app:v1",
            "prefix": "a.io",
            "endpoints": [
                {"reference": "m.io/x/app:v1", "insecure": false, "blocked": false, "origin": {"file": "registries.conf"}},
                {"reference": "a.io/app:v1", "insecure": false, "blocked": false, "origin": {"file": "registries.conf"}},
            ],
            "error": null,
        })
    );
    let json = serde_json::to_value(explain(&config, "a.io/App")).unwrap();
    assert_eq!((&json["prefix"], &json["endpoints"]), (&serde_json::Value::Null, &serde_json::json!([])));
    assert!(json["error"].as_str().unwrap().contains("lowercase"));
}

#[test]
fn endpoints_are_attributed_to_objects_and_to_other_files() {
    let origin = |name: &str| Origin {
        kind: "ImageTagMirrorSet".to_owned(),
        namespace: None,
        name: name.to_owned(),
        key: None,
        document: None,
        index: 0,
        layer: Layer::NodePool,
    };
    let mirror = |location: &str, name: &str| Mirror {
        location: location.to_owned(),
        insecure: false,
        origins: vec![origin(name)],
    };
    let source = ResolvedSource {
        tag_mirrors: vec![mirror("m.io", "one"), mirror("n.io", "two")],
        origins: vec![origin("one"), origin("two")],
        ..ResolvedSource::default()
    };
    let set = Resolved { sources: [("a.io".to_owned(), source)].into() };
    let foreign = config(
        "[[registry]]\nlocation = \"a.io\"\n[[registry.mirror]]\nlocation = \"b.io\"\n\
         [[registry]]\nlocation = \"a.io/sub\"\nblocked = true\n",
    );
    let node = with_ours(&foreign, &render(&set, &foreign).unwrap()).unwrap();
    let origins = |image: &str| -> Vec<String> {
        let mut explanation = explain(&node, image);
        attribute(&mut explanation, DROP_IN, &set, &foreign);
        let name = |endpoint: Endpoint| match endpoint.origin {
            Some(EndpointOrigin::Object(origin)) => origin.name,
            Some(EndpointOrigin::File { file }) => file,
            None => "nobody".to_owned(),
        };
        explanation.endpoints.into_iter().map(name).collect()
    };
    assert_eq!(origins("a.io/x:1"), ["one", "two", "registries.conf", "one"]);
    assert_eq!(origins("a.io/sub/x:1"), ["one", "two", "registries.conf", "registries.conf"]);
    assert_eq!(origins("z.io/x:1"), ["nobody"]);
}
