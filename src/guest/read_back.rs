//! Reads back what a guest's nodes and agents say.

use hypermirror_api::NodeMirrorStatus;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::ResourceExt;
use kube::core::PartialObjectMeta;
use serde_json::Value;

use super::client::GuestClient;
use super::error::{GuestError, words};
use super::objects::NAMESPACE;
use super::summary::{GuestNode, GuestSet, ReadBack};

/// Why a kubelet lets a container wait for its image (`pkg/kubelet/images/types.go` and the errors of the CRI).
const WITHOUT_IMAGE: [&str; 7] = [
    "ErrImagePull",
    "ImagePullBackOff",
    "RegistryUnavailable",
    "SignatureValidationFailed",
    "ImageInspectError",
    "ErrImageNeverPull",
    "InvalidImageName",
];

impl GuestClient {
    /// Reads nodes and statuses.
    ///
    /// # Errors
    /// [`GuestError`].
    pub async fn read_back(&self, sets: &[GuestSet]) -> Result<ReadBack, GuestError> {
        let nodes = self.list_metadata::<Node>("/api/v1/nodes", "kubernetes.io/os!=windows");
        let statuses = self.list::<NodeMirrorStatus>("/apis/hypermirror.dev/v1alpha1/nodemirrorstatuses", "");
        let (nodes, statuses) = futures::try_join!(nodes, statuses)?;
        let nodes = nodes.into_iter().map(|node: PartialObjectMeta<Node>| GuestNode {
            name: node.name_any(),
            labels: node.metadata.labels.unwrap_or_default(),
        });
        Ok(ReadBack { nodes: nodes.collect(), sets: sets.to_vec(), statuses })
    }

    /// The nodes whose agent waits for its image, with what the kubelet says.
    ///
    /// # Errors
    /// [`GuestError`].
    pub async fn agents_without_image(&self) -> Result<Vec<(String, String)>, GuestError> {
        let path = format!("/api/v1/namespaces/{NAMESPACE}/pods");
        let pods = self.list::<Pod>(&path, "app.kubernetes.io/component=agent").await?;
        Ok(pods.iter().filter_map(waiting_for_image).collect())
    }
}

/// The node of a pod that waits for an image, and what its kubelet says.
fn waiting_for_image(pod: &Pod) -> Option<(String, String)> {
    let node = pod.spec.as_ref()?.node_name.clone()?;
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    let waiting = statuses.iter().find_map(|status| status.state.as_ref()?.waiting.as_ref())?;
    let reason = waiting.reason.as_deref()?;
    WITHOUT_IMAGE
        .contains(&reason)
        .then(|| (node, words(&format!("{reason}: {}", waiting.message.as_deref().unwrap_or_default()))))
}

/// A set as the server answered it.
pub fn guest_set(set: &Value) -> Option<GuestSet> {
    if set["kind"] != "NodeMirrorSet" {
        return None;
    }
    Some(GuestSet {
        name: set["metadata"]["name"].as_str()?.to_owned(),
        uid: set["metadata"]["uid"].as_str()?.to_owned(),
        generation: set["metadata"]["generation"].as_i64()?,
        selector: serde_json::from_value(set["spec"]["nodeSelector"].clone()).ok().flatten(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_waits_for_its_image_in_the_kubelets_words() {
        let waiting = |reason: &str| {
            let status = json!({
                "name": "agent", "image": "x", "imageID": "", "ready": false, "restartCount": 0,
                "state": {"waiting": {"reason": reason, "message": "why"}}
            });
            let pod = json!({"spec": {"nodeName": "n1", "containers": []}, "status": {"containerStatuses": [status]}});
            waiting_for_image(&serde_json::from_value(pod).unwrap())
        };
        // Seen on a real kubelet: a registry that refuses connections has a reason of its own.
        for reason in ["RegistryUnavailable", "ErrImagePull", "ImagePullBackOff"] {
            assert_eq!(waiting(reason), Some(("n1".to_owned(), format!("{reason}: why"))));
        }
        assert_eq!(waiting("ContainerCreating"), None);
    }
}
