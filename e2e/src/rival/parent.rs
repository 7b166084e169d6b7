//! Simulates the hypershift operator for the control-plane-operator Deployment of one hosted cluster.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::core::GroupVersionKind;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, ResourceExt as _};
use serde_json::Value;
use tokio::sync::Notify;

use super::desired::{self, Hand};
use super::values::{self, Mirrors};
use super::writes::Ledger;
use super::{Manners, Random, watch_of};
use crate::fleet::{NAMESPACE, TARGETS, objects};

/// The kinds that it reads, and the paths of their entries. It does not read tag mirrors.
const MIRROR_KINDS: [(&str, &str, &str); 2] = [
    ("operator.openshift.io/v1alpha1", "ImageContentSourcePolicy", "repositoryDigestMirrors"),
    ("config.openshift.io/v1", "ImageDigestMirrorSet", "imageDigestMirrors"),
];

/// The operator of one hosted cluster.
pub(super) struct Parent {
    pub cluster: String,
    pub hand: Hand,
    pub manners: Manners,
    pub ledger: Arc<Ledger>,
    pub changed: Arc<Notify>,
    pub random: Random,
}

impl Parent {
    /// Reconciles after each event of its HostedCluster and of its Deployment, and never after a change of mirrors.
    pub async fn run(mut self) {
        let hosted = objects::hosted_cluster(&self.cluster, &[]);
        let target = crate::fleet::deployments::target(&self.cluster, TARGETS[0], None, "=");
        let (Ok(hosted), Ok(target)) = (watch_of(&self.hand.client, &hosted), watch_of(&self.hand.client, &target))
        else {
            return;
        };
        let config = |name: &str| watcher::Config::default().fields(&format!("metadata.name={name}"));
        let hosted = watcher(hosted, config(&self.cluster)).default_backoff();
        let target = watcher(target, config(TARGETS[0])).default_backoff();
        let (mut hosted, mut target) = (hosted.boxed(), target.boxed());
        loop {
            tokio::select! {
                _ = hosted.next() => {}
                _ = target.next() => {}
                () = self.changed.notified() => {}
            }
            tokio::time::sleep(self.random.within(&self.manners.reaction)).await;
            // A conflict or a deleted HostedCluster: the next event triggers another reconcile.
            if self.reconcile().await.is_err() {
                self.changed.notify_one();
            }
        }
    }

    async fn reconcile(&self) -> Result<()> {
        let hosted = objects::hosted_cluster(&self.cluster, &[]);
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.hand.client.clone(), NAMESPACE, &objects::resource_of(&hosted)?);
        let Some(hosted) = api.get_opt(&self.cluster).await? else { return Ok(()) };
        let changes = self.ledger.open().changes_of(TARGETS[0]);
        let env = values::print_env(&self.mirrors().await?);
        let desired = desired::deployment(&self.cluster, TARGETS[0], &env, &self.manners.flag, changes);
        let greedy = self.manners.greedy.contains(&TARGETS[0]);
        let outcome = self.hand.reconcile(&self.cluster, TARGETS[0], desired, greedy).await?;
        let version = outcome.current["metadata"]["resourceVersion"].as_str().context("no resourceVersion")?;
        let mut pages = self.ledger.open();
        pages.note("", hosted.resource_version().unwrap_or_default(), 0, None);
        pages.note(TARGETS[0], version.to_owned(), changes, outcome.wrote);
        Ok(())
    }

    /// All mirrors of all objects, appended in the order of the objects (`GetAllImageRegistryMirrors`).
    async fn mirrors(&self) -> Result<Mirrors> {
        let mut mirrors: Mirrors = BTreeMap::new();
        for (version, kind, list) in MIRROR_KINDS {
            let (group, version) = version.split_once('/').unwrap_or_default();
            let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
            let api: Api<DynamicObject> = Api::all_with(self.hand.client.clone(), &resource);
            for object in api.list(&ListParams::default()).await? {
                for entry in object.data["spec"][list].as_array().into_iter().flatten() {
                    let source = entry["source"].as_str().unwrap_or_default().to_owned();
                    let named = entry["mirrors"].as_array().into_iter().flatten().filter_map(Value::as_str);
                    mirrors.entry(source).or_default().extend(named.map(str::to_owned));
                }
            }
        }
        Ok(mirrors)
    }
}
