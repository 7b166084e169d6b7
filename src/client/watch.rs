//! A watch that never ends: streaming lists with paged lists as a fallback, back-off, and complete lists instead of pages.

use std::fmt::Debug;
use std::time::Duration;

use futures::stream::{BoxStream, Stream, StreamExt, unfold};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;

use super::backoff::Backoff;

/// The maximum is short enough to notice soon that an API server is available again, and long enough for an overloaded server.
const RETRY: Backoff = Backoff { first: Duration::from_millis(400), longest: Duration::from_secs(5) };
/// Objects per page of the fallback. Small pages limit the peak memory of the first list.
const PAGE: u32 = 50;

/// An event of a watch.
#[derive(Debug)]
pub enum Update<T> {
    /// The complete list. All other objects were deleted.
    Replaced(Vec<T>),
    /// An object was created or changed.
    Applied(T),
    /// An object was deleted.
    Deleted(T),
    /// The watch failed and is retried. Earlier events stay valid.
    Failing(Failure),
}

/// Why a watch failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The status code of the API server, if it responded.
    pub code: Option<u16>,
    /// The error.
    pub message: String,
}

impl Failure {
    fn new(error: &watcher::Error) -> Self {
        let status = match error {
            watcher::Error::InitialListFailed(kube::Error::Api(status))
            | watcher::Error::WatchStartFailed(kube::Error::Api(status))
            | watcher::Error::WatchFailed(kube::Error::Api(status))
            | watcher::Error::WatchError(status) => Some(status),
            _ => None,
        };
        match status {
            Some(status) => Self { code: Some(status.code), message: status.message.clone() },
            None => Self { code: None, message: error.to_string() },
        }
    }

    /// Whether the server does not support streaming lists: it is older than 1.34, or its etcd cannot report progress.
    fn means_no_streaming(&self) -> bool {
        let names_it = |text: &str| self.message.contains(text);
        names_it("RequestWatchProgress") || names_it("sendInitialEvents") || names_it("resourceVersionMatch")
    }
}

struct Watch<K: Clone + DeserializeOwned + Debug, S> {
    api: Api<K>,
    config: watcher::Config,
    slim: S,
    events: BoxStream<'static, watcher::Result<Event<K>>>,
    streaming: bool,
    /// The pause after the last failure, if the watch has failed since its last event.
    pause: Option<Duration>,
}

/// Watches until the stream is dropped. `slim` reduces each object before the complete list is in memory.
pub fn updates<K, T, S>(api: Api<K>, config: watcher::Config, slim: S) -> impl Stream<Item = Update<T>> + Send
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    T: Send + 'static,
    S: FnMut(K) -> T + Send + 'static,
{
    let events = watcher(api.clone(), config.clone().streaming_lists()).boxed();
    let watch = Watch { api, config, slim, events, streaming: true, pause: None };
    unfold((watch, Vec::new()), |(mut watch, mut list)| async move {
        let update = watch.next(&mut list).await?;
        Some((update, (watch, list)))
    })
}

impl<K, S> Watch<K, S>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    async fn next<T>(&mut self, list: &mut Vec<T>) -> Option<Update<T>>
    where
        S: FnMut(K) -> T,
    {
        // A list is passed on only when it is complete: a part of one looks like the deletion of all other objects. Each object is
        // reduced as it arrives, because the pages of a first list, and not the kept objects, are the peak of the memory.
        loop {
            match self.events.next().await? {
                Ok(event) => {
                    self.pause = None;
                    match event {
                        Event::Init => list.clear(),
                        Event::InitApply(object) => list.push((self.slim)(object)),
                        Event::InitDone => return Some(Update::Replaced(std::mem::take(list))),
                        Event::Apply(object) => return Some(Update::Applied((self.slim)(object))),
                        Event::Delete(object) => return Some(Update::Deleted((self.slim)(object))),
                    }
                }
                Err(error) => {
                    let failure = Failure::new(&error);
                    // The watcher does not fall back by itself, and would fail for ever against an older server.
                    if self.streaming && failure.means_no_streaming() {
                        tracing::info!(
                            reason = failure.message,
                            "the API server does not support streaming lists; listing in pages"
                        );
                        self.streaming = false;
                        self.events = watcher(self.api.clone(), self.config.clone().page_size(PAGE)).boxed();
                        continue;
                    }
                    // The watcher has no pause of its own: a refused watch would be opened thousands of times a second.
                    tokio::time::sleep(RETRY.next(&mut self.pause)).await;
                    return Some(Update::Failing(failure));
                }
            }
        }
    }
}
