use proptest::prelude::*;
use serde_json::json;

use super::*;

const KINDS: [&str; 12] = [
    "HostedClusterMirrors",
    "MirrorCoverage",
    "HostedCluster",
    "NodePool",
    "ImageDigestMirrorSet",
    "Deployment",
    "Pod",
    "Event",
    "Lease",
    "NodeMirrorStatus",
    "Image",
    "Secret",
];

/// Passwords as people and programs make them: never a word of the vocabulary, a short number or a name.
fn canary() -> impl Strategy<Value = String> {
    prop_oneof!["kan[a-z]{3,6}zz[0-9]{2}[a-z]{2,6}", "[A-Z]{4}q[!$%&][a-z0-9]{6}", "[a-zA-Z0-9]{30}==", "9[0-9]{7,13}"]
}

/// Texts that have a password in them, where people and programs put one.
fn planted(canary: &str) -> Vec<String> {
    vec![
        canary.to_owned(),
        format!("failed to pull: unauthorized: {canary}"),
        format!("password={canary}"),
        format!("--password={canary}"),
        format!("Bearer {canary}"),
        format!("https://user:{canary}@m.example/x"),
        format!("https://m.example/x?token={canary}&a=b"),
        format!("user:{canary}@m.example/x"),
        format!("m.example/x?token={canary}"),
        format!("a.example={canary},b.example=user:{canary}@m.example"),
        format!("{{\"auths\":{{\"m.example\":{{\"auth\":\"{canary}\"}}}}}}"),
        format!("\"{canary}\""),
        format!("({canary})\n{canary}\t{canary}"),
    ]
}

/// An object that has this value wherever a shape has a field, and beside it.
fn filled(shape: &Shape, value: &Value) -> Value {
    match shape {
        Shape::Leaf(Keep::Environment) => {
            json!([{"name": "A", "value": value}, {"name": "OPENSHIFT_IMG_OVERRIDES", "value": value}])
        }
        Shape::Leaf(Keep::Arguments) => {
            json!(["--registry-overrides", value, value, format!("--registry-overrides={}", value.as_str().unwrap())])
        }
        Shape::Leaf(_) => value.clone(),
        Shape::Fields(fields) => {
            let mut object: Map<String, Value> =
                fields.iter().map(|(name, shape)| ((*name).to_owned(), filled(shape, value))).collect();
            object.insert("unlisted".to_owned(), json!({"deep": [value]}));
            object.into()
        }
        Shape::Each(shape) => json!([filled(shape, value), value]),
    }
}

/// The paths at which a name is kept as it is: what is a name is no secret.
fn without_names(shape: &Shape) -> Shape {
    match shape {
        Shape::Leaf(Keep::Name) => Shape::Leaf(Keep::Number),
        Shape::Leaf(keep) => Shape::Leaf(*keep),
        Shape::Fields(fields) => {
            Shape::Fields(fields.iter().map(|(name, shape)| (*name, without_names(shape))).collect())
        }
        Shape::Each(shape) => Shape::Each(Box::new(without_names(shape))),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn a_password_is_nowhere_in_what_is_kept(canary in canary()) {
        for kind in KINDS {
            let shape = shapes::of_kind(kind);
            let anonymous = without_names(&shape);
            for text in planted(&canary) {
                let object = filled(&shape, &text.as_str().into());
                let mut redactor = Redactor::default();
                redactor.learn(&object, &anonymous);
                let kept = redactor.keep(&object, &anonymous).unwrap().to_string();
                prop_assert!(!kept.contains(&canary), "{kind} {text}: {kept}");
            }
        }
        let redactor = Redactor::default();
        for text in planted(&canary) {
            let line = redactor.log_line(&text);
            prop_assert!(!line.contains(&canary), "{line}");
            let json = json!({"message": text, "fields": {"error": text, &text: 1}, "list": [text]}).to_string();
            prop_assert!(!redactor.log_line(&json).contains(&canary));
            let series = format!("hypermirror_leader{{reason=\"{text}\"}} 1");
            prop_assert!(!redactor.metric_line(&series).unwrap_or_default().contains(&canary));
            let page = maud::html! { p title=(text) class=(text) { a href=(text) { (text) } code { (text) } } }.into_string();
            let page = redactor.page(&page, &|file| file == "index.html");
            prop_assert!(!page.contains(&canary), "{page}");
        }
    }
}

#[test]
fn what_helps_is_kept() {
    let report = json!({
        "kind": "HostedClusterMirrors", "metadata": {"name": "west", "namespace": "clusters", "labels": {"a": "b"}},
        "status": {
            "conditions": [{
                "type": "ControlPlaneUpToDate", "status": "False", "reason": "WriteFailed",
                "message": "failed to patch Deployment clusters-west/ignition-server: no response within 15 s",
                "lastTransitionTime": "2026-11-30T12:00:00Z"
            }],
            "sources": [{"source": "quay.io/ocp", "digestMirrors": ["m.example:5000/ocp"], "policy": "NeverContactSource"}],
            "controlPlane": {"summary": "2/3", "targets": [
                {"name": "ignition-server", "upToDate": false, "foreign": "a.example=b.example"}
            ]}
        }
    });
    let shape = shapes::of_kind("HostedClusterMirrors");
    let mut redactor = Redactor::default();
    redactor.learn(&report, &shape);
    redactor.learn_text("clusters-west");
    let kept = redactor.keep(&report, &shape).unwrap();
    assert_eq!(kept["status"], report["status"], "nothing here is secret");
    assert!(kept["metadata"]["labels"].is_null(), "{kept}");
    let text = "the pull of m.example:5000/ocp for clusters/west failed: 403";
    assert_eq!(redactor.text(text), text);
    let target = json!({"kind": "Deployment", "metadata": {"annotations": {"hypermirror.dev/overrides": "a.example=m.example", "x": "y"}}});
    let kept = redactor.keep(&target, &shapes::of_kind("Deployment")).unwrap();
    assert_eq!(kept["metadata"]["annotations"], json!({"hypermirror.dev/overrides": "a.example=m.example"}));
}

#[test]
fn a_long_text_is_cut() {
    let text = "failed ".repeat(10_000);
    let kept = Redactor::default().text(&text);
    assert!(kept.len() < 2 * MAX_TEXT && kept.ends_with(DROPPED), "{}", kept.len());
}
