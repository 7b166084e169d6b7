//! The objects of a build: a Job for each architecture, and what its pod mounts. They are made once and never changed. Pure.

use std::collections::BTreeMap;

use hypermirror_api::image_builder::{DEFAULT_DEADLINE_SECONDS, DEFAULT_STORAGE_LIMIT, ResourceAmounts};
use hypermirror_api::{ImageBuilderSpec, annotations, names};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use serde_json::{Map, Value, json};

use super::environment::SeccompProfile;
use super::settings::{Architecture, Build, BuildRules};

/// The container that builds.
pub const BUILD: &str = "build";
/// The container that pushes. Its termination message is the digest.
pub const PUSH: &str = "push";
/// The key of the credentials in their Secret.
pub const AUTH_KEY: &str = "auth.json";
/// The key of the Dockerfile in the ConfigMap.
pub const SOURCE_KEY: &str = "Dockerfile";
/// The key of the mirrors in the ConfigMap.
pub const MIRRORS_KEY: &str = "registries.conf";
/// The key of the authorities in the ConfigMap.
pub const AUTHORITIES_KEY: &str = "ca.crt";
/// Times that a pod is replaced: a node may be lost, but most failures are the Dockerfile's.
const RETRIES: i64 = 1;
/// Seconds after which a Job is removed in any case. This process removes those that succeeded sooner.
const TTL_SECONDS: i64 = 3_600;
/// The user of Buildah's image, with ranges of subordinate IDs.
const USER: i64 = 1_000;
/// Where the image lies between the two containers.
const LOCAL_IMAGE: &str = "localhost/build:latest";
/// Where the kubelet reads the digest.
const TERMINATION_LOG: &str = "/dev/termination-log";
/// Where images are stored.
const STORAGE: &str = "/var/lib/containers";
/// Where the Secret with credentials is mounted.
const AUTH: &str = "/run/hypermirror/auth";
/// Where the authorities are mounted, beside those of the image.
const AUTHORITIES: &str = "/run/hypermirror/ca";

/// What a pod mounts besides its storage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mounted {
    /// The keys and texts of the ConfigMap.
    pub files: BTreeMap<&'static str, String>,
    /// Whether there is a Secret with credentials.
    pub has_credentials: bool,
}

/// The metadata of each object of a build.
pub fn metadata(build: &Build, architecture: Architecture, owner: Option<OwnerReference>) -> ObjectMeta {
    let text = |text: &str| text.to_owned();
    let labels = labels(build);
    ObjectMeta {
        name: Some(build.job_name(architecture)),
        namespace: Some(build.namespace.clone()),
        labels: Some(labels.into_iter().map(|(name, value)| (text(name), value)).collect()),
        annotations: Some([(text(annotations::IMAGE_BUILDER), build.owner.to_string())].into()),
        owner_references: owner.map(|owner| vec![owner]),
        ..ObjectMeta::default()
    }
}

/// The ImageBuilder as the owner of a Job. There is none across namespaces: the garbage collector would remove the Job.
pub fn owner(build: &Build) -> Option<OwnerReference> {
    let owner = OwnerReference {
        api_version: "buildah.io/v1alpha1".to_owned(),
        kind: "ImageBuilder".to_owned(),
        name: build.owner.name.clone(),
        uid: build.uid.clone(),
        controller: Some(true),
        block_owner_deletion: None,
    };
    (build.namespace == build.owner.namespace).then_some(owner)
}

fn labels(build: &Build) -> BTreeMap<&'static str, String> {
    [
        ("app.kubernetes.io/managed-by", names::REGISTRY_FIELD_MANAGER.to_owned()),
        (names::IMAGE_BUILDER_LABEL, build.uid.clone()),
    ]
    .into()
}

/// The ConfigMap without its metadata.
pub fn config_map(mounted: &Mounted) -> Value {
    json!({"immutable": true, "data": mounted.files})
}

/// The Secret without its metadata.
pub fn secret(auth: &str) -> Value {
    json!({"immutable": true, "type": "Opaque", "stringData": {AUTH_KEY: auth}})
}

