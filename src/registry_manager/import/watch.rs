//! Watches ImportRules, and pods in the namespaces that they name.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;

use futures::StreamExt as _;
use hypermirror_api::{ImportRule, ImportRuleSpec, ImportRuleStatus};
use kube::core::DeserializeGuard;
use kube::runtime::watcher;
use kube::{Api, Client};
use tokio::task::JoinSet;

use super::super::agenda::Watched;
use super::super::context::Context;
use super::super::watch::watched;
use super::Imports;
use super::pods::{NamespacePods, PodView, SeenPod};
use super::state::Shared;
use crate::client::watch::{Update, updates};

/// Pods that have ended need no image.
const ALIVE: &str = "status.phase!=Succeeded,status.phase!=Failed";

type Seen = (Watched<ImportRuleSpec>, Option<ImportRuleStatus>);

/// Follows ImportRules. Nothing waits for the first list: where the CRD is not installed, there are no rules.
pub async fn follow_rules(ctx: Arc<Context>, imports: &Imports, shared: &Shared) -> Infallible {
    let api: Api<DeserializeGuard<ImportRule>> = Api::all(ctx.client.clone());
    let mut updates = pin!(updates(api, watcher::Config::default(), |rule| seen(&rule)));
    let mut is_failing = false;
    let put = |(object, status): Seen| shared.state().put(object, status, &ctx.images.rules, &imports.consent);
    while let Some(update) = updates.next().await {
        match update {
            Update::Replaced(list) => {
                let keys: Vec<_> = list.iter().map(|(object, _)| object.key.clone()).collect();
                shared.state().keep(|key| keys.contains(key));
                list.into_iter().for_each(put);
                is_failing = false;
            }
            Update::Applied(seen) => put(seen),
            Update::Deleted((object, _)) => shared.state().keep(|key| *key != object.key),
            Update::Failing(failure) => {
                if !is_failing {
                    tracing::warn!(error = failure.message, "failed to watch ImportRules; trying again");
                }
                is_failing = true;
                continue;
            }
        }
        shared.rules_changed.notify_one();
        shared.changed.notify_one();
    }
    // A watch does not end.
    std::future::pending().await
}

fn seen(guard: &DeserializeGuard<ImportRule>) -> Seen {
    let (spec, status) = match &guard.0 {
        Ok(rule) => (Ok(rule.spec.clone()), rule.status.clone()),
        Err(invalid) => (Err(invalid.error.clone()), None),
    };
    (watched(guard, "", spec, Vec::new()), status)
}

/// Follows the pods of each namespace that a rule names, and of no other.
pub async fn follow_pods(client: &Client, shared: &Arc<Shared>) -> Infallible {
    // A set that is dropped ends its watch.
    let mut watches: BTreeMap<String, JoinSet<()>> = BTreeMap::new();
    loop {
        let changed = shared.rules_changed.notified();
        let namespaces = shared.state().namespaces();
        watches.retain(|namespace, _| namespaces.contains(namespace));
        {
            let mut state = shared.state();
            state.pods.retain(|namespace, _| namespaces.contains(namespace));
            state.unread.retain(|namespace, _| namespaces.contains(namespace));
        }
        for namespace in namespaces {
            watches.entry(namespace.clone()).or_insert_with(|| {
                let mut watch = JoinSet::new();
                watch.spawn(follow_namespace(client.clone(), shared.clone(), namespace));
                watch
            });
        }
        changed.await;
    }
}

async fn follow_namespace(client: Client, shared: Arc<Shared>, namespace: String) {
    let api: Api<PodView> = Api::namespaced(client, &namespace);
    let config = watcher::Config::default().fields(ALIVE);
    let mut updates = pin!(updates(api, config, |pod: PodView| pod.seen()));
    while let Some(update) = updates.next().await {
        if take(&shared, &namespace, update) {
            shared.changed.notify_one();
        }
    }
}

/// Returns whether pods that cannot pull have changed: most changes of pods concern nobody here.
fn take(shared: &Shared, namespace: &str, update: Update<SeenPod>) -> bool {
    let mut state = shared.state();
    if let Update::Failing(failure) = update {
        let why = format!("failed to watch the pods of namespace {namespace}: {}", failure.message);
        return state.unread.insert(namespace.to_owned(), why.clone()) != Some(why);
    }
    let was_unread = state.unread.remove(namespace).is_some();
    let pods = state.pods.entry(namespace.to_owned()).or_default();
    let is_changed = match update {
        Update::Replaced(list) => {
            let failing: NamespacePods = list.into_iter().filter_map(|(name, pod)| Some((name, pod?))).collect();
            let is_changed = *pods != failing;
            *pods = failing;
            is_changed
        }
        Update::Applied((name, Some(pod))) => pods.insert(name, pod.clone()) != Some(pod),
        Update::Applied((name, None)) | Update::Deleted((name, _)) => pods.remove(&name).is_some(),
        Update::Failing(_) => false,
    };
    was_unread || is_changed
}
