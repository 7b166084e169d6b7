//! Counts requests by registry and kind, and keeps the limits that registries announce.

use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::Method;
use schemars::JsonSchema;
use serde::Serialize;
use url::Url;

use super::client::OnLimit;
use super::transport::{Exchange, Observer};
use super::wire::rate_limit::RateLimit;

/// Requests to one registry, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Requests {
    /// HEAD: whether a manifest or a blob is there. Docker Hub does not count them as pulls.
    pub lookups: u64,
    /// GET of manifests. Docker Hub counts each as a pull.
    pub manifest_reads: u64,
    /// GET of lists: tags, referrers, repositories.
    pub lists: u64,
    /// GET of blobs.
    pub blob_reads: u64,
    /// Requests that write blobs or mount them.
    pub blob_writes: u64,
    /// PUT of manifests and tags.
    pub manifest_writes: u64,
    /// Everything else, such as requests for tokens.
    pub others: u64,
}

impl Requests {
    /// All of them.
    pub const fn total(self) -> u64 {
        let Self { lookups, manifest_reads, lists, blob_reads, blob_writes, manifest_writes, others } = self;
        lookups + manifest_reads + lists + blob_reads + blob_writes + manifest_writes + others
    }

    fn count(&mut self, registry: &Url, method: &Method, url: &Url) {
        *self.kind(registry, method, url) += 1;
    }

    /// The counter of a request, by its method and the area of the distribution API.
    fn kind(&mut self, registry: &Url, method: &Method, url: &Url) -> &mut u64 {
        let is_api = url.origin() == registry.origin() && url.path().starts_with(&format!("{}v2/", registry.path()));
        if !is_api {
            return &mut self.others;
        }
        let path = url.path();
        let area = path.rsplit('/').nth(1).unwrap_or_default();
        match (method.as_str(), area) {
            ("HEAD", _) => &mut self.lookups,
            ("GET", "manifests") => &mut self.manifest_reads,
            ("GET", "blobs") => &mut self.blob_reads,
            ("GET", "tags" | "referrers") => &mut self.lists,
            ("GET", _) if path.ends_with("/v2/_catalog") => &mut self.lists,
            ("PUT", "manifests") => &mut self.manifest_writes,
            _ if path.contains("/blobs/uploads/") => &mut self.blob_writes,
            _ => &mut self.others,
        }
    }
}

impl AddAssign for Requests {
    fn add_assign(&mut self, other: Self) {
        self.lookups += other.lookups;
        self.manifest_reads += other.manifest_reads;
        self.lists += other.lists;
        self.blob_reads += other.blob_reads;
        self.blob_writes += other.blob_writes;
        self.manifest_writes += other.manifest_writes;
        self.others += other.others;
    }
}

/// What a registry was asked, and what it allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Requests that were sent, also those that were repeated.
    pub requests: Requests,
    /// The last limit that it announced.
    pub limit: Option<RateLimit>,
}

/// Counts what the clients with its observer send. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct RequestTally(Arc<Mutex<BTreeMap<String, Traffic>>>);

impl RequestTally {
    fn registries(&self) -> MutexGuard<'_, BTreeMap<String, Traffic>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For the options of a transport.
    pub fn observer(&self) -> Observer {
        let tally = self.clone();
        Observer::new(move |Exchange { registry, method, url, .. }| {
            tally.registries().entry(registry.to_string()).or_default().requests.count(registry, method, url);
        })
    }

    /// For the options of a client.
    pub fn on_limit(&self) -> OnLimit {
        let tally = self.clone();
        Arc::new(move |registry, limit| {
            tally.registries().entry(registry.base().to_string()).or_default().limit = Some(limit);
        })
    }

    /// What was counted so far, by the address of the registry.
    pub fn counted(&self) -> BTreeMap<String, Traffic> {
        self.registries().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_told_apart_by_method_and_area() {
        let registry = Url::parse("https://r.example/team/").unwrap();
        let mut requests = Requests::default();
        for (method, url) in [
            ("HEAD", "v2/a/manifests/v1"),
            ("HEAD", "v2/a/blobs/sha256:00"),
            ("GET", "v2/manifests/b/manifests/v1"),
            ("GET", "v2/a/tags/list?n=5"),
            ("GET", "v2/a/referrers/sha256:00"),
            ("GET", "v2/_catalog"),
            ("GET", "v2/a/blobs/sha256:00"),
            ("POST", "v2/a/blobs/uploads/?mount=x"),
            ("PUT", "v2/a/blobs/uploads/5?digest=x"),
            ("PUT", "v2/a/manifests/v1"),
            ("GET", "v2/"),
            ("GET", "../token"),
        ] {
            requests.count(&registry, &method.parse().unwrap(), &registry.join(url).unwrap());
        }
        let storage = Url::parse("https://storage.example/v2/a/blobs/sha256:00").unwrap();
        requests.count(&registry, &Method::GET, &storage);
        let expected = Requests {
            lookups: 2,
            manifest_reads: 1,
            lists: 3,
            blob_reads: 1,
            blob_writes: 2,
            manifest_writes: 1,
            others: 3,
        };
        assert_eq!((requests, requests.total()), (expected, 13));
    }
}
