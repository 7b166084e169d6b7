//! Carries a plan out.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use futures::stream::{self, StreamExt as _};
use tokio::sync::{OnceCell, Semaphore, watch};
use tokio_util::sync::CancellationToken;

use super::super::wire::digest::Digest;
use super::blobs::Arrivals;
use super::fallback_tag::FallbackTags;
use super::image::Image;
use super::progress::{Arrival, CopyProgress};
use super::side::Side;
use super::survey::Survey;
use super::{Copier, CopyError, Outcome, Report};

/// Something that is done once at one destination.
type Cells = Mutex<HashMap<(usize, Digest), Arc<OnceCell<()>>>>;
/// How a blob fared, once that is known.
type Arriving = watch::Receiver<Option<Arc<Arrivals>>>;

/// What all tasks of one run share.
pub(super) struct Context {
    pub(super) sides: Vec<Side>,
    pub(super) sources: HashMap<Digest, Arc<[Side]>>,
    pub(super) found: HashSet<(usize, Digest)>,
    /// Blobs that destinations may hold: nobody asked.
    pub(super) unasked: HashSet<(usize, Digest)>,
    pub(super) progress: Arc<dyn CopyProgress>,
    pub(super) stop: CancellationToken,
    pub(super) fallback: FallbackTags,
    pub(super) arrivals: HashMap<Digest, Arriving>,
    written: Cells,
    confirmed: Cells,
    counts: Mutex<Counts>,
    warnings: Mutex<Vec<String>>,
}

#[derive(Clone, Copy, Default)]
struct Counts {
    bytes: u64,
    uploaded: usize,
    mounted: usize,
}

impl Context {
    /// Whether a manifest was written there.
    pub(super) fn written(&self, side: usize, digest: &Digest) -> Arc<OnceCell<()>> {
        cell(&self.written, side, digest)
    }

    /// Whether a blob that was found was looked for again.
    pub(super) fn confirmed(&self, side: usize, digest: &Digest) -> Arc<OnceCell<()>> {
        cell(&self.confirmed, side, digest)
    }

    pub(super) fn count(&self, arrival: Arrival, size: u64) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        match arrival {
            Arrival::Uploaded => {
                counts.uploaded += 1;
                counts.bytes += size;
            }
            Arrival::Mounted => counts.mounted += 1,
            Arrival::Failed => {}
        }
    }

    /// Notes what was left out.
    pub(super) fn warn(&self, warning: String) {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).push(warning);
    }
}

fn cell(cells: &Cells, side: usize, digest: &Digest) -> Arc<OnceCell<()>> {
    cells.lock().unwrap_or_else(PoisonError::into_inner).entry((side, digest.clone())).or_default().clone()
}

impl Copier {
    /// Does what the survey found is to be done.
    pub async fn run(&self, survey: Survey) -> Report {
        let Survey { plan, outcomes, mut warnings, sides, images, sources, found, unasked } = survey;
        let (mut senders, mut arrivals) = (Vec::new(), HashMap::new());
        for transfer in &plan.transfers {
            let (sender, receiver) = watch::channel(None);
            senders.push(sender);
            arrivals.insert(transfer.blob.digest.clone(), receiver);
        }
        let stop = self.stop.child_token();
        // Whoever lets go of a copy stops its tasks, too.
        let _end = stop.clone().drop_guard();
        let context = Arc::new(Context {
            sides,
            sources,
            found,
            unasked,
            progress: self.progress.clone(),
            stop,
            fallback: FallbackTags::default(),
            arrivals,
            written: Cells::default(),
            confirmed: Cells::default(),
            counts: Mutex::default(),
            warnings: Mutex::default(),
        });
        let most = self.options.concurrency.max(1);
        let moves = stream::iter(plan.transfers.into_iter().zip(senders)).map(|(transfer, sender)| {
            let context = context.clone();
            // Tasks of their own: blobs are hashed on all processors.
            tokio::spawn(async move {
                let arrivals = context.transfer(transfer).await;
                _ = sender.send(Some(Arc::new(arrivals)));
            })
        });
        let moves = moves.buffer_unordered(most).for_each(|_| std::future::ready(()));
        let turns = Semaphore::new(most);
        let delivered = futures::future::join_all(images.iter().map(|image| one(&context, image, &turns)));
        let ((), delivered) = tokio::join!(moves, delivered);
        let unlisted = context.fallback.settle().await;
        warnings.append(&mut context.warnings.lock().unwrap_or_else(PoisonError::into_inner));
        warnings.extend(unlisted.iter().map(ToString::to_string));
        let counts = *context.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<Outcome> = outcomes.into_iter().chain(delivered).collect();
        all.sort_by_key(|outcome| (outcome.job, outcome.destination));
        let Counts { bytes, uploaded, mounted } = counts;
        Report { outcomes: all, bytes, uploaded, mounted, warnings }
    }
}

async fn one(context: &Context, image: &Image, turns: &Semaphore) -> Outcome {
    let result = match context.arrived(image).await {
        Ok(()) => match turns.acquire().await {
            Ok(_turn) => context.deliver(image).await,
            Err(_) => Err(CopyError::Stopped),
        },
        Err(error) => Err(error),
    };
    let outcome = Outcome {
        job: image.job,
        destination: image.destination,
        digest: Some(image.content.digest.clone()),
        tag: Some(image.tag.clone()),
        result,
    };
    context.progress.image_ended(&outcome);
    outcome
}
