use super::*;
use crate::mirrors::{Layer, Origin, PullBy};
use crate::process::flags::{ReloadMethod, RuntimeChoice};

fn entry(pull_by: PullBy, source: &str, list: &'static str) -> MirrorEntry {
    MirrorEntry {
        pull_by,
        source: source.to_owned(),
        mirrors: vec![format!("mirror.example/{source}")],
        policy: None,
        insecure: false,
        list,
        origin: Origin {
            kind: "HostedCluster".into(),
            namespace: Some("clusters".into()),
            name: "west".into(),
            key: None,
            document: None,
            index: 3,
            layer: Layer::HostedCluster,
        },
    }
}

fn agent(reload: ReloadMethod) -> AgentSpec {
    AgentSpec {
        image: "quay.example/hypermirror@sha256:0".into(),
        reload,
        runtime: RuntimeChoice::Crio,
        ports: AgentPorts::default(),
        api: Some(("api.west.example".into(), 6443)),
    }
}

fn pool(name: &str, delivered: bool) -> SetInput {
    SetInput { name: name.to_owned(), entries: Vec::new(), delivered }
}

#[test]
fn a_set_keeps_who_declared_each_mirror() {
    let sets = node_mirror_sets(&[entry(PullBy::Digest, "quay.example/a", "spec.imageContentSources")], &[]);
    assert_eq!(sets.len(), 1);
    let origin = &sets[0]["spec"]["digestMirrors"][0]["origin"];
    assert_eq!(*origin, json!({"kind": "HostedCluster", "namespace": "clusters", "name": "west", "index": 3}));
    assert_eq!(sets[0]["spec"]["layer"], "HostedCluster");
    assert!(sets[0]["spec"].get("nodeSelector").is_none(), "every node");
}

