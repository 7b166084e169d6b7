//! Objects of guest clusters, if somebody asks for them: their kubeconfigs are Secrets.

use futures::{StreamExt as _, stream};
use hypermirror_api::ClusterKey;
use serde_json::Value;

use super::super::{console, guest};
use super::objects::Objects;
use super::reader::Reader;
use crate::guest::GuestClient;

/// Guest clusters at the same time.
const AT_ONCE: usize = 8;

/// Kinds and the paths of their lists.
const LISTS: [(&str, &str, &str); 4] = [
    ("Node", "v1", "/api/v1/nodes"),
    ("NodeMirrorSet", "hypermirror.dev/v1alpha1", "/apis/hypermirror.dev/v1alpha1/nodemirrorsets"),
    ("NodeMirrorStatus", "hypermirror.dev/v1alpha1", "/apis/hypermirror.dev/v1alpha1/nodemirrorstatuses"),
    ("DaemonSet", "apps/v1", "/apis/apps/v1/namespaces/hypermirror-system/daemonsets"),
];

/// Adds a file for each guest cluster.
pub async fn read(reader: &mut Reader, objects: &mut Objects) {
    let end = reader.end();
    let client = &reader.client;
    let reads = objects.clusters().into_iter().map(|key| async move {
        let read = tokio::time::timeout_at(end, async {
            let guest = guest::connect(client, &key).await?;
            of_guest(&guest).await
        });
        let read = read.await.unwrap_or_else(|_| Err(anyhow::anyhow!("the time is over (--timeout)")));
        (key, read)
    });
    let read: Vec<(ClusterKey, anyhow::Result<Vec<Value>>)> = stream::iter(reads).buffered(AT_ONCE).collect().await;
    for (key, found) in read {
        match found {
            Ok(found) => {
                objects.add(vec!["guests".to_owned(), format!("{}_{}.json", key.namespace, key.name)], found);
            }
            Err(error) => reader.miss(format!("the guest cluster of {key}"), console::causes(&error)),
        }
    }
}

async fn of_guest(guest: &GuestClient) -> anyhow::Result<Vec<Value>> {
    let mut found = Vec::new();
    for (kind, version, path) in LISTS {
        guest
            .each(path, "", |mut object: Value| {
                object["kind"] = kind.into();
                object["apiVersion"] = version.into();
                found.push(object);
            })
            .await?;
    }
    Ok(found)
}
