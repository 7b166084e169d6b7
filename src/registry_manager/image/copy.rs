//! Copies the tags of a plan that differ.

use std::sync::Arc;

use hypermirror_api::ImageReason;
use tokio_util::sync::CancellationToken;

use super::failure::RunFailure;
use super::plan::{TagPlan, TagState};
use super::settings::Settings;
use super::sides::Sides;
use crate::registry::Reference;
use crate::registry::transfer::progress::Silent;
use crate::registry::transfer::{Copier, CopyError, CopyOptions, Destination, Job};

/// Copies the tags that differ, and notes what became of each. Returns the bytes that were sent.
pub async fn copy(sides: &Sides, settings: &Settings, tags: &mut [TagPlan]) -> u64 {
    let mut differing: Vec<&mut TagPlan> = tags.iter_mut().filter(|tag| tag.state == TagState::Differs).collect();
    let job = |tag: &&mut TagPlan| Job {
        sources: vec![sides.source.clone()],
        reference: Reference::Tag(tag.tag.clone()),
        destinations: vec![Destination { side: sides.destination.clone(), tag: Some(tag.destination_tag.clone()) }],
    };
    let jobs: Vec<Job> = differing.iter().map(job).collect();
    let stop = CancellationToken::new();
    // A run that is aborted, because its Image changed or another replica leads, must not go on in tasks of its own.
    let _stopped = stop.clone().drop_guard();
    let options = CopyOptions {
        platforms: settings.platforms.clone(),
        has_attachments: settings.has_referrers,
        ..CopyOptions::default()
    };
    let report = Copier::new(options, Arc::new(Silent), stop).copy(jobs).await;
    for outcome in report.outcomes {
        let Some(tag) = differing.get_mut(outcome.job) else { continue };
        if let Some(digest) = outcome.digest {
            tag.digest = Some(digest.to_string());
        }
        tag.state = match outcome.result {
            Ok(_) => TagState::Copied,
            Err(CopyError::Registry(error)) => TagState::Failed(RunFailure::from(&error)),
            Err(stopped @ CopyError::Stopped) => {
                TagState::Failed(RunFailure::new(ImageReason::Timeout, stopped.to_string()))
            }
        };
    }
    for warning in report.warnings {
        tracing::info!(destination = %sides.destination, warning, "a copy left something out");
    }
    report.bytes
}
