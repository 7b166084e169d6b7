//! What a pod says about the images of its containers. Pure.

use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod};
use schemars::JsonSchema;
use serde::Serialize;

/// Reasons with which the kubelet reports that an image cannot be pulled (`pkg/kubelet/images/types.go` and the errors of
/// `k8s.io/cri-api/pkg/errors`).
const CANNOT_PULL: [&str; 7] = [
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    NEVER_PULLED,
    "ImageInspectError",
    "RegistryUnavailable",
    SIGNATURE_REFUSED,
];
/// The reason of a container whose `imagePullPolicy` is Never.
pub const NEVER_PULLED: &str = "ErrImageNeverPull";
/// The reason of a container whose image has no signature that the node's policy accepts.
pub const SIGNATURE_REFUSED: &str = "SignatureValidationFailed";

/// Which list of the pod a container is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub enum ContainerKind {
    /// `spec.initContainers`.
    Init,
    /// `spec.containers`.
    Container,
    /// `spec.ephemeralContainers`.
    Ephemeral,
}

/// How far the kubelet is with the image of a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "state", rename_all_fields = "camelCase")]
pub enum PullState {
    /// The node has it.
    Pulled,
    /// The kubelet has not reported anything, or waits for something else, such as init containers.
    NotTried,
    /// The kubelet cannot have it.
    Failing {
        /// The kubelet's reason, such as `ImagePullBackOff`.
        waiting_reason: String,
        /// The kubelet's message.
        #[serde(skip_serializing_if = "String::is_empty")]
        waiting_message: String,
    },
}

/// A container, as far as its image is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodContainer {
    /// Its name.
    pub name: String,
    /// Its list.
    pub kind: ContainerKind,
    /// Its image, as the pod has it.
    pub image: String,
    /// How far the kubelet is.
    pub pull: PullState,
}

/// The containers of a pod, in the order in which they start.
pub fn containers(pod: &Pod) -> Vec<PodContainer> {
    let (Some(spec), status) = (&pod.spec, pod.status.as_ref()) else { return Vec::new() };
    let container = |kind, name: &String, image: &Option<String>, statuses: Option<&Vec<ContainerStatus>>| {
        let status = statuses.into_iter().flatten().find(|status| status.name == *name);
        let pull = status.map_or(PullState::NotTried, pull_state);
        PodContainer { name: name.clone(), kind, image: image.clone().unwrap_or_default(), pull }
    };
    let of_init = status.and_then(|status| status.init_container_statuses.as_ref());
    let of_containers = status.and_then(|status| status.container_statuses.as_ref());
    let of_ephemeral = status.and_then(|status| status.ephemeral_container_statuses.as_ref());
    let mut found = Vec::new();
    for one in spec.init_containers.iter().flatten() {
        found.push(container(ContainerKind::Init, &one.name, &one.image, of_init));
    }
    for one in &spec.containers {
        found.push(container(ContainerKind::Container, &one.name, &one.image, of_containers));
    }
    for one in spec.ephemeral_containers.iter().flatten() {
        found.push(container(ContainerKind::Ephemeral, &one.name, &one.image, of_ephemeral));
    }
    found
}

fn pull_state(status: &ContainerStatus) -> PullState {
    let waiting = status.state.as_ref().and_then(|state: &ContainerState| state.waiting.as_ref());
    let reason = waiting.and_then(|waiting| waiting.reason.clone()).unwrap_or_default();
    if CANNOT_PULL.contains(&reason.as_str()) {
        let message = waiting.and_then(|waiting| waiting.message.clone()).unwrap_or_default();
        return PullState::Failing { waiting_reason: reason, waiting_message: message };
    }
    // Empty until the container runtime has the image.
    if status.image_id.is_empty() { PullState::NotTried } else { PullState::Pulled }
}

/// The names of the Secrets in `imagePullSecrets`. Admission has added those of the ServiceAccount.
pub fn pull_secrets(pod: &Pod) -> Vec<String> {
    let references = pod.spec.iter().flat_map(|spec| spec.image_pull_secrets.iter().flatten());
    references.map(|reference| reference.name.clone()).filter(|name| !name.is_empty()).collect()
}

/// The node of a pod, if it has one.
pub fn node_of(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref().filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_kind_of_container_has_the_state_that_the_kubelet_reported() {
        let waiting = |name: &str, reason: &str| {
            json!({"name": name, "image": "", "imageID": "", "ready": false, "restartCount": 0,
                "state": {"waiting": {"reason": reason, "message": "why"}}})
        };
        let pod: Pod = serde_json::from_value(json!({
            "spec": {
                "nodeName": "n", "imagePullSecrets": [{"name": "a"}, {"name": ""}],
                "initContainers": [{"name": "init", "image": "q.example/init:1"}],
                "containers": [{"name": "app", "image": "q.example/app:1"}, {"name": "new", "image": "q.example/new:1"}],
                "ephemeralContainers": [{"name": "debug", "image": "q.example/debug:1"}]
            },
            "status": {
                "initContainerStatuses": [{"name": "init", "image": "", "imageID": "q.example/init@sha256:00",
                    "ready": true, "restartCount": 0, "state": {"terminated": {"exitCode": 0}}}],
                "containerStatuses": [waiting("app", "ImagePullBackOff"), waiting("new", "ContainerCreating")],
                "ephemeralContainerStatuses": [waiting("debug", "ErrImagePull")]
            }
        }))
        .unwrap();
        let failing =
            |reason: &str| PullState::Failing { waiting_reason: reason.to_owned(), waiting_message: "why".to_owned() };
        let found: Vec<_> = containers(&pod).into_iter().map(|it| (it.name, it.kind, it.pull)).collect();
        assert_eq!(
            found,
            [
                ("init".to_owned(), ContainerKind::Init, PullState::Pulled),
                ("app".to_owned(), ContainerKind::Container, failing("ImagePullBackOff")),
                ("new".to_owned(), ContainerKind::Container, PullState::NotTried),
                ("debug".to_owned(), ContainerKind::Ephemeral, failing("ErrImagePull")),
            ]
        );
        assert_eq!((node_of(&pod), pull_secrets(&pod)), (Some("n"), vec!["a".to_owned()]));
        assert!(containers(&Pod::default()).is_empty());
    }
}
