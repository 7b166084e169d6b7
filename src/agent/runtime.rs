//! Which container runtime the node has.

use k8s_openapi::api::core::v1::Node;
use kube::core::{ApiResource, NotUsed, Object};
use kube::{Api, Client};
use serde::Deserialize;

use crate::client::cause::Cause;
use crate::client::deadline::answered;
use crate::process::flags::RuntimeChoice;

/// A container runtime that the agent configures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuntimeKind {
    /// CRI-O.
    Crio,
    /// containerd.
    Containerd,
}

/// Why the runtime is not known. Nothing is written then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuntimeError {
    /// The Node reports another runtime.
    #[error("the container runtime of this node is {0}; the agent supports CRI-O and containerd")]
    Unsupported(String),
    /// The files of two runtimes exist.
    #[error(
        "the node has files of CRI-O ({crio}) and of containerd ({containerd}), and its Node does not report the runtime; \
                 set --runtime=crio or --runtime=containerd"
    )]
    Ambiguous {
        /// A path of CRI-O.
        crio: String,
        /// A path of containerd.
        containerd: String,
    },
    /// No file exists.
    #[error(
        "the container runtime of this node is unknown: its Node does not report one, and no file of CRI-O or containerd \
                 exists below --root; set --runtime=crio or --runtime=containerd"
    )]
    Unknown,
}

/// Files of the runtimes that exist on the node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuntimeFiles {
    /// A path that only CRI-O creates.
    pub crio: Option<String>,
    /// A path that only containerd creates.
    pub containerd: Option<String>,
    /// A path that CRI-O reads, and podman as well.
    pub containers: Option<String>,
}

/// Selects the runtime. `reported` is the Node's `status.nodeInfo.containerRuntimeVersion`, such as `cri-o://1.36.3`.
///
/// # Errors
/// [`RuntimeError`].
pub fn select(reported: &str, files: &RuntimeFiles) -> Result<RuntimeKind, RuntimeError> {
    match reported.split_once("://") {
        Some(("cri-o", _)) => return Ok(RuntimeKind::Crio),
        Some(("containerd", _)) => return Ok(RuntimeKind::Containerd),
        Some(_) => return Err(RuntimeError::Unsupported(reported.to_owned())),
        None => {}
    }
    match (&files.crio, &files.containerd, &files.containers) {
        (Some(crio), Some(containerd), _) => {
            Err(RuntimeError::Ambiguous { crio: crio.clone(), containerd: containerd.clone() })
        }
        (None, Some(_), _) => Ok(RuntimeKind::Containerd),
        (Some(_), None, _) | (None, None, Some(_)) => Ok(RuntimeKind::Crio),
        (None, None, None) => Err(RuntimeError::Unknown),
    }
}

/// The runtime that the flag or the node selects.
///
/// # Errors
/// [`RuntimeError`].
pub async fn of_node(
    choice: RuntimeChoice,
    files: &RuntimeFiles,
    client: &Client,
    node: &str,
) -> Result<RuntimeKind, RuntimeError> {
    match choice {
        RuntimeChoice::Crio => Ok(RuntimeKind::Crio),
        RuntimeChoice::Containerd => Ok(RuntimeKind::Containerd),
        RuntimeChoice::Auto => {
            let reported = reported(client, node).await.unwrap_or_else(|error| {
                tracing::warn!(error = %Cause(&error), "failed to read the Node; its files show the container runtime");
                String::new()
            });
            select(&reported, files)
        }
    }
}

/// The relevant part of a Node's status.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RuntimeStatus {
    node_info: NodeInfo,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct NodeInfo {
    container_runtime_version: String,
}

async fn reported(client: &Client, node: &str) -> kube::Result<String> {
    let api: Api<Object<NotUsed, RuntimeStatus>> = Api::all_with(client.clone(), &ApiResource::erase::<Node>(&()));
    let node = answered(api.get_opt(node)).await?;
    Ok(node.and_then(|node| node.status).unwrap_or_default().node_info.container_runtime_version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_node_decides_and_files_only_if_it_reports_nothing() {
        let path = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let files = |crio: &str, containerd: &str, containers: &str| RuntimeFiles {
            crio: path(crio),
            containerd: path(containerd),
            containers: path(containers),
        };
        let (crio, containerd) = (Ok(RuntimeKind::Crio), Ok(RuntimeKind::Containerd));
        for (reported, files, expected) in [
            ("cri-o://1.36.3", files("/c", "/d", "/e"), crio.clone()),
            ("containerd://1.6.20~ds1", files("/c", "", "/e"), containerd.clone()),
            ("", files("/c", "", ""), crio.clone()),
            ("", files("", "/d", ""), containerd.clone()),
            // podman is installed on many nodes with containerd.
            ("", files("", "/d", "/e"), containerd),
            ("", files("", "", "/e"), crio),
        ] {
            assert_eq!(select(reported, &files), expected, "{reported} {files:?}");
        }
        let error = |reported: &str, files| select(reported, &files).unwrap_err().to_string();
        assert!(error("", files("/c", "/d", "")).contains("CRI-O (/c) and of containerd (/d)"));
        assert!(error("", files("", "", "")).contains("set --runtime"));
        assert!(error("docker://20.10", files("/c", "", "")).contains("is docker://20.10"));
    }
}
