//! Imports one image: never over another one.

use std::sync::Arc;

use hypermirror_api::ImportRuleSpec;
use hypermirror_api::import_rule::ImportEnd;
use tokio_util::sync::CancellationToken;

use super::super::agenda::ObjectKey;
use super::super::context::Context;
use super::super::image::defaults::EndDefaults;
use super::super::image::failure::RunFailure;
use super::super::image::settings::end;
use super::super::image::sides::OpenEnd;
use super::ledger::{Ended, ImportFailure, Imported};
use super::plan::Wanted;
use super::rule::image_end;
use crate::registry::transfer::progress::Silent;
use crate::registry::transfer::{Copier, CopyError, CopyOptions, Destination, Done, Job, Side};
use crate::registry::{Reference, RegistryError, Repository};

/// Blobs that are copied at once: whoever pulls from the same registry comes first.
const AT_ONCE: usize = 8;

impl From<RunFailure> for ImportFailure {
    fn from(failure: RunFailure) -> Self {
        Self { reason: failure.reason.as_str(), message: failure.message }
    }
}

fn failed(error: &RegistryError) -> ImportFailure {
    RunFailure::from(error).into()
}

/// Copies what the destination lacks, by digest where the pods name one, else by tag.
pub async fn import(ctx: &Context, spec: &ImportRuleSpec, wanted: &Wanted) -> Ended {
    let defaults = &ctx.images.rules.defaults;
    let source = side(ctx, &wanted.rule, &wanted.source, &spec.source, &defaults.source).await;
    let source = source.map_err(|failure| failure.at("source"))?;
    let destination = side(ctx, &wanted.rule, &wanted.destination, &spec.destination, &defaults.destination).await;
    let destination = destination.map_err(|failure| failure.at("destination"))?;
    refuse_to_replace(&source, &destination, &wanted.reference).await?;
    let tag = match &wanted.reference {
        Reference::Tag(tag) => Some(tag.clone()),
        Reference::Digest(_) => None,
    };
    let job = Job {
        sources: vec![source],
        reference: wanted.reference.clone(),
        destinations: vec![Destination { side: destination, tag }],
    };
    let stop = CancellationToken::new();
    // An import that is dropped, because another replica leads, must not go on in tasks of its own.
    let _stopped = stop.clone().drop_guard();
    // Also below a manifest that is there: the destination may have lost one of its blobs.
    let options = CopyOptions { concurrency: AT_ONCE, is_thorough: true, ..CopyOptions::default() };
    let report = Copier::new(options, Arc::new(Silent), stop).copy(vec![job]).await;
    let Some(outcome) = report.outcomes.into_iter().next() else {
        return Ok(Imported { digest: None, bytes: 0, is_new: false });
    };
    match outcome.result {
        Ok(done) => {
            let digest = outcome.digest.map(|digest| digest.to_string());
            Ok(Imported { digest, bytes: report.bytes, is_new: done == Done::Copied })
        }
        Err(CopyError::Registry(error)) => Err(failed(&error)),
        Err(stopped @ CopyError::Stopped) => Err(ImportFailure { reason: "Timeout", message: stopped.to_string() }),
    }
}

async fn side(
    ctx: &Context,
    rule: &ObjectKey,
    repository: &Repository,
    spec: &ImportEnd,
    defaults: &EndDefaults,
) -> Result<Side, RunFailure> {
    let image = image_end(spec, repository);
    let mut repository = repository.clone();
    if spec.plain_http == Some(true) {
        repository.registry = repository.registry.over_http();
    }
    let place = end(repository, &image, defaults);
    Ok(OpenEnd::open(ctx, rule, &place, &image, defaults.credential.as_ref()).await?.side)
}

/// A tag that names another image at the destination stays as it is: somebody pushed that, and pods may run it.
async fn refuse_to_replace(source: &Side, destination: &Side, reference: &Reference) -> Result<(), ImportFailure> {
    if matches!(reference, Reference::Digest(_)) {
        return Ok(());
    }
    let held = destination.digest(reference).await.map_err(|error| failed(&error))?;
    let Some(held) = held else { return Ok(()) };
    let offered = source.digest(reference).await.map_err(|error| failed(&error))?;
    if offered.as_ref() == Some(&held) {
        return Ok(());
    }
    let offered = offered.map_or_else(|| "nothing".to_owned(), |digest| digest.to_string());
    let message = format!("{destination}:{reference} is {held}, and {source} has {offered}; a tag is never replaced");
    Err(ImportFailure { reason: "TagDiffers", message })
}
