use super::*;

fn name() -> Name {
    (None, "cluster".to_owned())
}

fn set(mirror: &str) -> Value {
    json!({"kind": "NodeMirrorSet", "metadata": {"name": "cluster", "labels": {"a": "b"}}, "spec": {"mirror": mirror}})
}

fn number(object: &Value, field: &str) -> i64 {
    let value = &object["metadata"][field];
    value.as_i64().or_else(|| value.as_str()?.parse().ok()).unwrap_or_default()
}

#[test]
fn an_apply_that_changes_nothing_has_no_new_version() {
    let mut store = Store::default();
    let (first, is_new) = store.apply(SETS, &name(), set("x")).unwrap();
    assert!(is_new && number(&first, "generation") == 1, "{first}");
    assert_eq!(store.apply(SETS, &name(), set("x")), Ok((first.clone(), false)));
    let (second, is_new) = store.apply(SETS, &name(), set("y")).unwrap();
    assert!(!is_new && number(&second, "resourceVersion") > number(&first, "resourceVersion"));
    assert_eq!((number(&second, "generation"), &second["metadata"]["uid"]), (2, &first["metadata"]["uid"]));
    let mut labelled = set("y");
    labelled["metadata"]["labels"]["c"] = "d".into();
    assert_eq!(number(&store.apply(SETS, &name(), labelled).unwrap().0, "generation"), 2, "only the spec counts");
}

#[test]
fn an_apply_on_another_version_is_a_conflict() {
    let mut store = Store::default();
    let versioned = |version: &str| {
        let mut set = set("z");
        set["metadata"]["resourceVersion"] = version.into();
        set
    };
    assert_eq!(store.apply(SETS, &name(), versioned("1")), Err(Conflict), "there is none");
    let (live, _) = store.apply(SETS, &name(), set("x")).unwrap();
    assert_eq!(store.apply(SETS, &name(), versioned("77")), Err(Conflict));
    assert!(store.apply(SETS, &name(), versioned(live["metadata"]["resourceVersion"].as_str().unwrap())).is_ok());
}

#[test]
fn a_watch_has_what_is_newer_and_what_follows() {
    let mut store = Store::default();
    store.apply(SETS, &name(), set("x")).unwrap();
    let (mut all, mut news) = (store.watch(SETS, "a=b", 0), store.watch(SETS, "a=b", store.version()));
    let mut others = store.watch(SETS, "a!=b", 0);
    assert!(all.try_recv().is_ok() && news.try_recv().is_err());
    store.apply(SETS, &name(), set("y")).unwrap();
    assert!(store.delete(SETS, &name()) && !store.delete(SETS, &name()));
    let events: Vec<Bytes> = std::iter::from_fn(|| news.try_recv().ok()).collect();
    let kinds: Vec<Value> = events.iter().map(|event| serde_json::from_slice(event).unwrap()).collect();
    let kinds: Vec<&Value> = kinds.iter().map(|event| &event["type"]).collect();
    assert_eq!(kinds, ["MODIFIED", "DELETED"]);
    assert!(others.try_recv().is_err());
}

#[test]
fn a_crd_is_served_and_nodes_confirm_sets() {
    let mut store = Store::new(2);
    assert!(!store.serves(SETS) && store.serves(NODES));
    let names = json!({"plural": "nodemirrorsets"});
    let spec = json!({"group": "hypermirror.dev", "names": names, "versions": [{"name": "v1alpha1"}]});
    store.apply(CRDS, &name(), json!({"metadata": {"name": "cluster"}, "spec": spec})).unwrap();
    assert!(store.serves(SETS));
    assert_eq!(store.resources_of("hypermirror.dev/v1alpha1"), ["nodemirrorsets"]);
    store.apply(SETS, &name(), set("x")).unwrap();
    store.confirm();
    let statuses = store.list(STATUSES, None, "");
    assert_eq!((statuses.len(), &statuses[0]["status"]["observedSets"][0]["generation"]), (2, &json!(1)));
}
