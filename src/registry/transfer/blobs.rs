//! Moves one blob to everybody who lacks it.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::join_all;

use super::super::client::{BlobSource, Written};
use super::super::error::{Cause, RegistryError};
use super::super::wire::manifest::Descriptor;
use super::CopyError;
use super::plan::{Step, Transfer};
use super::progress::Arrival;
use super::run::Context;
use super::side::Side;
use super::source::SourceBlob;
use super::tee::tee;

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
        let (sent, mounted): (Vec<&Step>, Vec<&Step>) = transfer.steps.iter().partition(|step| step.from.is_empty());
        let sides: Vec<Side> = sent.iter().filter_map(|step| self.sides.get(step.first).cloned()).collect();
        let (pump, branches) = tee(&source, &sides, &self.progress);
        let sent = sent.into_iter().zip(branches).map(|(step, branch)| self.step(step, &source, Some(branch)));
        let mounted = mounted.into_iter().map(|step| self.step(step, &source, None));
        let ((), sent, mounted) = tokio::join!(pump.run(), join_all(sent), join_all(mounted));
        sent.into_iter().chain(mounted).flatten().collect()
    }

    pub(super) fn source(&self, blob: &Descriptor) -> SourceBlob {
        let candidates = self.sources.get(&blob.digest).cloned().unwrap_or_else(|| Arc::from([]));
        SourceBlob::new(blob.clone(), candidates)
    }

    /// Into one registry: sent to one repository, mounted to the others.
    async fn step(
        &self,
        step: &Step,
        source: &SourceBlob,
        branch: Option<super::tee::Branch>,
    ) -> Vec<(usize, Result<(), CopyError>)> {
        let first = match branch {
            // Let go of as soon as it is written: the pump waits for it.
            Some(branch) => self.write(step.first, source, &branch, &step.from).await,
            None => self.write_alone(step.first, source, &step.from).await,
        };
        let mut from = step.from.clone();
        if first.is_ok() {
            from.extend(self.sides.get(step.first).map(|side| side.key().repository));
        }
        let others = step
            .then
            .iter()
            .map(|side| async { (*side, self.write_alone(*side, source, &from).await.map_err(CopyError::from)) });
        let mut arrivals = join_all(others).await;
        arrivals.push((step.first, first.map_err(CopyError::from)));
        arrivals
    }

    /// With a read of its own, if there is anything to be read.
    pub(super) async fn write_alone(
        &self,
        side: usize,
        source: &SourceBlob,
        from: &[String],
    ) -> Result<(), RegistryError> {
        let to: Vec<Side> = self.sides.get(side).cloned().into_iter().collect();
        let (_, branches) = tee(source, &to, &self.progress);
        match branches.first() {
            Some(branch) => self.write(side, source, branch, from).await,
            None => Ok(()),
        }
    }

    async fn write(
        &self,
        side: usize,
        source: &SourceBlob,
        body: &dyn BlobSource,
        from: &[String],
    ) -> Result<(), RegistryError> {
        let Some(to) = self.sides.get(side) else { return Ok(()) };
        let (digest, size) = (source.digest(), source.size());
        self.progress.blob_begun(to, digest, size);
        let written = loop {
            match to.write_blob(body, from).await {
                // Somebody has other bytes than the digest says. The next one may have the right ones.
                Err(error) if is_lie(&error) && source.has_candidates() => {}
                written => break written,
            }
        };
        let arrival = match &written {
            Ok(Written::Uploaded) => Arrival::Uploaded,
            Ok(Written::Mounted) => Arrival::Mounted,
            Err(_) => Arrival::Failed,
        };
        self.count(arrival, size);
        self.progress.blob_ended(to, digest, arrival);
        written.map(|_| ())
    }
}

/// Whether the source sent something else.
fn is_lie(error: &RegistryError) -> bool {
    error.operation == "read the blob" && matches!(error.cause, Cause::Digest { .. } | Cause::TooLarge { .. })
}
