use serde_json::{Value, json};

use super::fixtures::{CLUSTERS, DEPLOYMENTS, Files, MIRRORS, POOLS};

/// The findings as JSON, and the exit code.
fn check(files: &Files) -> (Vec<Value>, i32) {
    let run = files.run(&["check", "-f", ".", "-o", "json"]);
    (serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {}", run.stderr)), run.code)
}

fn with_reason<'v>(findings: &'v [Value], reason: &str) -> Vec<&'v Value> {
    findings.iter().filter(|finding| finding["reason"] == reason).collect()
}

#[test]
fn the_findings_of_a_fleet_have_their_golden_form() {
    let run = Files::fleet().run(&["check", "-f", "."]);
    insta::assert_snapshot!("check.txt", format!("{}\n{}", run.stdout, run.stderr));
    assert_eq!(run.code, 0, "warnings alone are no failure");
}

#[test]
fn a_clean_input_has_no_findings() {
    let run = Files::new(&[("c.yaml", CLUSTERS)]).run(&["check", "-f", "."]);
    assert_eq!((run.code, run.stdout.as_str()), (0, ""));
    assert!(run.stderr.ends_with("0 errors, 0 warnings in 0 mirror sets and 2 HostedClusters\n"), "{}", run.stderr);
}

#[test]
fn an_error_is_exit_code_1_and_names_entry_value_and_consumers() {
    let mirrors = MIRRORS.replace("source: source.example/ocp/release\n    mirrors:", "source: 'a b'\n    mirrors:");
    let (findings, code) = check(&Files::new(&[("m.yaml", &mirrors)]));
    let errors = with_reason(&findings, "InvalidSource");
    assert_eq!((code, errors.len()), (1, 2), "{findings:?}");
    let error = errors.iter().find(|error| error["object"] == "ImageDigestMirrorSet/release").unwrap();
    assert_eq!(error["severity"], "Error");
    assert_eq!(error["field"], "spec.imageDigestMirrors[0].source");
    assert_eq!(error["value"], "a b");
    assert_eq!(error["consumers"], json!(["ControlPlane", "Node"]));
    assert_eq!(error["origin"]["index"], 0);
}

#[test]
fn an_entry_that_breaks_only_nodes_is_an_error_only_if_it_reaches_nodes() {
    let short = MIRRORS.replace("m.example/team", "mirror/team");
    let (findings, code) = check(&Files::new(&[("m.yaml", &short)]));
    assert_eq!((code, &with_reason(&findings, "ShortMirrorHost")[0]["severity"]), (1, &json!("Error")));

    let (findings, code) = check(&Files::new(&[("m.yaml", &short), ("c.yaml", CLUSTERS)]));
    let found = with_reason(&findings, "ShortMirrorHost");
    assert_eq!((code, &found[0]["severity"]), (0, &json!("Warning")), "with HostedClusters it reaches no node");
    assert_eq!(found[0]["consumers"], json!(["ControlPlane"]));

    let own = CLUSTERS.replace("own.example/ocp/release", "own/ocp/release");
    let (findings, code) = check(&Files::new(&[("c.yaml", &own)]));
    let found = with_reason(&findings, "ShortMirrorHost");
    assert_eq!((code, &found[0]["hostedCluster"]), (1, &json!("clusters/east.one")), "its own set does");
}

#[test]
fn a_setting_that_means_nothing_is_an_error() {
    let (findings, code) = check(&Files::new(&[("c.yaml", &CLUSTERS.replace(": Ignore", ": ignore"))]));
    assert_eq!((code, findings.len()), (1, 1));
    assert_eq!(findings[0]["field"], "metadata.annotations[hypermirror.dev/management-mirrors]");
    assert_eq!(findings[0]["value"], "ignore");
}

#[test]
fn a_delivery_that_is_not_served_is_an_error_of_cluster_and_pool() {
    let clusters =
        CLUSTERS.replace("hypermirror.dev/management-mirrors: Ignore", "hypermirror.dev/node-delivery: soon");
    let pools = POOLS.replace("node-delivery: None", "node-delivery: rollout");
    let (findings, code) = check(&Files::new(&[("c.yaml", &clusters), ("p.yaml", &pools)]));
    assert_eq!((code, findings.len()), (1, 2), "{findings:?}");
    let objects: Vec<_> = findings.iter().map(|finding| (&finding["object"], &finding["value"])).collect();
    let expected =
        [(json!("HostedCluster/clusters/lab"), json!("soon")), (json!("NodePool/clusters/edge"), json!("rollout"))];
    assert_eq!(objects, expected.iter().map(|(object, value)| (object, value)).collect::<Vec<_>>());
    assert_eq!(findings[1]["field"], "metadata.annotations[hypermirror.dev/node-delivery]");
    assert_eq!(
        (&findings[1]["hostedCluster"], &findings[1]["consumers"]),
        (&json!("clusters/east.one"), &json!(["Node"]))
    );
    assert_eq!(findings[1]["reason"], "MalformedObject");
}

#[test]
fn problems_of_a_guest_and_its_nodes_are_read_from_the_report() {
    let (findings, code) = check(&Files::new(&[("r.yaml", include_str!("fleet/guest-report.yaml"))]));
    let found: Vec<_> =
        findings.iter().map(|found| [&found["reason"], &found["severity"], &found["consumers"][0]]).collect();
    let expected = [
        ["NodesFailing", "Error", "Node"],
        ["BehindMirror", "Warning", "Node"],
        ["NodeIdentityUnverified", "Warning", "Node"],
        ["Shadowed", "Warning", "Node"],
    ];
    assert_eq!(found, expected.map(|row| row.map(Value::from)).iter().map(|[a, b, c]| [a, b, c]).collect::<Vec<_>>());
    assert_eq!(code, 1);
}

