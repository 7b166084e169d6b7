use k8s_openapi::api::batch::v1::Job;

use super::super::settings::tests::{build, rules, watched};
use super::*;

/// The Job of an ImageBuilder, decoded as the API server decodes it, and its pod.
fn rendered(more: &Value, variables: &[(&str, &str)], mounted: &Mounted) -> (Job, Value) {
    let object = watched(more);
    let (_, rules) = rules(variables, &[]);
    let build = build(more).unwrap();
    let value = job(&build, Architecture::Arm64, object.spec.as_ref().unwrap(), &rules, mounted);
    let pod = value["spec"]["template"]["spec"].clone();
    (serde_json::from_value(value).unwrap(), pod)
}

fn all() -> Mounted {
    let files = [SOURCE_KEY, MIRRORS_KEY, AUTHORITIES_KEY].map(|key| (key, String::new()));
    Mounted { files: files.into(), has_credentials: true }
}

fn containers(pod: &Value) -> [&Value; 2] {
    [&pod["initContainers"][0], &pod["containers"][0]]
}

#[test]
fn the_pod_is_in_a_user_namespace_with_what_was_measured_to_be_needed() {
    let (job, pod) = rendered(&json!({}), &[], &all());
    assert_eq!((&pod["hostUsers"], &pod["automountServiceAccountToken"]), (&json!(false), &json!(false)));
    assert_eq!(pod["securityContext"]["seccompProfile"], json!({"type": "RuntimeDefault"}));
    assert_eq!((&pod["securityContext"]["runAsNonRoot"], &pod["restartPolicy"]), (&json!(true), &json!("Never")));
    for container in containers(&pod) {
        let security = &container["securityContext"];
        let capabilities = json!({"drop": ["ALL"], "add": ["SETUID", "SETGID", "SYS_CHROOT", "SYS_ADMIN"]});
        assert_eq!(security["capabilities"], capabilities);
        assert!(security["readOnlyRootFilesystem"] == true && security.get("privileged").is_none(), "{security}");
    }
    let spec = job.spec.unwrap();
    assert_eq!((spec.backoff_limit, spec.active_deadline_seconds), (Some(1), Some(3_600)));
    assert_eq!(spec.ttl_seconds_after_finished, Some(3_600));
    let volumes = spec.template.spec.unwrap().volumes.unwrap();
    assert!(volumes.iter().all(|volume| volume.host_path.is_none()));
    let limited = volumes.iter().filter_map(|volume| volume.empty_dir.as_ref()).all(|dir| dir.size_limit.is_some());
    assert!(limited);
}

#[test]
fn another_seccomp_profile_leaves_two_capabilities() {
    let (_, pod) = rendered(&json!({}), &[("BUILDAH_SECCOMP_PROFILE", "Localhost/b.json")], &all());
    assert_eq!(pod["securityContext"]["seccompProfile"], json!({"type": "Localhost", "localhostProfile": "b.json"}));
    for container in containers(&pod) {
        assert_eq!(container["securityContext"]["capabilities"]["add"], json!(["SETUID", "SETGID"]));
    }
    let (_, pod) = rendered(&json!({}), &[("BUILDAH_SELINUX_TYPE", "container_engine_t")], &all());
    assert_eq!(pod["securityContext"]["seLinuxOptions"], json!({"type": "container_engine_t"}));
}

#[test]
fn only_the_documented_variable_makes_a_pod_privileged() {
    let (_, pod) = rendered(&json!({}), &[("BUILDAH_PRIVILEGED_CONTAINER", "true")], &all());
    assert!(pod.get("hostUsers").is_none() && pod["automountServiceAccountToken"] == false);
    for container in containers(&pod) {
        assert_eq!(container["securityContext"], json!({"privileged": true}));
    }
    let (_, pod) = rendered(&json!({}), &[("BUILDAH_PRIVILEGED_CONTAINER", "false")], &all());
    assert!(!pod.to_string().contains("privileged"));
}