/// The Job without its metadata.
pub fn job(
    build: &Build,
    architecture: Architecture,
    spec: &ImageBuilderSpec,
    rules: &BuildRules,
    mounted: &Mounted,
) -> Value {
    let annotations = json!({annotations::IMAGE_BUILDER: build.owner.to_string()});
    json!({"spec": {
        "backoffLimit": RETRIES,
        "activeDeadlineSeconds": spec.deadline_seconds.unwrap_or(DEFAULT_DEADLINE_SECONDS),
        "ttlSecondsAfterFinished": TTL_SECONDS,
        "template": {
            "metadata": {"labels": labels(build), "annotations": annotations},
            "spec": pod(build, architecture, spec, rules, mounted),
        },
    }})
}

fn pod(
    build: &Build,
    architecture: Architecture,
    spec: &ImageBuilderSpec,
    rules: &BuildRules,
    mounted: &Mounted,
) -> Value {
    let node = json!([
        {"key": "kubernetes.io/arch", "operator": "In", "values": [architecture.as_str()]},
        {"key": "kubernetes.io/os", "operator": "In", "values": ["linux"]},
    ]);
    let container = |name: &str, arguments: Vec<String>| {
        json!({
            "name": name,
            "image": rules.environment.image,
            // Nothing of it passes a shell.
            "command": ["buildah"],
            "args": arguments,
            "env": variables(mounted),
            "resources": resources(spec),
            "securityContext": container_security(rules),
            "volumeMounts": mounts(build.job_name(architecture).as_str(), mounted),
        })
    };
    let mut pod = json!({
        "restartPolicy": "Never",
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchExpressions": node}],
        }}},
        "securityContext": pod_security(rules),
        "initContainers": [container(BUILD, build_arguments(architecture, rules))],
        "containers": [container(PUSH, push_arguments(build, architecture, rules))],
        "volumes": volumes(build, architecture, spec, mounted),
    });
    if !rules.environment.is_privileged {
        pod["hostUsers"] = json!(false);
    }
    pod
}

fn storage_arguments(rules: &BuildRules) -> Vec<String> {
    let driver = rules.environment.storage_driver.as_str();
    let (root, run) = (format!("{STORAGE}/storage"), format!("{STORAGE}/run"));
    ["--root", &root, "--runroot", &run, "--storage-driver", driver].map(str::to_owned).to_vec()
}

fn build_arguments(architecture: Architecture, rules: &BuildRules) -> Vec<String> {
    let platform = format!("linux/{}", architecture.as_str());
    let file = format!("/build/{SOURCE_KEY}");
    let own =
        ["build", "--isolation", "chroot", "--platform", &platform, "--file", &file, "--tag", LOCAL_IMAGE, "/build"];
    storage_arguments(rules).into_iter().chain(own.map(str::to_owned)).collect()
}

fn push_arguments(build: &Build, architecture: Architecture, rules: &BuildRules) -> Vec<String> {
    let destination = format!("docker://{}:{}", build.end.repository, build.tag_of(architecture));
    let mut arguments = storage_arguments(rules);
    arguments.extend(["push", "--digestfile", TERMINATION_LOG].map(str::to_owned));
    let is_plain = build.end.repository.registry.base().scheme() == "http";
    if is_plain || build.end.skips_verification {
        arguments.push("--tls-verify=false".to_owned());
    }
    arguments.extend([LOCAL_IMAGE.to_owned(), destination]);
    arguments
}

fn variables(mounted: &Mounted) -> Value {
    let mut variables = vec![json!({"name": "HOME", "value": "/tmp"})];
    if mounted.has_credentials {
        variables.push(json!({"name": "REGISTRY_AUTH_FILE", "value": format!("{AUTH}/{AUTH_KEY}")}));
    }
    if mounted.files.contains_key(AUTHORITIES_KEY) {
        // Beside the directories in which distributions have their own.
        let directories = format!("{AUTHORITIES}:/etc/ssl/certs:/etc/pki/tls/certs");
        variables.push(json!({"name": "SSL_CERT_DIR", "value": directories}));
    }
    Value::Array(variables)
}

