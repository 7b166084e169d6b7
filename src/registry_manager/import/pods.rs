//! Pods, as far as imports need them: which images their containers cannot pull. Pure.
//!
//! Only these fields of a pod are decoded, and only pods that fail are kept: memory does not grow with the cluster.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::Deserialize;

/// Reasons of containers that wait because their image cannot be pulled.
const FAILING: [&str; 2] = ["ErrImagePull", "ImagePullBackOff"];

/// A pod.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct PodView {
    metadata: ObjectMeta,
    spec: Containers,
    status: Statuses,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(clippy::struct_field_names, reason = "names of the API")]
struct Containers {
    containers: Vec<Container>,
    init_containers: Vec<Container>,
    ephemeral_containers: Vec<Container>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Container {
    name: String,
    image: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(clippy::struct_field_names, reason = "names of the API")]
struct Statuses {
    container_statuses: Vec<ContainerStatus>,
    init_container_statuses: Vec<ContainerStatus>,
    ephemeral_container_statuses: Vec<ContainerStatus>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct ContainerStatus {
    name: String,
    state: State,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct State {
    waiting: Option<Waiting>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Waiting {
    reason: String,
}

impl Resource for PodView {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        "Pod".into()
    }

    fn group((): &()) -> Cow<'_, str> {
        "".into()
    }

    fn version((): &()) -> Cow<'_, str> {
        "v1".into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        "pods".into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// A pod that cannot pull.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailingPod {
    /// Its UID.
    pub uid: String,
    /// The images that its containers wait for, as the spec names them.
    pub images: BTreeSet<String>,
}

/// The name of a pod, and whether it cannot pull.
pub type SeenPod = (String, Option<FailingPod>);

impl PodView {
    /// Its name, and what it cannot pull.
    pub fn seen(&self) -> SeenPod {
        let statuses = [
            &self.status.container_statuses,
            &self.status.init_container_statuses,
            &self.status.ephemeral_container_statuses,
        ];
        let is_failing = |status: &&ContainerStatus| {
            status.state.waiting.as_ref().is_some_and(|waiting| FAILING.contains(&waiting.reason.as_str()))
        };
        let failing: BTreeSet<&str> =
            statuses.into_iter().flatten().filter(is_failing).map(|status| status.name.as_str()).collect();
        let specs = [&self.spec.containers, &self.spec.init_containers, &self.spec.ephemeral_containers];
        let of_failing = specs.into_iter().flatten().filter(|container| failing.contains(container.name.as_str()));
        // From the spec: the status has the image's name as the runtime resolved it.
        let images: BTreeSet<String> = of_failing.map(|container| container.image.clone()).collect();
        let is_alive = self.metadata.deletion_timestamp.is_none();
        let uid = self.metadata.uid.clone().unwrap_or_default();
        let failing = (is_alive && !images.is_empty()).then_some(FailingPod { uid, images });
        (self.metadata.name.clone().unwrap_or_default(), failing)
    }
}

/// The pods of one namespace that cannot pull.
pub type NamespacePods = BTreeMap<String, FailingPod>;

/// A pod by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PodName {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn seen(pod: &Value) -> SeenPod {
        serde_json::from_value::<PodView>(pod.clone()).unwrap().seen()
    }

    fn pod(reason: &str) -> Value {
        json!({
            "metadata": {"name": "web", "uid": "u", "labels": {"a": "b"}},
            "spec": {
                "nodeName": "n",
                "containers": [{"name": "app", "image": "registry.corp/a:1"}, {"name": "side", "image": "registry.corp/b:1"}],
                "initContainers": [{"name": "init", "image": "registry.corp/c:1"}],
            },
            "status": {
                "phase": "Pending",
                "containerStatuses": [
                    {"name": "app", "image": "elsewhere.example/x:1", "state": {"waiting": {"reason": reason, "message": "…"}}},
                    {"name": "side", "image": "registry.corp/b:1", "state": {"running": {}}},
                ],
            },
        })
    }

    #[test]
    fn a_pod_fails_if_a_container_waits_for_its_image_and_the_spec_names_that() {
        for reason in FAILING {
            let (name, failing) = seen(&pod(reason));
            let failing = failing.unwrap();
            assert_eq!((&*name, &*failing.uid), ("web", "u"));
            assert_eq!(failing.images, BTreeSet::from(["registry.corp/a:1".to_owned()]));
        }
        for reason in ["ContainerCreating", "CrashLoopBackOff", "InvalidImageName", ""] {
            assert_eq!(seen(&pod(reason)).1, None, "{reason}");
        }
    }

    #[test]
    fn init_containers_count_and_pods_that_end_do_not() {
        let mut init = pod("PodInitializing");
        init["status"]["initContainerStatuses"] =
            json!([{"name": "init", "state": {"waiting": {"reason": "ErrImagePull"}}}]);
        assert_eq!(seen(&init).1.unwrap().images, BTreeSet::from(["registry.corp/c:1".to_owned()]));
        init["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        assert_eq!(seen(&init).1, None);
    }
}
