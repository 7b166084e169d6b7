//! Reads the status of nodes and agents.

use hypermirror_api::names;
use serde::Deserialize;
use serde_json::Value;

use super::client::GuestClient;
use super::error::{GuestError, words};
use super::few::Few;
use super::objects::NAMESPACE;
use super::summary::{AgentStatus, GuestSet, Summary, Tally};

/// Reasons of a kubelet for a container that waits for its image (`pkg/kubelet/images/types.go` and the errors of the CRI).
const WITHOUT_IMAGE: [&str; 7] = [
    "ErrImagePull",
    "ImagePullBackOff",
    "RegistryUnavailable",
    "SignatureValidationFailed",
    "ImageInspectError",
    "ErrImageNeverPull",
    "InvalidImageName",
];

/// The fields of a node that select its sets.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Node {
    metadata: NodeMeta,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NodeMeta {
    name: String,
    labels: Option<NodeLabels>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NodeLabels {
    #[serde(rename = "hypershift.openshift.io/nodePool")]
    pool: Option<String>,
}

/// The fields of a pod that show why it waits.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Pod {
    spec: PodSpec,
    status: PodStatus,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PodSpec {
    node_name: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PodStatus {
    container_statuses: Few<ContainerStatus, 4>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ContainerStatus {
    state: Option<ContainerState>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ContainerState {
    waiting: Option<Waiting>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Waiting {
    reason: Option<String>,
    message: Option<String>,
}

/// The resources of an API group.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Resources {
    resources: Few<Resource, 1024>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Resource {
    name: String,
}

impl GuestClient {
    /// Whether an API group and version serves a resource.
    ///
    /// # Errors
    /// [`GuestError`].
    pub async fn serves(&self, group: &str, resource: &str) -> Result<bool, GuestError> {
        let found = self.get::<Resources>(&format!("/apis/{group}")).await?.unwrap_or_default();
        Ok(found.resources.iter().any(|found| found.name == resource))
    }

    /// Summarizes the state of nodes for these sets.
    ///
    /// # Errors
    /// [`GuestError`].
    pub async fn read_back(&self, sets: &[GuestSet]) -> Result<Summary, GuestError> {
        let mut tally = Tally::new(sets);
        let add = |node: Node| {
            let pool = node.metadata.labels.unwrap_or_default().pool;
            let labels = pool.map(|pool| (names::NODE_POOL_LABEL.to_owned(), pool));
            tally.node(&node.metadata.name, &labels.into_iter().collect());
        };
        self.each_metadata("/api/v1/nodes", "kubernetes.io/os!=windows", add).await?;
        let add = |status: AgentStatus| tally.status(&status);
        self.each("/apis/hypermirror.dev/v1alpha1/nodemirrorstatuses", "", add).await?;
        Ok(tally.finish())
    }

    /// The first node whose agent waits for its image, with the kubelet's message.
    ///
    /// # Errors
    /// [`GuestError`].
    pub async fn agent_without_image(
        &self,
        is_silent: impl Fn(&str) -> bool + Send + Sync,
    ) -> Result<Option<(String, String)>, GuestError> {
        let path = format!("/api/v1/namespaces/{NAMESPACE}/pods");
        let mut first = None;
        let find = |pod: Pod| {
            if first.is_none() {
                first = waiting_for_image(&pod).filter(|(node, _)| is_silent(node));
            }
        };
        self.each(&path, "app.kubernetes.io/component=agent", find).await?;
        Ok(first)
    }
}

/// The node of a pod that waits for an image, and the kubelet's message.
fn waiting_for_image(pod: &Pod) -> Option<(String, String)> {
    let node = pod.spec.node_name.clone()?;
    let statuses = &pod.status.container_statuses;
    let waiting = statuses.iter().find_map(|status| status.state.as_ref()?.waiting.as_ref())?;
    let reason = waiting.reason.as_deref()?;
    WITHOUT_IMAGE
        .contains(&reason)
        .then(|| (node, words(&format!("{reason}: {}", waiting.message.as_deref().unwrap_or_default()))))
}

/// Decodes a set.
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
