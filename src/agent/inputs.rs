//! Watches this node and the kinds that declare mirrors, while their CRDs are installed.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clap::ValueEnum;
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Node;
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::runtime::watcher;
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::{Notify, watch};
use tokio::task::{AbortHandle, JoinSet};

use super::sets::{Set, SetKind, Sets};
use crate::client::optional_kind::{ask_standing, crd_watch, standing};
use crate::client::watch::{Update, updates};
use crate::process::first_look::{Awaited, FirstLook};

/// Time after a CRD is restored during which missing objects are not treated as deleted: they are usually restored after
/// the CRD.
const RESTORE_GRACE: Duration = Duration::from_secs(10);
/// Pause after a failed read of a CRD.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// The objects that declare mirrors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Source {
    /// NodeMirrorSets, which the manager applies
    #[default]
    Guest,
    /// Mirror objects in the node's cluster, such as ICSP, IDMS and ITMS
    Cluster,
}

impl Source {
    /// The kinds to watch.
    pub const fn kinds(self) -> &'static [SetKind] {
        match self {
            Self::Guest => &[SetKind::Node],
            Self::Cluster => &[SetKind::Digest, SetKind::Tag, SetKind::Policy, SetKind::PerNode],
        }
    }
}

/// The state that the watches share with the loop that writes the file.
pub struct Inputs {
    client: Client,
    node: String,
    source: Source,
    sets: Mutex<Sets>,
    /// Notified after a change.
    pub changed: Notify,
    /// Notified when all objects have to be listed again.
    again: watch::Sender<()>,
    /// Opens when all watches have delivered their first list.
    pub first_look: FirstLook,
}

impl Inputs {
    /// Creates the inputs for a node.
    pub fn new(client: Client, node: String, source: Source) -> Arc<Self> {
        let sets = Mutex::new(Sets::new(source.kinds()));
        Arc::new(Self {
            client,
            node,
            source,
            sets,
            changed: Notify::new(),
            again: watch::Sender::new(()),
            first_look: FirstLook::default(),
        })
    }

    /// The watched objects.
    pub fn sets(&self) -> MutexGuard<'_, Sets> {
        self.sets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, changed: bool) {
        if changed {
            self.changed.notify_one();
            if self.sets().can_keep_more() {
                self.again.send_replace(());
            }
        }
    }

    /// Starts all watches.
    pub fn start(self: &Arc<Self>, tasks: &mut JoinSet<()>) {
        // Only NodeMirrorSets select nodes by label.
        let awaited =
            (self.source == Source::Guest).then(|| self.first_look.await_watch(format!("node {}", self.node)));
        tasks.spawn(Arc::clone(self).follow_node(awaited));
        for kind in self.source.kinds() {
            let awaited = self.first_look.await_watch(kind.crd());
            tasks.spawn(Arc::clone(self).follow_kind(*kind, awaited));
        }
    }

    async fn follow_node(self: Arc<Self>, awaited: Option<Awaited>) {
        let api: Api<PartialObjectMeta<Node>> = Api::all(self.client.clone());
        let config = watcher::Config::default().fields(&format!("metadata.name={}", self.node));
        let slim = |mut node: PartialObjectMeta<Node>| {
            node.metadata.managed_fields = None;
            node
        };
        let mut stream = pin!(updates(api, config, slim));
        while let Some(update) = stream.next().await {
            let node = match update {
                Update::Replaced(list) => list.into_iter().next(),
                Update::Applied(node) => Some(node),
                // Keep the last known labels: a deleted node either shuts down soon or is created again.
                Update::Deleted(_) => None,
                Update::Failing(failure) => {
                    tracing::warn!(
                        code = failure.code,
                        error = failure.message,
                        "failed to watch the node; trying again"
                    );
                    None
                }
            };
            let Some(node) = node else { continue };
            let changed = self.sets().set_node(&node);
            self.note(changed && self.source == Source::Guest);
            if let Some(awaited) = &awaited {
                awaited.done();
            }
        }
    }

    /// Follows one CRD: watches its objects while it is installed, and keeps their last known state when it is removed.
    async fn follow_kind(self: Arc<Self>, kind: SetKind, awaited: Awaited) {
        let crd = kind.crd();
        let (api, config) = crd_watch(&self.client, crd);
        let mut stream = pin!(updates(api, config, |crd| standing(&crd)));
        let mut running: Option<(String, Ending)> = None;
        let mut was_there = false;
        while let Some(update) = stream.next().await {
            let now = match update {
                Update::Replaced(list) => list.into_iter().next().flatten(),
                Update::Applied(standing) => standing,
                Update::Deleted(_) => None,
                Update::Failing(failure) => {
                    tracing::warn!(
                        crd,
                        code = failure.code,
                        error = failure.message,
                        "failed to watch a CRD; trying again"
                    );
                    continue;
                }
            };
            if running.take_if(|(uid, _)| Some(&*uid) != now.as_ref()).is_some() {
                tracing::warn!(crd, "a CRD was removed; the last known mirrors of its kind stay in use");
            }
            match now {
                // NodeMirrorSets are the only source of mirrors in a guest cluster, so without their CRD nothing may be removed.
                None if self.source == Source::Guest => tracing::warn!(crd, "waiting for a CRD to be installed"),
                None => awaited.done(),
                Some(uid) if running.is_none() => {
                    let task = tokio::spawn(Arc::clone(&self).objects(kind, uid.clone(), awaited.clone(), was_there));
                    running = Some((uid, Ending(task.abort_handle())));
                    was_there = true;
                }
                Some(_) => {}
            }
        }
    }

    async fn objects(self: Arc<Self>, kind: SetKind, crd: String, awaited: Awaited, back: bool) {
        let watch = ObjectWatch { inputs: self, kind, crd, awaited, back };
        match kind {
            SetKind::Node => watch.run(Set::of_nodes).await,
            SetKind::Digest => watch.run(Set::of_digests).await,
            SetKind::Tag => watch.run(Set::of_tags).await,
            SetKind::Policy => watch.run(Set::of_policies).await,
            SetKind::PerNode => watch.run(Set::of_per_node).await,
        }
    }
}