#[test]
fn the_architecture_is_that_of_the_node_and_of_the_image() {
    let (_, pod) = rendered(&json!({}), &[], &all());
    let terms = &pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    let expressions = &terms["nodeSelectorTerms"][0]["matchExpressions"];
    assert_eq!(expressions[0], json!({"key": "kubernetes.io/arch", "operator": "In", "values": ["arm64"]}));
    let [build, push] = containers(&pod);
    assert!(build["args"].as_array().unwrap().contains(&json!("linux/arm64")));
    assert_eq!(push["args"].as_array().unwrap().last(), Some(&json!("docker://r.example/team/node:22-updated-arm64")));
}

#[test]
fn resources_are_those_of_the_spec_in_both_containers() {
    let amounts = json!({"limits": {"cpu": "1000m", "memory": "2Gi"}, "requests": {"cpu": "500m", "memory": "1Gi"}});
    let (_, pod) = rendered(&json!({"resources": amounts}), &[], &all());
    for container in containers(&pod) {
        assert_eq!(container["resources"], amounts);
    }
    let (_, pod) = rendered(&json!({"resources": {"limits": {"memory": "1Gi"}}}), &[], &all());
    assert_eq!(containers(&pod)[0]["resources"], json!({"limits": {"memory": "1Gi"}}));
    let (_, pod) = rendered(&json!({"storageLimit": "3Gi", "deadlineSeconds": 60}), &[], &all());
    assert_eq!(pod["volumes"][0]["emptyDir"]["sizeLimit"], "3Gi");
}

#[test]
fn hostile_text_reaches_a_file_and_no_command_line() {
    let source = "FROM a\nRUN $(canary); `canary` --canary\n";
    let (_, pod) =
        rendered(&json!({"source": source, "image": {"credentialsSecret": {"name": "canary"}}}), &[], &all());
    assert!(!pod.to_string().contains("canary"), "{pod}");
    for container in containers(&pod) {
        assert_eq!(container["command"], json!(["buildah"]));
        let names = container["env"].as_array().unwrap().iter().map(|variable| variable["name"].as_str().unwrap());
        assert_eq!(names.collect::<Vec<_>>(), ["HOME", "REGISTRY_AUTH_FILE", "SSL_CERT_DIR"]);
    }
}

#[test]
fn what_is_not_there_is_not_mounted() {
    let mut mounted = all();
    mounted.files.remove(AUTHORITIES_KEY);
    mounted.has_credentials = false;
    let (_, pod) = rendered(&json!({}), &[], &mounted);
    let text = pod.to_string();
    assert!(!text.contains("secret") && !text.contains("SSL_CERT_DIR") && !text.contains("ca.crt"), "{text}");
    let (_, pod) = rendered(&json!({"image": {"plainHttp": true}}), &[], &mounted);
    let push = containers(&pod)[1]["args"].as_array().unwrap().clone();
    assert!(push.contains(&json!("--tls-verify=false")));
}

#[test]
fn objects_belong_to_their_image_builder_only_within_a_namespace() {
    let own = build(&json!({})).unwrap();
    let reference = owner(&own).unwrap();
    assert_eq!((reference.kind.as_str(), reference.uid.as_str()), ("ImageBuilder", "u"));
    let elsewhere = Build { namespace: "builds".to_owned(), ..own };
    assert!(owner(&elsewhere).is_none());
    let metadata = metadata(&elsewhere, Architecture::Amd64, None);
    assert_eq!(metadata.labels.unwrap()[names::IMAGE_BUILDER_LABEL], "u");
    assert_eq!(metadata.annotations.unwrap()[annotations::IMAGE_BUILDER], "team/node.updated");
}

#[test]
fn config_maps_and_secrets_are_immutable() {
    assert_eq!(config_map(&all())["immutable"], true);
    assert_eq!(secret("{}")["immutable"], true);
}
