//! What `render` says of sources that the gate for proofs holds.

use super::fixtures::Files;

const FLEET: &str = "\
apiVersion: config.openshift.io/v1
kind: ImageDigestMirrorSet
metadata: {name: shared}
spec:
  imageDigestMirrors:
  - {source: quay.io/shared, mirrors: [mirror.example/shared], mirrorSourcePolicy: NeverContactSource}
---
apiVersion: hypershift.openshift.io/v1beta1
kind: HostedCluster
metadata:
  name: west
  namespace: clusters
  annotations: {hypermirror.dev/image-mirror-config-ref: mirrors}
spec: {}
---
apiVersion: hypershift.openshift.io/v1beta1
kind: NodePool
metadata:
  name: edge
  namespace: clusters
  annotations: {hypermirror.dev/node-delivery: AgentAndRollout}
spec: {clusterName: west}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: mirrors, namespace: clusters}
data:
  idms.yaml: |
    apiVersion: config.openshift.io/v1
    kind: ImageDigestMirrorSet
    metadata: {name: own}
    spec:
      imageDigestMirrors:
      - {source: quay.io/held, mirrors: [mirror.example/held], mirrorSourcePolicy: NeverContactSource}
      - {source: quay.io/free, mirrors: [mirror.example/free]}
";

/// The output and the messages of a command that did well.
fn render(what: &str, more: &[&str]) -> (String, String) {
    let run = Files::new(&[("fleet.yaml", FLEET)]).run(&[&["render", what, "-f", "."], more].concat());
    assert_eq!(run.code, 0, "{}", run.stderr);
    (run.stdout, run.stderr)
}

#[test]
fn what_is_not_proven_is_named_and_printed_where_the_clusters_are_not_read() {
    for what in ["overrides", "guest"] {
        let (output, messages) = render(what, &["--require-proof=enforce"]);
        assert_eq!(output, render(what, &[]).0, "{what}");
        assert!(output.contains("mirror.example/held"), "{what}: {output}");
        let held = "warning: HostedCluster/clusters/west: not proven, so that the manager keeps what the ";
        let why = "quay.io/held -> mirror.example/held: the hosted cluster has no MirrorCoverage: is the registry-manager running?";
        let line = messages.lines().find(|line| line.starts_with(held) && line.contains(why));
        assert!(line.is_some(), "{what}: {messages}");
        assert!(!messages.contains("mirror.example/free"), "{what}: {messages}");
    }
    // Sources of the management cluster do not reach nodes.
    assert!(render("overrides", &["--require-proof=enforce"]).1.contains(" quay.io/shared -> "));
    assert!(!render("guest", &["--require-proof=enforce"]).1.contains("quay.io/shared"));
}

#[test]
fn a_file_that_nodes_boot_with_is_held_as_a_whole() {
    let (declared, messages) = render("boot", &[]);
    assert!(declared.contains("hypermirror-boot-edge") && messages.is_empty(), "{messages}{declared}");
    let (held, messages) = render("boot", &["--require-proof=enforce"]);
    assert_eq!(held, "");
    let named = "warning: NodePool/clusters/edge: the file that nodes boot with is not changed: waiting for proof that the mirrors \
                 of 1 source without a fallback hold the images: ";
    assert!(messages.starts_with(named), "{messages}");
    assert!(messages.contains("held: quay.io/held -> mirror.example/held; to fill the mirrors: "), "{messages}");
    assert_eq!(messages.lines().count(), 1, "{messages}");
}

#[test]
fn by_default_nothing_is_held() {
    for what in ["overrides", "guest", "boot"] {
        assert!(!render(what, &[]).1.contains("proven"), "{what}");
    }
}