/// Aborts a task on drop.
struct Ending(AbortHandle);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The watch of the objects of one kind.
struct ObjectWatch {
    inputs: Arc<Inputs>,
    kind: SetKind,
    /// The UID of its CRD.
    crd: String,
    awaited: Awaited,
    /// Whether the CRD was removed and installed again.
    back: bool,
}

impl ObjectWatch {
    async fn run<K>(self, read: fn(&K) -> Set)
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
    {
        let slim = move |object: DeserializeGuard<K>| match object.0 {
            Ok(object) => read(&object),
            Err(invalid) => Set::unreadable(&invalid),
        };
        let api: Api<DeserializeGuard<K>> = Api::all(self.inputs.client.clone());
        let open = || Box::pin(updates(api.clone(), watcher::Config::default(), slim));
        let mut stream = open();
        let mut again = self.inputs.again.subscribe();
        let mut grace = pin!(tokio::time::sleep(if self.back { RESTORE_GRACE } else { Duration::ZERO }));
        let mut restored = self.back.then(BTreeSet::new);
        loop {
            tokio::select! {
                () = &mut grace, if restored.is_some() => {
                    let restored = restored.take().unwrap_or_default();
                    let changed = self.inputs.sets().keep_only(self.kind, &restored);
                    self.inputs.note(changed);
                }
                Ok(()) = again.changed() => stream = open(),
                update = stream.next() => match update {
                    Some(update) => self.take(update, restored.as_mut()).await,
                    None => return,
                },
            }
        }
    }

    async fn take(&self, update: Update<Set>, restoring: Option<&mut BTreeSet<String>>) {
        let sets = || self.inputs.sets();
        let changed = match (update, restoring) {
            (Update::Replaced(list), Some(restored)) => {
                *restored = list.iter().map(|set| Sets::name_of(set).to_owned()).collect();
                let mut sets = sets();
                let applied: Vec<bool> = list.into_iter().map(|set| sets.apply(self.kind, set)).collect();
                applied.contains(&true)
            }
            (Update::Applied(set), restored) => {
                if let Some(restored) = restored {
                    restored.insert(Sets::name_of(&set).to_owned());
                }
                sets().apply(self.kind, set)
            }
            (Update::Deleted(set), Some(restored)) => {
                restored.remove(Sets::name_of(&set));
                false
            }
            (Update::Replaced(list), None) => {
                let lacks = sets().lacks_any(self.kind, &list);
                if lacks && !self.kind_stays().await {
                    return;
                }
                let changed = sets().replace(self.kind, list);
                self.awaited.done();
                changed
            }
            (Update::Deleted(set), None) => self.kind_stays().await && sets().remove(self.kind, Sets::name_of(&set)),
            (Update::Failing(failure), _) => {
                let crd = self.kind.crd();
                tracing::warn!(
                    crd,
                    code = failure.code,
                    error = failure.message,
                    "failed to watch the objects of a kind; trying again"
                );
                false
            }
        };
        self.inputs.note(changed);
    }

    /// Whether the CRD still exists after an object was deleted. When a CRD is deleted, the API server first deletes its objects,
    /// whose mirrors must stay in use.
    async fn kind_stays(&self) -> bool {
        // Without an answer neither case may be assumed, so the read is repeated until it succeeds.
        loop {
            match ask_standing(&self.inputs.client, self.kind.crd()).await {
                Ok(uid) => return uid.as_deref() == Some(&self.crd),
                Err(error) => {
                    tracing::warn!(crd = self.kind.crd(), %error, "failed to read a CRD; deleted objects stay in use until it can be read");
                    tokio::time::sleep(ASK_AGAIN).await;
                }
            }
        }
    }
}
