//! The objects: those of the scenarios, and such as are nearly right.

use hypermirror_e2e::fleet::{NAMESPACE, guests, objects};
use serde_json::{Value, json};

/// The name of the objects that are there, for changes of them.
pub const STANDING: &str = "standing";

/// An object to create, or a change of the one of its kind that is there.
pub struct Case {
    pub name: String,
    pub object: Value,
    pub change: Option<Change>,
    pub is_valid: bool,
}

pub enum Change {
    Object(Value),
    Status(Value),
}

const VALID: bool = true;
const INVALID: bool = false;

/// The objects that are there, one of each of HyperShift's kinds.
pub fn standing() -> Vec<Value> {
    [hosted_cluster(), hosted_control_plane(), node_pool()]
        .map(|object| with(&object, "/metadata/name", &json!(STANDING)))
        .into()
}

/// All cases.
pub fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(of("HostedCluster", &hosted_cluster(), &hosted_cluster_edits()));
    cases.extend(of("HostedControlPlane", &hosted_control_plane(), &control_plane_edits()));
    cases.extend(of("NodePool", &node_pool(), &node_pool_edits()));
    for (kind, list) in [("ImageDigestMirrorSet", "imageDigestMirrors"), ("ImageTagMirrorSet", "imageTagMirrors")] {
        cases.extend(of(kind, &mirror_set(kind, list), &mirror_set_edits(list)));
    }
    cases.extend(of("ImageContentSourcePolicy", &content_source_policy(), &content_source_policy_edits()));
    cases.extend(changes());
    cases
}

