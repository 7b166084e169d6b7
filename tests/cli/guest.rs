use serde::Deserialize as _;
use serde_json::{Value, json};

use super::fixtures::{CLUSTERS, Files, MIRRORS, POOLS};

const IMAGE: &str = "quay.example/hypermirror@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const EAST: [&str; 6] = ["render", "guest", "-f", ".", "--hosted-cluster", "clusters/east.one"];

fn fleet() -> Files {
    Files::new(&[("1.yaml", CLUSTERS), ("2.yaml", MIRRORS), ("4.yaml", POOLS)])
}

fn render(files: &Files, more: &[&str]) -> String {
    files.run(&[&EAST[..], more].concat()).out()
}

fn documents(yaml: &str) -> Vec<Value> {
    serde_yaml::Deserializer::from_str(yaml).map(|document| Value::deserialize(document).unwrap()).collect()
}

/// `Kind name` of each document.
fn titles(documents: &[Value]) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    documents.iter().map(|found| format!("{} {}", text(&found["kind"]), text(&found["metadata"]["name"]))).collect()
}

#[test]
fn the_objects_of_a_guest_have_their_golden_form_after_the_crds() {
    let rendered = render(&fleet(), &["--agent-image", IMAGE]);
    let (crds, others) = rendered.split_at(rendered.find("---\napiVersion: v1\n").unwrap());
    insta::assert_snapshot!("guest.yaml", others);
    let mut given = documents(crds);
    for crd in &mut given {
        crd["metadata"].as_object_mut().unwrap().remove("labels");
    }
    assert_eq!(given, documents(&Files::new(&[]).run(&["crd", "--for", "guest"]).out()));
}

#[test]
fn the_order_of_the_input_does_not_change_the_output() {
    let first = render(&fleet(), &["--agent-image", IMAGE]);
    let reversed: Vec<&str> = POOLS.split("---\n").collect::<Vec<_>>().into_iter().rev().collect();
    let files = Files::new(&[("a.yaml", &reversed.join("---\n")), ("z.yaml", CLUSTERS)]);
    assert_eq!(render(&files, &["--agent-image", IMAGE]), first);
}

#[test]
fn without_an_image_or_with_an_external_agent_there_is_no_daemon_set() {
    let run = fleet().run(&EAST);
    assert!(run.stderr.contains("warning: --agent-image is not set: "), "{}", run.stderr);
    let external = fleet().run(&[&EAST[..], &["--guest-agent", "external", "--agent-image", IMAGE]].concat());
    assert_eq!(external.stdout, run.stdout);
    let titles = titles(&documents(&external.out()));
    assert!(!titles.iter().any(|title| title.starts_with("DaemonSet")), "{titles:?}");
    assert!(titles.contains(&"NodeMirrorSet nodepool-workers".to_owned()), "{titles:?}");
}

#[test]
fn how_the_agent_reloads_decides_what_it_may() {
    let rendered = documents(&render(&fleet(), &["--agent-image", IMAGE, "--agent-reload", "signal"]));
    let pod = &rendered.last().unwrap()["spec"]["template"]["spec"];
    assert_eq!(pod["hostPID"], true);
    let constraints = rendered.iter().find(|object| object["kind"] == "SecurityContextConstraints").unwrap();
    assert_eq!(constraints["allowHostPID"], true);
}

#[test]
fn a_missing_address_is_reported() {
    let run = Files::new(&[("c.yaml", CLUSTERS)]).run(&[&EAST[..], &["--agent-image", IMAGE]].concat());
    assert!(run.stderr.contains("warning: no HostedControlPlane clusters-east-one/east.one with"), "{}", run.stderr);
    assert!(!run.out().contains("KUBERNETES_SERVICE_HOST"));
}

#[test]
fn a_guest_without_delivery_has_no_objects() {
    let annotated =
        CLUSTERS.replacen("  namespace:", "  annotations: {hypermirror.dev/node-delivery: None}\n  namespace:", 1);
    let files = Files::new(&[("c.yaml", &annotated)]);
    let run = files.run(&EAST);
    assert_eq!((run.code, run.stdout.as_str()), (0, ""));
    assert!(
        run.stderr.contains("hypermirror.dev/node-delivery is None: no objects are applied in its guest cluster"),
        "{}",
        run.stderr
    );
    let off = fleet().run(&[&EAST[..], &["--guest-agent", "off"]].concat());
    assert_eq!((off.code, off.stdout.as_str()), (0, ""));
}

