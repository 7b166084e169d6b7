//! The watches: this node, and the kinds that declare mirrors, while their CRDs are there.

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

/// How long the objects of a kind that is back may take to follow it: whoever restores a CRD restores them next.
const RESTORE_GRACE: Duration = Duration::from_secs(10);
/// Between two questions for a CRD that was not answered.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// Where mirrors are declared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Source {
    /// NodeMirrorSets, which a manager applies
    #[default]
    Guest,
    /// Mirror objects of the node's cluster, such as ICSP, IDMS and ITMS
    Cluster,
}

impl Source {
    /// The kinds that are read.
    pub const fn kinds(self) -> &'static [SetKind] {
        match self {
            Self::Guest => &[SetKind::Node],
            Self::Cluster => &[SetKind::Digest, SetKind::Tag, SetKind::Policy, SetKind::PerNode],
        }
    }
}

/// What the watches share with the loop that writes the file.
pub struct Inputs {
    client: Client,
    node: String,
    source: Source,
    sets: Mutex<Sets>,
    /// Told when something changed.
    pub changed: Notify,
    /// Told when objects have to be read again.
    again: watch::Sender<()>,
    /// Opens when everything was told once.
    pub first_look: FirstLook,
}

impl Inputs {
    /// For the node of this name.
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

    /// What was told.
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
        // Only NodeMirrorSets choose nodes by their labels.
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
                // Its labels are known; whoever deletes a node takes it away soon, or it comes back.
                Update::Deleted(_) => None,
                Update::Failing(failure) => {
                    tracing::warn!(code = failure.code, error = failure.message, "the node cannot be watched now");
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

    /// Follows one CRD: its objects are watched while it is there, and what is known of them stays when it is not.
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
                    tracing::warn!(crd, code = failure.code, error = failure.message, "a CRD cannot be watched now");
                    continue;
                }
            };
            if running.take_if(|(uid, _)| Some(&*uid) != now.as_ref()).is_some() {
                tracing::warn!(crd, "the kind is gone: what is known of it stays");
            }
            match now {
                // A guest's agent has nothing else to read: without the kind nothing may be concluded.
                None if self.source == Source::Guest => tracing::warn!(crd, "the kind is not there"),
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

/// Ends a task when it is dropped.
struct Ending(AbortHandle);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The watch of one kind's objects.
struct ObjectWatch {
    inputs: Arc<Inputs>,
    kind: SetKind,
    /// The UID of its CRD.
    crd: String,
    awaited: Awaited,
    /// The kind was there before, went away, and is there again.
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
        let mut told = self.back.then(BTreeSet::new);
        loop {
            tokio::select! {
                () = &mut grace, if told.is_some() => {
                    let told = told.take().unwrap_or_default();
                    let changed = self.inputs.sets().keep_only(self.kind, &told);
                    self.inputs.note(changed);
                }
                Ok(()) = again.changed() => stream = open(),
                update = stream.next() => match update {
                    Some(update) => self.take(update, told.as_mut()).await,
                    None => return,
                },
            }
        }
    }

    async fn take(&self, update: Update<Set>, restoring: Option<&mut BTreeSet<String>>) {
        let sets = || self.inputs.sets();
        let changed = match (update, restoring) {
            (Update::Replaced(list), Some(told)) => {
                *told = list.iter().map(|set| Sets::name_of(set).to_owned()).collect();
                let mut sets = sets();
                let applied: Vec<bool> = list.into_iter().map(|set| sets.apply(self.kind, set)).collect();
                applied.contains(&true)
            }
            (Update::Applied(set), told) => {
                if let Some(told) = told {
                    told.insert(Sets::name_of(&set).to_owned());
                }
                sets().apply(self.kind, set)
            }
            (Update::Deleted(set), Some(told)) => {
                told.remove(Sets::name_of(&set));
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
                tracing::warn!(crd, code = failure.code, error = failure.message, "a kind cannot be read now");
                false
            }
        };
        self.inputs.note(changed);
    }

    /// Whether an object was deleted by somebody, or goes with its kind: when a CRD is deleted the API server deletes its
    /// objects first.
    async fn kind_stays(&self) -> bool {
        loop {
            match ask_standing(&self.inputs.client, self.kind.crd()).await {
                Ok(uid) => return uid.as_deref() == Some(&self.crd),
                Err(error) => {
                    tracing::warn!(crd = self.kind.crd(), %error, "nothing is removed before the kind's CRD is read");
                    tokio::time::sleep(ASK_AGAIN).await;
                }
            }
        }
    }
}
