//! What is missing and what is not known, within limits.

use std::collections::HashMap;

use hypermirror_api::mirror_coverage::{MissingImage, UnknownCause};

use super::super::super::status::shown;
use crate::registry::coverage::matrix::Verdict;
use crate::registry::coverage::report::{ImageVerdict, Report, UnreadRelease};

/// Bytes of all missing images as JSON.
const MISSING_BYTES: usize = 100 * 1024;
/// Missing images that are looked at; more do not fit anyway.
const MAX_MISSING: usize = 1_000;
/// Causes that are listed.
const MAX_CAUSES: usize = 10;

/// What is missing, and whether the list is truncated. What several consumers lack at the same place is listed once.
pub fn missing(images: &[ImageVerdict]) -> (Vec<MissingImage>, bool) {
    let mut found: Vec<MissingImage> = Vec::new();
    let mut places: HashMap<(String, String, Option<String>, String), usize> = HashMap::new();
    let mut is_truncated = false;
    for (image, missing) in images.iter().flat_map(|image| of(image).map(move |missing| (image, missing))) {
        let key = (missing.image.clone(), missing.mirror.clone(), missing.platform.clone(), missing.message.clone());
        if let Some(known) = places.get(&key).and_then(|place| found.get_mut(*place)) {
            if !known.consumer.split(", ").any(|consumer| consumer == image.consumer) {
                known.consumer.push_str(", ");
                known.consumer.push_str(&image.consumer);
            }
        } else if found.len() < MAX_MISSING {
            places.insert(key, found.len());
            found.push(missing);
        } else {
            is_truncated = true;
        }
    }
    let (found, is_cut) = fitting(found);
    (found, is_truncated || is_cut)
}

/// The first ones that fit.
fn fitting(all: Vec<MissingImage>) -> (Vec<MissingImage>, bool) {
    let (mut found, mut left) = (Vec::with_capacity(all.len()), MISSING_BYTES);
    for missing in all {
        // With the comma.
        let bytes = serde_json::to_string(&missing).map_or(usize::MAX, |text| text.len() + 1);
        if bytes > left {
            return (found, true);
        }
        left -= bytes;
        found.push(missing);
    }
    (found, false)
}

/// What one consumer lacks of one image.
fn of(image: &ImageVerdict) -> impl Iterator<Item = MissingImage> {
    let lacking = match &image.verdict {
        Verdict::Missing { lacking } => lacking.as_slice(),
        Verdict::Held { .. } | Verdict::Unknown { .. } => &[],
    };
    lacking.iter().flat_map(move |place| {
        place.parts.iter().map(move |part| MissingImage {
            image: image.image.clone(),
            group: image.group.clone(),
            name: image.name.clone(),
            consumer: image.consumer.clone(),
            mirror: place.reference.clone(),
            platform: part.platform.clone(),
            message: shown(&part.to_string()),
        })
    })
}

/// The first thing that is missing, in one line.
pub fn first_missing(images: &[ImageVerdict]) -> String {
    let first = images.iter().find_map(|image| of(image).next());
    first.map_or_else(String::new, |it| {
        let name = if it.name.is_empty() { String::new() } else { format!(" ({}, {})", it.group, it.name) };
        format!("{}{name} for {}: {}: {}", it.image, it.consumer, it.mirror, it.message)
    })
}

/// The first thing that is not known, in one line.
pub fn first_unknown(report: &Report) -> String {
    unknown(report).into_iter().next().map(|cause| cause.message).unwrap_or_default()
}

/// Why it is not known what a release needs.
pub fn why_unread(release: &UnreadRelease) -> String {
    let why = release.errors.first().map_or("it is pulled from nowhere", String::as_str);
    format!("failed to read what release {} needs: {why}", release.image)
}

/// Why something is not known: releases first, because nothing is known of their images.
pub fn unknown(report: &Report) -> Vec<UnknownCause> {
    let mut causes: Vec<UnknownCause> = Vec::new();
    let mut add = |reason: String, message: &str| match causes.iter_mut().find(|cause| cause.reason == reason) {
        Some(cause) => cause.images += 1,
        None => causes.push(UnknownCause { reason, message: shown(message), images: 1 }),
    };
    for release in &report.unread_releases {
        add("ReleaseNotReadable".to_owned(), &why_unread(release));
    }
    for image in &report.images {
        if let Verdict::Unknown { reason, message, .. } = &image.verdict {
            add(format!("{reason:?}"), message);
        }
    }
    causes.truncate(MAX_CAUSES);
    causes
}