#[test]
fn a_map_that_is_too_large_is_an_error_once_for_each_hosted_cluster() {
    let entries: Vec<String> = (0..3000)
        .map(|n| format!("  - source: source.example/namespace/repository-{n}\n    mirrors: [mirror.example/r{n}]\n"))
        .collect();
    let large = format!(
        "apiVersion: config.openshift.io/v1\nkind: ImageDigestMirrorSet\nmetadata: {{name: large}}\nspec:\n  \
         imageDigestMirrors:\n{}",
        entries.concat()
    );
    let files = Files::new(&[("m.yaml", &large), ("c.yaml", CLUSTERS), ("d.yaml", DEPLOYMENTS)]);
    let (findings, code) = check(&files);
    let found = with_reason(&findings, "ValueTooLarge");
    assert_eq!((code, found.len()), (1, 1), "the other one ignores the management mirrors");
    assert_eq!(found[0]["object"], "HostedCluster/clusters/east.one");
}

#[test]
fn a_target_without_its_container_and_a_source_of_the_stock_argument_are_findings() {
    let odd = DEPLOYMENTS
        .replace("- name: hosted-cluster-config-operator\n        command", "- name: other\n        command")
        .replace(
            r#"args: [start, --registry-overrides, "=","#,
            "args: [start, --registry-overrides, source.example/team=x,",
        );
    let (findings, code) = check(&Files::new(&[("m.yaml", MIRRORS), ("c.yaml", CLUSTERS), ("d.yaml", &odd)]));
    assert_eq!(code, 1);
    let missing = with_reason(&findings, "ContainerMissing");
    assert_eq!(missing[0]["object"], "Deployment/clusters-east-one/hosted-cluster-config-operator");
    let taken = with_reason(&findings, "SourceTaken");
    assert_eq!((&taken[0]["severity"], taken.len()), (&json!("Warning"), 1));
}

#[test]
fn findings_that_only_the_manager_has_are_read_from_its_reports() {
    let report = r#"{"apiVersion": "hypermirror.dev/v1alpha1", "kind": "HostedClusterMirrors",
        "metadata": {"namespace": "clusters", "name": "lab"}, "spec": {}, "status": {"conditions": [
            {"type": "ControlPlaneUpToDate", "status": "False", "reason": "WriteFailed", "message": "forbidden",
             "lastTransitionTime": "2026-01-01T00:00:00Z"},
            {"type": "Ready", "status": "False", "reason": "WriteFailed", "message": "forbidden",
             "lastTransitionTime": "2026-01-01T00:00:00Z"}]}}"#;
    let (findings, code) = check(&Files::new(&[("r.json", report)]));
    assert_eq!((code, findings.len()), (1, 1));
    assert_eq!(findings[0]["field"], "status.conditions[ControlPlaneUpToDate]");
    assert_eq!(findings[0]["message"], "forbidden");
}

#[test]
fn a_fleet_without_an_admission_is_warned_once() {
    let report = |name: &str, admission: &str| {
        serde_json::json!({
            "apiVersion": "hypermirror.dev/v1alpha1", "kind": "HostedClusterMirrors",
            "metadata": {"name": name, "namespace": "clusters"}, "spec": {},
            "status": {"controlPlane": {"summary": "3/3", "admission": admission}}
        })
        .to_string()
    };
    for (admission, warnings) in [("None", 1), ("Policy", 0), ("Webhook", 0)] {
        let (a, b) = (report("a", admission), report("b", admission));
        let (findings, code) = check(&Files::new(&[("a.json", &a), ("b.json", &b)]));
        let found = findings.iter().filter(|finding| finding["reason"] == "NoAdmission");
        assert_eq!((found.count(), code), (warnings, 0), "{admission}");
    }
}

#[test]
fn a_control_plane_namespace_that_two_claim_is_an_error_that_names_both() {
    let cluster = |namespace: &str, name: &str| {
        format!(
            "apiVersion: hypershift.openshift.io/v1beta1\nkind: HostedCluster\nmetadata: {{namespace: {namespace}, name: \
             {name}}}\nspec: {{}}\n"
        )
    };
    let control_plane = "apiVersion: hypershift.openshift.io/v1beta1\nkind: HostedControlPlane\nmetadata: {namespace: \
                         clusters-a-b, name: a-b, annotations: {hypershift.openshift.io/cluster: clusters/a-b}}\nspec: {}\n";
    let (first, second) = (cluster("clusters", "a-b"), cluster("clusters-a", "b"));
    let both = [("1.yaml", first.as_str()), ("2.yaml", second.as_str())];
    let (findings, code) = check(&Files::new(&both));
    let found = with_reason(&findings, "NamespaceClaimedTwice");
    assert_eq!((code, found.len()), (1, 2), "{findings:?}");
    assert_eq!(found[0]["object"], "HostedCluster/clusters-a/b");
    assert!(found[0]["message"].as_str().unwrap().contains("also claimed by HostedCluster clusters/a-b"), "{found:?}");

    let files = Files::new(&[both[0], both[1], ("3.yaml", control_plane)]);
    let (findings, code) = check(&files);
    let found = with_reason(&findings, "NamespaceClaimedTwice");
    assert_eq!((code, found.len(), &found[0]["object"]), (1, 1, &json!("HostedCluster/clusters-a/b")), "{findings:?}");
    assert!(found[0]["message"].as_str().unwrap().contains("belongs to HostedCluster clusters/a-b"), "{found:?}");
    let status = files.run(&["status", "-f", "."]).stderr;
    assert!(status.contains("HostedCluster/clusters-a/b: nothing is written"), "{status}");
}
