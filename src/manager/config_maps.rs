//! Reads the ConfigMaps that hosted clusters and node pools reference.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client, ResourceExt};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinSet;

use super::heavy::Heavy;
use super::reading::{ConfigMapName, Reading};
use super::store::{ConfigMapContent, Store};
use crate::client::cause::Cause;
use crate::client::deadline::answered;
use crate::management::index::config_maps::LoadedConfigMap;

/// Pause after a failed read. It usually needs a change of permissions or an available API server.
const RETRY: Duration = Duration::from_secs(5);
/// Size above which parsing takes more than some milliseconds.
const LARGE: usize = 16 << 10;
/// After a large text, the next one of the same namespace waits for this many times its duration, so that one owner cannot
/// use a whole processor.
const REST: u32 = 3;
/// Maximum of these pauses.
const LONGEST_REST: Duration = Duration::from_secs(5);

/// Reads queued ConfigMaps.
#[derive(Clone)]
pub struct ConfigMapReader {
    client: Client,
    store: Store,
    reading: Arc<Reading>,
    heavy: Arc<Heavy>,
}

/// A parsed ConfigMap.
struct Parsed {
    content: LoadedConfigMap,
    took: Duration,
}

impl ConfigMapReader {
    /// Creates a reader.
    pub fn new(client: Client, store: Store, reading: Arc<Reading>, heavy: Arc<Heavy>) -> Self {
        Self { client, store, reading, heavy }
    }

    /// Reads queued ConfigMaps until the process ends, so that workers do not wait for them.
    pub async fn read_queued(self) {
        let mut tasks = JoinSet::new();
        loop {
            let name = self.reading.next().await;
            while tasks.try_join_next().is_some() {}
            let reader = self.clone();
            tasks.spawn(async move { reader.read_one(name).await });
        }
    }

    async fn read_one(&self, name: ConfigMapName) {
        if !self.read(&name).await {
            self.store.enqueue_referring(&name); // an error is reported immediately
            tokio::time::sleep(RETRY).await;
        }
        // Before the hosted clusters are enqueued, because their reconcile may enqueue it again.
        self.reading.done(&name);
        self.store.enqueue_referring(&name);
    }

    /// Reads a ConfigMap and records its content. Returns false if it could not be read.
    async fn read(&self, name: &ConfigMapName) -> bool {
        let mut turn = None;
        // A large text waits for its turn in its namespace without being kept, and is read again afterwards: many owners with
        // 1 MiB each would otherwise fill the memory with texts that wait.
        loop {
            let Ok(request) = self.reading.requests.acquire().await else { return false };
            let before = self.store.config_map_version(name);
            let (version, data) = match self.get(name).await {
                Ok(found) => found,
                Err(content) => {
                    let is_read = matches!(content, ConfigMapContent::Missing);
                    self.store.record_config_map(name, content);
                    return is_read;
                }
            };
            let is_large = data.values().map(String::len).sum::<usize>() > LARGE;
            if is_large && turn.is_none() {
                let large = self.reading.large(&name.0);
                turn = Arc::clone(&large).try_acquire_owned().ok();
                if turn.is_none() {
                    drop((request, data));
                    turn = large.acquire_owned().await.ok();
                    continue;
                }
            }
            let Some(Parsed { content, took }) = self.parse(name, version, data, is_large).await else {
                let why = "parsing its text failed".to_owned();
                self.store.record_config_map(name, ConfigMapContent::Unreadable(why));
                return false;
            };
            self.store.record_config_map(name, ConfigMapContent::Loaded(content, before));
            rest(turn, took);
            return true;
        }
    }

    /// The version and the text of a ConfigMap.
    async fn get(
        &self,
        (namespace, name): &ConfigMapName,
    ) -> Result<(String, BTreeMap<String, String>), ConfigMapContent> {
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), namespace);
        match answered(api.get_opt(name)).await {
            Ok(Some(found)) => Ok((found.resource_version().unwrap_or_default(), found.data.unwrap_or_default())),
            Ok(None) => Err(ConfigMapContent::Missing),
            Err(error) => {
                tracing::warn!(namespace, name, error = %Cause(&error), "failed to read a ConfigMap; trying again");
                Err(ConfigMapContent::Unreadable(Cause(&error).to_string()))
            }
        }
    }

    /// Parses a text on a separate thread. `None` if that panicked.
    async fn parse(
        &self,
        (namespace, name): &ConfigMapName,
        version: String,
        data: BTreeMap<String, String>,
        is_large: bool,
    ) -> Option<Parsed> {
        let (namespace, name) = (namespace.clone(), name.clone());
        let parse = move || {
            let start = Instant::now();
            let content = LoadedConfigMap::read(&namespace, &name, version, &data);
            Parsed { content, took: start.elapsed() }
        };
        self.heavy.read(is_large, parse).await.ok()
    }
}

/// Keeps the turn of a namespace for a pause.
fn rest(turn: Option<OwnedSemaphorePermit>, took: Duration) {
    let Some(turn) = turn else { return };
    // In the background: the content counts from now on, only the next one of this namespace has to wait.
    tokio::spawn(async move {
        tokio::time::sleep((took * REST).min(LONGEST_REST)).await;
        drop(turn);
    });
}

#[cfg(test)]
mod tests;