#[test]
fn a_choice_and_an_image_by_digest_are_needed() {
    let stderr = fleet().run(&["render", "guest", "-f", "."]).refused(2);
    assert!(stderr.contains("select one with --hosted-cluster"), "{stderr}");
    let stderr = Files::new(&[("m.yaml", MIRRORS)]).run(&["render", "guest", "-f", "."]).refused(2);
    assert!(stderr.contains("the input has no HostedCluster"), "{stderr}");
    let stderr = fleet().run(&[&EAST[..], &["--agent-image", "quay.example/hypermirror:v1"]].concat()).refused(2);
    assert!(stderr.contains("has no digest"), "{stderr}");
}

#[test]
fn invalid_names_of_node_pools_are_distinguished() {
    let karpenter = "apiVersion: karpenter.sh/v1\nkind: NodePool\nmetadata: {name: x}\n";
    let files = Files::new(&[("1.yaml", CLUSTERS), ("k.yaml", karpenter)]);
    let run = files.run(&EAST);
    assert!(run.code == 0 && run.stderr.contains("NodePool (1)"), "{}", run.stderr);
    let nowhere = "apiVersion: hypershift.openshift.io/v1beta1\nkind: NodePool\nmetadata: {name: x}\nspec: {}\n";
    let stderr = Files::new(&[("1.yaml", CLUSTERS), ("n.yaml", nowhere)]).run(&EAST).refused(1);
    assert!(stderr.contains("NodePool x has no metadata.namespace"), "{stderr}");
}

#[test]
fn a_node_pool_has_the_mirrors_of_its_cluster_unless_its_delivery_is_none() {
    let image = "source.example/ocp/release@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    let explain = |pool: &str| {
        let run = fleet().run(&[
            "explain",
            image,
            "-f",
            ".",
            "-o",
            "json",
            "--hosted-cluster",
            "clusters/east.one",
            "--node-pool",
            pool,
        ]);
        (serde_json::from_str::<Value>(&run.stdout).unwrap_or_default(), run.stderr, run.code)
    };
    let (workers, _, _) = explain("workers");
    let origin = json!({"kind": "HostedCluster", "namespace": "clusters", "name": "east.one", "key": null, "document": null,
        "index": 0, "layer": "HostedCluster"});
    assert_eq!(workers[0]["endpoints"][0]["origin"], origin);
    let (edge, stderr, _) = explain("edge");
    assert_eq!(edge[0]["prefix"], Value::Null);
    assert!(stderr.contains("NodePool/clusters/edge: annotation hypermirror.dev/node-delivery is None"), "{stderr}");
    let (_, stderr, code) = explain("nope");
    assert_eq!(code, 2);
    assert!(
        stderr.contains(
            "error: HostedCluster clusters/east.one has no NodePool nope in the input (available: edge, workers)"
        ),
        "{stderr}"
    );

    let render = ["render", "node", "-f", ".", "--hosted-cluster", "clusters/east.one"];
    let all = fleet().run(&render).out();
    assert_eq!(fleet().run(&[&render[..], &["--node-pool", "workers"]].concat()).out(), all);
    assert_eq!(fleet().run(&[&render[..], &["--node-pool", "edge"]].concat()).out(), "");
    let stderr = fleet().run(&["render", "node", "-f", "2.yaml", "--node-pool", "workers"]).refused(2);
    assert!(stderr.contains("no HostedCluster for NodePool workers"), "{stderr}");
}

#[test]
fn a_node_is_one_of_a_live_cluster() {
    for more in [&["-f", "."][..], &["--node-pool", "workers"]] {
        fleet().run(&[&["explain", "a.example/x", "--node", "n1"], more].concat()).refused(2);
    }
    let stderr = fleet().run(&["explain", "a.example/x", "--node", "../n1"]).refused(2);
    assert!(stderr.contains("is not a valid name for a node"), "{stderr}");
}
