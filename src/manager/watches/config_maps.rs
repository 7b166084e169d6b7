//! Watches the ConfigMaps of each namespace in which one is referenced, as metadata.

use std::collections::HashMap;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher;
use kube::{Api, Client, ResourceExt};
use tokio::task::{AbortHandle, JoinSet};

use super::apply_events;
use crate::client::watch::updates;
use crate::management::index::change::Change;
use crate::manager::store::Store;

/// Starts and stops watches when references change.
pub(super) async fn watch_referenced(client: Client, store: Store) {
    let mut watches: HashMap<String, AbortHandle> = HashMap::new();
    let mut tasks = JoinSet::new();
    // A watch for each namespace instead of one for all: the others may have thousands of ConfigMaps that do not concern the
    // manager, and may hold what its identity must not read.
    loop {
        let wanted = store.referring_namespaces();
        watches.retain(|namespace, watch| {
            let is_wanted = wanted.contains(namespace);
            if !is_wanted {
                watch.abort();
                store.apply(Change::NoReferences(namespace.clone()));
            }
            is_wanted
        });
        for namespace in wanted {
            watches
                .entry(namespace)
                .or_insert_with_key(|name| tasks.spawn(watch_namespace(client.clone(), store.clone(), name.clone())));
        }
        while tasks.try_join_next().is_some() {}
        store.references_changed().await;
    }
}

async fn watch_namespace(client: Client, store: Store, namespace: String) {
    let api: Api<PartialObjectMeta<ConfigMap>> = Api::namespaced(client, &namespace);
    let reduce =
        |object: PartialObjectMeta<ConfigMap>| (object.name_any(), object.resource_version().unwrap_or_default());
    let events = updates(api, watcher::Config::default(), reduce);
    let (kind, change) = (format!("ConfigMap of {namespace}"), |update| Change::ConfigMaps(namespace.clone(), update));
    apply_events(&kind, events, &store, change, || {}).await;
}