fn resources(spec: &ImageBuilderSpec) -> Value {
    let amounts = |amounts: Option<&ResourceAmounts>| {
        let all = amounts.map(|amounts| [("cpu", &amounts.cpu), ("memory", &amounts.memory)]);
        let given = all.into_iter().flatten().filter_map(|(name, amount)| Some((name, amount.as_ref()?)));
        let map: Map<String, Value> = given.map(|(name, amount)| (name.to_owned(), json!(amount))).collect();
        (!map.is_empty()).then_some(Value::Object(map))
    };
    let given = spec.resources.as_ref();
    let mut resources = Map::new();
    for (name, amounts) in [
        ("limits", amounts(given.and_then(|given| given.limits.as_ref()))),
        ("requests", amounts(given.and_then(|given| given.requests.as_ref()))),
    ] {
        resources.extend(amounts.map(|amounts| (name.to_owned(), amounts)));
    }
    Value::Object(resources)
}

fn pod_security(rules: &BuildRules) -> Value {
    if rules.environment.is_privileged {
        return json!({"runAsUser": 0});
    }
    let profile = match &rules.environment.seccomp {
        SeccompProfile::RuntimeDefault => json!({"type": "RuntimeDefault"}),
        SeccompProfile::Unconfined => json!({"type": "Unconfined"}),
        SeccompProfile::Localhost(file) => json!({"type": "Localhost", "localhostProfile": file}),
    };
    let mut security = json!({
        "runAsNonRoot": true, "runAsUser": USER, "runAsGroup": USER, "fsGroup": USER, "seccompProfile": profile,
    });
    if let Some(kind) = &rules.environment.selinux_type {
        security["seLinuxOptions"] = json!({"type": kind});
    }
    security
}

fn container_security(rules: &BuildRules) -> Value {
    if rules.environment.is_privileged {
        return json!({"privileged": true});
    }
    // newuidmap and newgidmap have these two as file capabilities, and set up the namespace in which Buildah is root.
    let mut capabilities = vec!["SETUID", "SETGID"];
    if rules.environment.seccomp == SeccompProfile::RuntimeDefault {
        // The filters of CRI-O and containerd refuse unshare, mount and chroot, also in that namespace, to containers that may not
        // have these two. The processes of a user that is not root do not have them.
        capabilities.extend(["SYS_CHROOT", "SYS_ADMIN"]);
    }
    json!({
        // Without it, the kernel ignores file capabilities.
        "allowPrivilegeEscalation": true,
        "readOnlyRootFilesystem": true,
        "capabilities": {"drop": ["ALL"], "add": capabilities},
    })
}

fn mounts(name: &str, mounted: &Mounted) -> Value {
    let file = |key: &str, path: String| json!({"name": "files", "mountPath": path, "subPath": key, "readOnly": true});
    let mut mounts = vec![
        json!({"name": "storage", "mountPath": STORAGE}),
        json!({"name": "tmp", "mountPath": "/tmp"}),
        json!({"name": "tmp", "mountPath": "/var/tmp"}),
        file(SOURCE_KEY, format!("/build/{SOURCE_KEY}")),
        file(MIRRORS_KEY, format!("/etc/containers/{MIRRORS_KEY}")),
    ];
    if mounted.files.contains_key(AUTHORITIES_KEY) {
        mounts.push(file(AUTHORITIES_KEY, format!("{AUTHORITIES}/{name}.crt")));
    }
    if mounted.has_credentials {
        mounts.push(json!({"name": "auth", "mountPath": AUTH, "readOnly": true}));
    }
    Value::Array(mounts)
}

fn volumes(build: &Build, architecture: Architecture, spec: &ImageBuilderSpec, mounted: &Mounted) -> Value {
    let name = build.job_name(architecture);
    let limit = spec.storage_limit.as_deref().unwrap_or(DEFAULT_STORAGE_LIMIT);
    let mut volumes = vec![
        json!({"name": "storage", "emptyDir": {"sizeLimit": limit}}),
        json!({"name": "tmp", "emptyDir": {"sizeLimit": limit}}),
        json!({"name": "files", "configMap": {"name": name}}),
    ];
    if mounted.has_credentials {
        volumes.push(json!({"name": "auth", "secret": {"secretName": name, "defaultMode": 0o440}}));
    }
    Value::Array(volumes)
}

#[cfg(test)]
mod tests;
