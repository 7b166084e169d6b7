//! Moves one blob to everybody who lacks it.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::join_all;

use super::super::client::{BlobSource, Offer, Presence, Written};
use super::super::error::{Cause, RegistryError};
use super::super::wire::digest::Digest;
use super::super::wire::manifest::Descriptor;
use super::CopyError;
use super::plan::{Step, Transfer};
use super::progress::Arrival;
use super::run::Context;
use super::side::Side;
use super::source::SourceBlob;
use super::tee::{Branch, tee};

/// How a blob fared at each destination.
pub(super) type Arrivals = BTreeMap<usize, Result<(), CopyError>>;

impl Context {
    /// Moves a blob; stops when somebody wants that.
    pub(super) async fn transfer(self: Arc<Self>, transfer: Transfer) -> Arrivals {
        let everywhere = transfer.steps.iter().flat_map(|step| [step.first].into_iter().chain(step.then.clone()));
        let stopped = everywhere.map(|side| (side, Err(CopyError::Stopped))).collect();
        if self.stop.is_cancelled() {
            return stopped;
        }
        tokio::select! {
            arrivals = self.moved(&transfer) => arrivals,
            () = self.stop.cancelled() => stopped,
        }
    }

    async fn moved(&self, transfer: &Transfer) -> Arrivals {
        let source = self.source(&transfer.blob);
        let steps: Vec<Step> = transfer.steps.iter().flat_map(|step| self.spread(step)).collect();
        let firsts: Vec<usize> = steps.iter().map(|step| step.first).collect();
        let (pump, branches) = tee(&source, &self.sides_of(&firsts), &self.progress);
        let all = steps.iter().zip(branches).map(|(step, branch)| self.step(step, &source, branch));
        let ((), arrivals) = tokio::join!(pump.run(), join_all(all));
        arrivals.into_iter().flatten().collect()
    }

    /// Where mounts lead nowhere, every repository takes part in the first read: later ones would read once more.
    fn spread(&self, step: &Step) -> Vec<Step> {
        if !self.sides.get(step.first).is_some_and(Side::ignores_mounts) {
            return vec![step.clone()];
        }
        let all = [step.first].into_iter().chain(step.then.iter().copied());
        all.map(|first| Step { first, from: step.from.clone(), then: Vec::new() }).collect()
    }

    fn sides_of(&self, numbers: &[usize]) -> Vec<Side> {
        numbers.iter().filter_map(|number| self.sides.get(*number).cloned()).collect()
    }

    pub(super) fn source(&self, blob: &Descriptor) -> SourceBlob {
        let candidates = self.sources.get(&blob.digest).cloned().unwrap_or_else(|| Arc::from([]));
        SourceBlob::new(blob.clone(), candidates)
    }

    /// Into one registry: sent to one repository, mounted to the others. Those that do not mount it share one more read.
    async fn step(&self, step: &Step, source: &SourceBlob, branch: Branch) -> Vec<(usize, Result<(), CopyError>)> {
        let presence = self.presence(step.first, source.digest());
        // Its branch ends with it: the pump waits for that.
        let first = self.write(step.first, branch, &step.from, presence).await;
        let mut from = step.from.clone();
        if first.is_ok() {
            from.extend(self.sides.get(step.first).map(|side| side.key().repository));
        }
        let (pump, branches) = tee(source, &self.sides_of(&step.then), &self.progress);
        let others = step.then.iter().zip(branches).map(|(side, branch)| {
            let (from, presence) = (&from, self.presence(*side, source.digest()));
            async move { (*side, self.write(*side, branch, from, presence).await.map_err(CopyError::from)) }
        });
        let ((), mut arrivals) = tokio::join!(pump.run(), join_all(others));
        arrivals.push((step.first, first.map_err(CopyError::from)));
        arrivals
    }

    fn presence(&self, side: usize, digest: &Digest) -> Presence {
        if self.unasked.contains(&(side, digest.clone())) { Presence::Unknown } else { Presence::Absent }
    }

    /// With a read of its own, to a side that does not hold it.
    pub(super) async fn write_alone(&self, side: usize, source: &SourceBlob) -> Result<(), RegistryError> {
        let (_, branches) = tee(source, &self.sides_of(&[side]), &self.progress);
        for branch in branches {
            self.write(side, branch, &[], Presence::Absent).await?;
        }
        Ok(())
    }

    async fn write(
        &self,
        side: usize,
        branch: Branch,
        from: &[String],
        presence: Presence,
    ) -> Result<(), RegistryError> {
        let Some(to) = self.sides.get(side) else { return Ok(()) };
        let (digest, size) = (branch.digest().clone(), branch.size());
        self.progress.blob_begun(to, &digest, size);
        let written = written(to, &branch, from, presence).await;
        drop(branch);
        let arrival = match &written {
            Ok(Written::Uploaded) => Arrival::Uploaded,
            Ok(Written::Mounted) => Arrival::Mounted,
            Err(_) => Arrival::Failed,
        };
        self.count(arrival, size);
        self.progress.blob_ended(to, &digest, arrival);
        written.map(|_| ())
    }
}

async fn written(to: &Side, branch: &Branch, from: &[String], presence: Presence) -> Result<Written, RegistryError> {
    let mut begun = match to.offer_blob((branch.digest(), branch.size()), from, presence).await? {
        Offer::Held => return Ok(Written::Mounted),
        Offer::Wanted(begun) => begun,
    };
    loop {
        match to.write_blob(branch, begun.take()).await {
            // Somebody has other bytes than the digest says. The next one may have the right ones.
            Err(error) if is_lie(&error) && branch.has_candidates() => {}
            written => return written,
        }
    }
}

/// Whether the source sent something else.
fn is_lie(error: &RegistryError) -> bool {
    error.operation == "read the blob" && matches!(error.cause, Cause::Digest { .. } | Cause::TooLarge { .. })
}