#[test]
fn each_pool_has_its_set_and_one_that_wants_none_is_left_out_of_the_clusters() {
    let sets = node_mirror_sets(&[], &[pool("a", true), pool("b", false)]);
    let names: Vec<&str> = sets.iter().map(|set| set["metadata"]["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["cluster", "nodepool-a"]);
    let expressions = &sets[0]["spec"]["nodeSelector"]["matchExpressions"];
    assert_eq!(
        *expressions,
        json!([{"key": "hypershift.openshift.io/nodePool", "operator": "NotIn", "values": ["b"]}])
    );
    assert_eq!(sets[1]["spec"]["nodeSelector"]["matchLabels"]["hypershift.openshift.io/nodePool"], "a");
}

#[test]
fn mirror_objects_say_what_hypershifts_own_does_not() {
    let kinds = GuestKinds::OPENSHIFT;
    let stock = entry(PullBy::Digest, "quay.example/a", "spec.imageContentSources");
    assert!(mirror_objects(std::slice::from_ref(&stock), kinds).is_empty());
    let own = entry(PullBy::Tag, "quay.example/b", "spec.imageTagMirrors");
    let objects = mirror_objects(&[stock, own.clone()], kinds);
    assert_eq!(objects.len(), 1);
    assert_eq!(objects[0]["kind"], "ImageTagMirrorSet");
    assert_eq!(objects[0]["metadata"]["name"], "hypermirror", "the name cluster is HyperShift's");
    assert_eq!(objects[0]["spec"]["imageTagMirrors"][0]["source"], "quay.example/b");
    assert!(mirror_objects(&[own], GuestKinds::default()).is_empty(), "a guest without the kind");
}

#[test]
fn the_agent_runs_where_nothing_works_yet_and_may_do_nothing_else() {
    let daemon_set = daemon_set(&agent(ReloadMethod::Dbus));
    let pod = &daemon_set["spec"]["template"]["spec"];
    assert_eq!(pod["hostNetwork"], true);
    assert_eq!(pod["tolerations"], json!([{"operator": "Exists"}]));
    assert_eq!(pod["priorityClassName"], "system-node-critical");
    let container = &pod["containers"][0];
    assert_eq!(container["securityContext"]["capabilities"]["drop"], json!(["ALL"]));
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    assert_eq!(container["securityContext"]["allowPrivilegeEscalation"], false);
    let env = container["env"].as_array().unwrap();
    assert!(env.contains(&json!({"name": "KUBERNETES_SERVICE_HOST", "value": "api.west.example"})));
    let writable: Vec<&str> = container["volumeMounts"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|mount| mount["readOnly"] == false)
        .map(|mount| mount["mountPath"].as_str().unwrap())
        .collect();
    assert_eq!(writable, ["/host/etc/containers/registries.conf.d", "/host/etc/containers/registries.d"]);
    assert_eq!(pod["hostPID"], false);
    assert_eq!(daemon_set_of(ReloadMethod::Signal)["hostPID"], true);
}

/// The mounted directories of the node, with `w` for those that the agent writes and `+` for those that are created.
fn mounted(runtime: RuntimeChoice, reload: ReloadMethod) -> Vec<String> {
    let spec = AgentSpec { runtime, ..agent(reload) };
    let pod = daemon_set(&spec)["spec"]["template"]["spec"].clone();
    let mounts = pod["containers"][0]["volumeMounts"].as_array().unwrap().clone();
    let volumes = pod["volumes"].as_array().unwrap().clone();
    let both = mounts.iter().zip(&volumes);
    both.map(|(mount, volume)| {
        assert_eq!(mount["name"], volume["name"]);
        let path = volume["hostPath"]["path"].as_str().unwrap();
        assert_eq!(mount["mountPath"], format!("/host{path}"));
        let created = if volume["hostPath"]["type"] == "DirectoryOrCreate" { "+" } else { "" };
        let written = if mount["readOnly"] == false { "w" } else { "" };
        format!("{path} {written}{created}").trim_end().to_owned()
    })
    .collect()
}

#[test]
fn the_agent_mounts_only_what_the_runtime_of_its_nodes_needs() {
    let crio = mounted(RuntimeChoice::Crio, ReloadMethod::Dbus);
    let signatures = "/etc/containers/registries.d w+";
    assert_eq!(crio, ["/etc/containers", "/etc/containers/registries.conf.d w+", "/run/dbus", signatures]);
    let containerd = mounted(RuntimeChoice::Containerd, ReloadMethod::Signal);
    assert_eq!(containerd, ["/etc/containerd", "/etc/containerd/certs.d w+"]);
    let mixed = mounted(RuntimeChoice::Auto, ReloadMethod::Signal);
    let expected = ["/etc/containers +", "/etc/containers/registries.conf.d w+", "/run/crio +", signatures];
    assert_eq!(mixed, [&expected[..], &["/etc/containerd +", "/etc/containerd/certs.d w+"]].concat());
    let args = |runtime| {
        let spec = AgentSpec { runtime, ..agent(ReloadMethod::Signal) };
        let pod = &daemon_set(&spec)["spec"]["template"]["spec"];
        (pod["containers"][0]["args"].to_string().contains("--runtime"), pod["hostPID"] == true)
    };
    assert_eq!(args(RuntimeChoice::Crio), (false, true), "an earlier agent does not know the flag");
    assert_eq!(args(RuntimeChoice::Containerd), (true, false));
}

fn daemon_set_of(reload: ReloadMethod) -> Value {
    daemon_set(&agent(reload))["spec"]["template"]["spec"].clone()
}

#[test]
fn every_object_has_our_label_and_the_same_input_gives_the_same_bytes() {
    let agent = agent(ReloadMethod::Dbus);
    let input = GuestInput { entries: &[], pools: &[], agent: Some(&agent), kinds: GuestKinds::OPENSHIFT };
    let objects = GuestObjects::new(&input);
    for object in objects.all() {
        assert_eq!(object["metadata"]["labels"][MANAGED_LABEL], "true", "{object}");
    }
    assert_eq!(GuestObjects::new(&input), objects);
    let kinds: Vec<&str> = objects.foundations.iter().map(|object| object["kind"].as_str().unwrap()).collect();
    assert!(kinds.contains(&"SecurityContextConstraints") && kinds.contains(&"ValidatingAdmissionPolicy"));
}
