//! What is left to copy for each hosted cluster, and when. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};
use std::time::{Duration, Instant};

use hypermirror_api::ClusterKey;
use hypermirror_api::mirror_coverage::UnfilledImage;
use jiff::Timestamp;

use super::gaps::{Gap, Gaps};

/// Wait before a copy that failed is tried again; doubled each time: a registry that refuses is not asked without end.
const FIRST_RETRY: Duration = Duration::from_mins(1);
/// The longest wait.
const LONGEST_RETRY: Duration = Duration::from_hours(1);

/// Why an image was not copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// One of a fixed set.
    pub reason: &'static str,
    /// For people.
    pub message: String,
}

/// What was done for a hosted cluster, and what is left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Images that were copied since [`Backlog::wrote`].
    pub copied: u64,
    /// When the last one was.
    pub last_copy: Option<Timestamp>,
    /// Images that are not there yet.
    pub remaining: usize,
    /// Those that cannot be copied now, and why.
    pub unfilled: Vec<UnfilledImage>,
}

/// An image that was tried and may be wanted again.
#[derive(Debug)]
struct Tried {
    times: u32,
    until: Instant,
    /// None: it was copied.
    failure: Option<Failure>,
}

#[derive(Debug, Default)]
struct Cluster {
    wanted: BTreeMap<String, Gap>,
    refused: Vec<UnfilledImage>,
    tried: BTreeMap<String, Tried>,
    copied: u64,
    last_copy: Option<Timestamp>,
    /// Whether something was copied, or failed for another reason than before.
    has_news: bool,
}

/// All hosted clusters whose mirrors are filled.
#[derive(Debug, Default)]
pub struct Backlog {
    clusters: BTreeMap<ClusterKey, Cluster>,
    /// Whose turn it was: one hosted cluster with many gaps does not keep the others waiting.
    last: Option<ClusterKey>,
}

impl Backlog {
    /// What a check found replaces what one before has found.
    pub fn put(&mut self, key: &ClusterKey, gaps: Gaps) {
        let cluster = self.clusters.entry(key.clone()).or_default();
        cluster.tried.retain(|mirror, _| gaps.fillable.contains_key(mirror));
        for tried in cluster.tried.values_mut().filter(|tried| tried.failure.is_none()) {
            let message = "the image was copied, and the mirror lacks it again".to_owned();
            tried.failure = Some(Failure { reason: "StillMissing", message });
        }
        (cluster.wanted, cluster.refused) = (gaps.fillable, gaps.refused);
    }

    /// Drops a hosted cluster.
    pub fn forget(&mut self, key: &ClusterKey) {
        self.clusters.remove(key);
    }

    /// Drops all.
    pub fn clear(&mut self) {
        self.clusters.clear();
    }

    /// The hosted cluster whose turn it is.
    pub fn next_cluster(&mut self, now: Instant) -> Option<ClusterKey> {
        let after = self.last.as_ref().map_or(Unbounded, Excluded);
        let later = self.clusters.range::<ClusterKey, _>((after, Unbounded));
        let mut all = later.chain(&self.clusters);
        let (key, _) = all.find(|(_, cluster)| cluster.next(now).is_some())?;
        self.last = Some(key.clone());
        self.last.clone()
    }

    /// What is copied next for a hosted cluster, and the place that lacks it.
    pub fn next(&self, key: &ClusterKey, now: Instant) -> Option<(String, Gap)> {
        self.clusters.get(key)?.next(now).map(|(mirror, gap)| (mirror.clone(), gap.clone()))
    }

    /// When a copy that failed is tried again.
    pub fn next_retry(&self) -> Option<Instant> {
        let waiting = |cluster: &Cluster| {
            let waits = cluster.wanted.keys().filter_map(|mirror| cluster.tried.get(mirror));
            waits.map(|tried| tried.until).min()
        };
        self.clusters.values().filter_map(waiting).min()
    }

    /// A copy ended. Returns whether this is news: whether it succeeded, or failed for another reason than before.
    pub fn done(
        &mut self,
        key: &ClusterKey,
        mirror: &str,
        result: Result<(), Failure>,
        (now, time): (Instant, Timestamp),
    ) -> bool {
        let Some(cluster) = self.clusters.get_mut(key) else { return false };
        let before = cluster.tried.get(mirror);
        let times = before.map_or(0, |tried| tried.times);
        let reason = |failure: &Failure| failure.reason;
        let failed = before.and_then(|tried| tried.failure.as_ref()).map(reason);
        let failure = result.err();
        let is_news = failure.as_ref().is_none_or(|failure| failed != Some(failure.reason));
        if failure.is_none() {
            cluster.wanted.remove(mirror);
            (cluster.copied, cluster.last_copy) = (cluster.copied + 1, Some(time));
        }
        cluster.has_news |= is_news;
        let wait = FIRST_RETRY.saturating_mul(1 << times.min(10)).min(LONGEST_RETRY);
        // Kept also after a success: a registry that loses what it takes is not filled without end.
        let tried = Tried { times: times.saturating_add(1), until: now + wait, failure };
        cluster.tried.insert(mirror.to_owned(), tried);
        is_news
    }

    /// Whether there is news to report, and nothing left to do now. Asked once.
    pub fn take_news(&mut self, key: &ClusterKey, now: Instant) -> bool {
        let Some(cluster) = self.clusters.get_mut(key) else { return false };
        cluster.next(now).is_none() && std::mem::take(&mut cluster.has_news)
    }

    /// What was done for a hosted cluster, and what is left.
    pub fn progress(&self, key: &ClusterKey) -> Progress {
        let Some(cluster) = self.clusters.get(key) else { return Progress::default() };
        let failed = cluster.wanted.iter().filter_map(|(mirror, gap)| {
            let failure = cluster.tried.get(mirror)?.failure.as_ref()?;
            let (image, mirror) = (gap.image.clone(), mirror.clone());
            Some(UnfilledImage { image, mirror, reason: failure.reason.to_owned(), message: failure.message.clone() })
        });
        Progress {
            copied: cluster.copied,
            last_copy: cluster.last_copy,
            remaining: cluster.wanted.len() + cluster.refused.len(),
            unfilled: cluster.refused.iter().cloned().chain(failed).collect(),
        }
    }

    /// So many copies are in the status.
    pub fn wrote(&mut self, key: &ClusterKey, copied: u64) {
        if let Some(cluster) = self.clusters.get_mut(key) {
            cluster.copied = cluster.copied.saturating_sub(copied);
        }
    }

    /// Images that are not there yet, of all hosted clusters. What several lack at one place counts once.
    pub fn remaining(&self) -> usize {
        let wanted = self.clusters.values().flat_map(|cluster| cluster.wanted.keys());
        let refused = self.clusters.values().flat_map(|cluster| cluster.refused.iter().map(|it| &it.mirror));
        wanted.chain(refused).collect::<BTreeSet<_>>().len()
    }
}

impl Cluster {
    fn next(&self, now: Instant) -> Option<(&String, &Gap)> {
        self.wanted.iter().find(|(mirror, _)| self.tried.get(*mirror).is_none_or(|tried| tried.until <= now))
    }
}

#[cfg(test)]
mod tests;
