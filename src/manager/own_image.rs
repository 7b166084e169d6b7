//! Detects the image of the manager's own pod by digest, which agents use as well.

use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client};

use super::options::parse_agent_image;
use crate::client::cause::Cause;
use crate::client::deadline::answered;

/// The name of the container in `manifests/base`.
const CONTAINER: &str = "manager";

/// The image of the own pod. `None` outside a pod, or if the status has no digest.
pub async fn find(client: &Client, namespace: &str) -> Option<String> {
    let name = std::env::var("POD_NAME").ok()?;
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    match answered(pods.get_opt(&name)).await {
        Ok(pod) => image(&pod?),
        Err(error) => {
            tracing::warn!(name, error = %Cause(&error), "failed to read the manager's own pod; set --agent-image to the image of the agent");
            None
        }
    }
}

fn image(pod: &Pod) -> Option<String> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    let status = statuses.iter().find(|status| status.name == CONTAINER)?;
    // Some runtimes add a prefix: `docker-pullable://name@sha256:…`.
    let image = status.image_id.rsplit_once("://").map_or(status.image_id.as_str(), |(_, image)| image);
    parse_agent_image(image).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_image_needs_a_name_and_a_digest() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let of = |id: String| {
            let pod = json!({"status": {"containerStatuses": [
                {"name": "manager", "image": "x", "imageID": id, "ready": true, "restartCount": 0}
            ]}});
            image(&serde_json::from_value(pod).unwrap())
        };
        let name = format!("quay.example/hypermirror@{digest}");
        assert_eq!(of(name.clone()), Some(name.clone()));
        assert_eq!(of(format!("docker-pullable://{name}")), Some(name));
        assert_eq!(of(digest), None, "an image without a name cannot be pulled");
        assert_eq!(of(String::new()), None);
    }
}