/// A path in the object, the value there (null: nothing), and whether the object is valid then.
type Edit = (&'static str, Value, bool);

/// One object as it is, and with each of the edits.
fn of(kind: &str, object: &Value, edits: &[Edit]) -> Vec<Case> {
    let case = |name: String, object, is_valid| Case { name, object, change: None, is_valid };
    let mut cases = vec![case(kind.to_owned(), object.clone(), VALID)];
    cases.extend(edits.iter().map(|(path, value, is_valid)| {
        let mut shown = value.to_string();
        shown.truncate(80);
        case(format!("{kind} with {path} = {shown}"), with(object, path, value), *is_valid)
    }));
    cases
}

/// The object with this value at the path, or without it.
fn with(object: &Value, path: &str, value: &Value) -> Value {
    let mut object = object.clone();
    let (parent, field) = path.rsplit_once('/').unwrap();
    let parent = object.pointer_mut(parent).and_then(Value::as_object_mut).unwrap();
    if value.is_null() {
        parent.remove(field);
    } else {
        parent.insert(field.to_owned(), value.clone());
    }
    object
}

fn hosted_cluster() -> Value {
    objects::hosted_cluster("case", &[("s.example", &["m.example/s"], None)])
}

fn hosted_control_plane() -> Value {
    let mut object = guests::control_plane("case", NAMESPACE);
    object["spec"]["imageContentSources"] = json!([{"source": "s.example", "mirrors": ["m.example/s"]}]);
    object
}

fn node_pool() -> Value {
    json!({
        "apiVersion": "hypershift.openshift.io/v1beta1", "kind": "NodePool",
        "metadata": {"name": "case", "namespace": NAMESPACE},
        "spec": {
            "clusterName": "west-0", "replicas": 1, "release": {"image": "quay.example/ocp/release:4.20.1"},
            "management": {"upgradeType": "Replace"}, "platform": {"type": "None"}
        }
    })
}

fn mirror_set(kind: &str, list: &str) -> Value {
    json!({
        "apiVersion": "config.openshift.io/v1", "kind": kind, "metadata": {"name": "case"},
        "spec": {list: [{"source": "s.example", "mirrors": ["m.example/s"], "mirrorSourcePolicy": "NeverContactSource"}]}
    })
}

fn content_source_policy() -> Value {
    objects::icsp("case", &[("s.example", &["m.example/s"], None)])
}

/// Of a HostedCluster and a HostedControlPlane alike.
fn sources() -> Vec<Edit> {
    let list = |entries: Value| ("/spec/imageContentSources", entries);
    let long = "x".repeat(256);
    let many: Vec<Value> = (0..256).map(|number| json!({"source": format!("s{number}.example")})).collect();
    let edits = [
        (list(Value::Null), VALID),
        (list(json!([])), VALID),
        (list(json!([{"source": "s.example"}])), VALID),
        (list(json!([{"source": "s.example", "mirrors": []}])), VALID),
        (list(json!([{"source": ""}])), VALID),
        (
            list(json!([{"source": "s.example", "mirrors": ["b", "a"], "mirrorSourcePolicy": "NeverContactSource"}])),
            VALID,
        ),
        (list(json!([{"source": "s.example"}, {"source": "s.example"}])), VALID),
        (list(json!([{"mirrors": ["m.example"]}])), INVALID),
        (list(json!([{"source": "s.example", "mirrors": ["a", "a"]}])), INVALID),
        (list(json!([{"source": "s.example", "mirrors": [1]}])), INVALID),
        (list(json!([{"source": "s.example", "mirrors": [long.clone()]}])), INVALID),
        (list(json!([{"source": long}])), INVALID),
        (list(json!(many)), INVALID),
        (list(json!("s.example")), INVALID),
    ];
    edits.into_iter().map(|((path, value), is_valid)| (path, value, is_valid)).collect()
}

fn hosted_cluster_edits() -> Vec<Edit> {
    let mut edits = sources();
    edits.extend([
        ("/spec", Value::Null, VALID),
        ("/spec/etcd", Value::Null, VALID),
        ("/spec/networking", Value::Null, VALID),
        ("/spec/platform", Value::Null, INVALID),
        ("/spec/pullSecret", Value::Null, INVALID),
        ("/spec/release", Value::Null, INVALID),
        ("/spec/services", Value::Null, INVALID),
        ("/spec/pullSecret", json!({}), VALID),
        ("/spec/pullSecret", json!({"name": "a", "namespace": "b"}), VALID),
        ("/spec/additionalTrustBundle", json!({"name": "bundle"}), VALID),
        ("/spec/additionalTrustBundle", json!("bundle"), INVALID),
        ("/spec/imageMirrorConfigRef", json!({"name": "mirrors"}), VALID),
        ("/spec/unheardOf", json!({"a": 1}), VALID),
        ("/spec/release", json!({}), INVALID),
        ("/spec/release/image", json!(""), INVALID),
        ("/spec/release/image", json!("two words"), INVALID),
        ("/spec/controlPlaneRelease", json!({"image": "quay.example/ocp/release:4.20.2"}), VALID),
        ("/spec/controlPlaneRelease", json!({}), INVALID),
        ("/spec/infraID", json!("case-x1"), VALID),
        ("/spec/infraID", json!("Case"), INVALID),
        ("/spec/olmCatalogPlacement", json!("guest"), VALID),
        ("/spec/olmCatalogPlacement", json!("nowhere"), INVALID),
        ("/spec/pausedUntil", json!("true"), VALID),
        ("/spec/pausedUntil", json!("2027-01-01T00:00:00Z"), VALID),
        ("/spec/pausedUntil", json!("soon"), INVALID),
        ("/spec/pausedUntil", json!(""), INVALID),
        ("/metadata/annotations", json!({"hypermirror.dev/paused": "true"}), VALID),
    ]);
    edits
}

fn control_plane_edits() -> Vec<Edit> {
    let mut edits = sources();
    edits.extend([
        ("/spec", Value::Null, VALID),
        ("/spec/dns", Value::Null, INVALID),
        ("/spec/etcd", Value::Null, INVALID),
        ("/spec/infraID", Value::Null, INVALID),
        ("/spec/issuerURL", Value::Null, INVALID),
        ("/spec/releaseImage", Value::Null, INVALID),
        ("/spec/services", Value::Null, INVALID),
        ("/spec/sshKey", Value::Null, INVALID),
        ("/spec/kubeconfig", json!({"name": "admin", "key": "kubeconfig"}), VALID),
        ("/spec/kubeconfig", json!({"name": "admin"}), INVALID),
        ("/spec/pullSecret", json!({}), VALID),
        ("/spec/olmCatalogPlacement", json!("guest"), VALID),
        ("/spec/olmCatalogPlacement", json!("nowhere"), INVALID),
        ("/spec/pausedUntil", json!("soon"), VALID),
        ("/spec/pausedUntil", json!("x".repeat(256)), INVALID),
        ("/spec/unheardOf", json!(1), VALID),
    ]);
    edits
}

fn node_pool_edits() -> Vec<Edit> {
    let references = |count: usize| json!(vec![json!({"name": "config"}); count]);
    vec![
        ("/spec", Value::Null, VALID),
        ("/spec/clusterName", Value::Null, INVALID),
        ("/spec/management", Value::Null, INVALID),
        ("/spec/platform", Value::Null, INVALID),
        ("/spec/release", Value::Null, INVALID),
        ("/spec/replicas", Value::Null, VALID),
        ("/spec/replicas", json!("3"), INVALID),
        ("/spec/replicas", json!(3_000_000_000_u64), INVALID),
        ("/spec/clusterName", json!(""), INVALID),
        ("/spec/clusterName", json!("a.b"), INVALID),
        ("/spec/config", json!([]), VALID),
        ("/spec/config", json!([{}]), VALID),
        ("/spec/config", json!([{"name": "a", "key": "b"}]), VALID),
        ("/spec/config", references(10), VALID),
        ("/spec/config", references(11), INVALID),
        ("/spec/config", json!(["a"]), INVALID),
        ("/spec/pausedUntil", json!("false"), VALID),
        ("/spec/pausedUntil", json!("x"), INVALID),
        ("/spec/unheardOf", json!([]), VALID),
    ]
}

fn mirror_set_edits(list: &'static str) -> Vec<Edit> {
    let entries = |entries: Value| ("/spec", json!({list: entries}));
    let source = |source: &str| entries(json!([{"source": source}]));
    let mirror = |mirror: &str| entries(json!([{"source": "s.example", "mirrors": [mirror]}]));
    let edits = [
        (("/spec", Value::Null), INVALID),
        (("/spec", json!({})), VALID),
        (entries(json!([])), VALID),
        (entries(json!({})), INVALID),
        (entries(json!([{}])), INVALID),
        (entries(json!([{"source": "s.example", "mirrors": ["a", "a"]}])), INVALID),
        (entries(json!([{"source": "s.example", "mirrorSourcePolicy": "Sometimes"}])), INVALID),
        (entries(json!([{"source": "s.example", "mirrorSourcePolicy": "AllowContactingSource"}])), VALID),
        (entries(json!([{"source": "s.example", "mirrors": ["a"], "insecureSkipTLSVerify": true}])), VALID),
        (entries(json!([{"source": "s.example"}, {"source": "s.example"}])), VALID),
        (source("*.s.example"), VALID),
        (source("s.example:5000/a/b_c"), VALID),
        (source("S.example/a"), VALID),
        (source("s.example/A"), INVALID),
        (source("s.example/a:tag"), INVALID),
        (source("s.example/a@sha256:0"), INVALID),
        (source("https://s.example"), INVALID),
        (source("[::1]:5000"), INVALID),
        (source("*"), INVALID),
        (source("a b"), INVALID),
        (mirror("m.example:5000/s"), VALID),
        (mirror("*.m.example"), INVALID),
        (mirror(""), INVALID),
        (mirror("m.example/"), INVALID),
    ];
    edits.into_iter().map(|((path, value), is_valid)| (path, value, is_valid)).collect()
}

fn content_source_policy_edits() -> Vec<Edit> {
    let entries = |entries: Value| json!({"repositoryDigestMirrors": entries});
    vec![
        ("/spec", Value::Null, INVALID),
        ("/spec", json!({}), VALID),
        ("/spec", entries(json!([{"source": "https://S example", "mirrors": ["", "", "*"]}])), VALID),
        ("/spec", entries(json!([{"source": "s.example", "mirrorSourcePolicy": "NeverContactSource"}])), VALID),
        ("/spec", entries(json!([{"mirrors": ["m.example"]}])), INVALID),
        ("/spec", entries(json!([{"source": "s.example", "mirrors": "m.example"}])), INVALID),
    ]
}

/// Changes of the objects that are there.
fn changes() -> Vec<Case> {
    let condition = json!({"type": "Available", "status": "True", "reason": "AsExpected", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"});
    let conditions = |list: Value| json!({"status": {"conditions": list}});
    let ready = |more: Value| {
        let mut status = json!({"ready": true, "initialized": true});
        status.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"status": status})
    };
    let (cluster, control_plane, pool) = (hosted_cluster(), hosted_control_plane(), node_pool());
    let edits = [
        (&cluster, Change::Object(json!({"spec": {"olmCatalogPlacement": "guest"}})), INVALID),
        (&cluster, Change::Object(json!({"spec": {"imageContentSources": null}})), VALID),
        (&cluster, Change::Object(json!({"spec": {"pausedUntil": "True"}})), VALID),
        (&cluster, Change::Status(conditions(json!([condition]))), VALID),
        (&cluster, Change::Status(conditions(json!([condition, condition]))), INVALID),
        (&cluster, Change::Status(conditions(json!([{"type": "Available", "status": "True"}]))), INVALID),
        (&cluster, Change::Status(conditions(json!([with(&condition, "/reason", &json!("no reason"))]))), INVALID),
        (&cluster, Change::Status(conditions(json!([with(&condition, "/status", &json!("Maybe"))]))), INVALID),
        (&cluster, Change::Status(json!({"status": {"kubeconfig": {"name": "admin"}, "unheardOf": 1}})), VALID),
        (&control_plane, Change::Object(json!({"spec": {"olmCatalogPlacement": "guest"}})), VALID),
        (&control_plane, Change::Status(ready(json!({"controlPlaneEndpoint": {"host": "h", "port": 6443}}))), VALID),
        (&control_plane, Change::Status(ready(json!({"controlPlaneEndpoint": {"host": "h"}}))), INVALID),
        (&control_plane, Change::Status(ready(json!({"kubeConfig": {"name": "admin", "key": "k"}}))), VALID),
        (&control_plane, Change::Status(ready(json!({"kubeConfig": {"name": "admin"}}))), INVALID),
        (&pool, Change::Object(json!({"spec": {"clusterName": "other"}})), INVALID),
        (&pool, Change::Object(json!({"spec": {"config": [{"name": "a"}]}})), VALID),
        (&pool, Change::Status(conditions(json!([condition, condition]))), VALID),
        (&pool, Change::Status(conditions(json!([{"type": "Ready", "status": "True"}]))), INVALID),
        (&pool, Change::Status(json!({"status": {"replicas": 2, "version": "4.20.1"}})), VALID),
    ];
    let case = |(object, change, is_valid): (&Value, Change, bool)| {
        let shown = match &change {
            Change::Object(change) | Change::Status(change) => change.to_string(),
        };
        Case {
            name: format!("{} changed by {shown}", object["kind"]),
            object: object.clone(),
            change: Some(change),
            is_valid,
        }
    };
    edits.into_iter().map(case).collect()
}
