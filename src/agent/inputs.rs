//! Watches this node and the kinds that declare mirrors, while their CRDs are installed.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use clap::ValueEnum;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt as _};
use k8s_openapi::api::core::v1::Node;
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::runtime::watcher;
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use super::sets::{Set, SetKind, Sets};
use crate::client::optional_kind::{Follower, InstalledCrd, Objects, follow, follow_objects};
use crate::client::watch::{Failure, Update, updates};
use crate::process::initial_lists::{Awaited, InitialLists};

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
    pub initial_lists: InitialLists,
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
            initial_lists: InitialLists::default(),
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
            (self.source == Source::Guest).then(|| self.initial_lists.await_watch(format!("node {}", self.node)));
        tasks.spawn(Arc::clone(self).follow_node(awaited));
        for kind in self.source.kinds() {
            let awaited = self.initial_lists.await_watch(kind.crd());
            let mut watch = KindWatch { inputs: Arc::clone(self), kind: *kind, awaited, was_there: false };
            tasks.spawn(async move {
                let client = watch.inputs.client.clone();
                follow(&client, watch.kind.crd(), &mut watch).await;
            });
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
}

/// The watch of one kind.
#[derive(Clone)]
struct KindWatch {
    inputs: Arc<Inputs>,
    kind: SetKind,
    awaited: Awaited,
    /// Whether the CRD was installed before.
    was_there: bool,
}

impl KindWatch {
    async fn run<K>(mut self, crd: InstalledCrd, is_restored: bool, read: fn(&K) -> Set)
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
    {
        let slim = move |object: DeserializeGuard<K>| match object.0 {
            Ok(object) => read(&object),
            Err(invalid) => Set::unreadable(&invalid),
        };
        let api: Api<DeserializeGuard<K>> = Api::all(crd.client.clone());
        let open = || updates(api.clone(), watcher::Config::default(), slim).boxed();
        let again = stream::unfold(self.inputs.again.subscribe(), |mut again| async {
            again.changed().await.ok().map(|()| ((), again))
        });
        follow_objects(&mut self, &crd, is_restored, again, open).await;
    }
}

impl Follower for KindWatch {
    fn present(&mut self, crd: InstalledCrd) -> BoxFuture<'static, ()> {
        let is_restored = std::mem::replace(&mut self.was_there, true);
        let watch = self.clone();
        match self.kind {
            SetKind::Node => watch.run(crd, is_restored, Set::of_nodes).boxed(),
            SetKind::Digest => watch.run(crd, is_restored, Set::of_digests).boxed(),
            SetKind::Tag => watch.run(crd, is_restored, Set::of_tags).boxed(),
            SetKind::Policy => watch.run(crd, is_restored, Set::of_policies).boxed(),
            SetKind::PerNode => watch.run(crd, is_restored, Set::of_per_node).boxed(),
        }
    }

    fn gone(&mut self) {}

    fn absent(&mut self) {
        // NodeMirrorSets are the only source of mirrors in a guest cluster, so without their CRD nothing may be removed.
        if self.inputs.source == Source::Guest {
            tracing::warn!(crd = self.kind.crd(), "waiting for a CRD to be installed");
        } else {
            self.awaited.done();
        }
    }
}

impl Objects for KindWatch {
    type Object = Set;

    fn name(set: &Set) -> &str {
        Sets::name_of(set)
    }

    fn apply(&mut self, list: Vec<Set>) {
        let mut is_changed = false;
        {
            let mut sets = self.inputs.sets();
            for set in list {
                is_changed |= sets.apply(self.kind, set);
            }
        }
        self.inputs.note(is_changed);
    }

    fn lacks_any(&self, list: &[Set]) -> bool {
        self.inputs.sets().lacks_any(self.kind, list)
    }

    fn replace(&mut self, list: Vec<Set>) {
        let is_changed = self.inputs.sets().replace(self.kind, list);
        self.awaited.done();
        self.inputs.note(is_changed);
    }

    fn remove(&mut self, name: &str) {
        let is_changed = self.inputs.sets().remove(self.kind, name);
        self.inputs.note(is_changed);
    }

    fn keep_only(&mut self, names: &BTreeSet<String>) {
        let is_changed = self.inputs.sets().keep_only(self.kind, names);
        self.inputs.note(is_changed);
    }

    fn failing(&mut self, failure: &Failure) {
        let crd = self.kind.crd();
        let (code, error) = (failure.code, &failure.message);
        tracing::warn!(crd, code, error, "failed to watch the objects of a kind; trying again");
    }
}
