//! Needs × consumers × mirrors of one hosted cluster. Pure.

use std::collections::BTreeSet;

use hypermirror_api::MirrorCoverageStatus;
use hypermirror_api::hypershift::{HostedCluster, NodePool};
use hypermirror_api::mirror_coverage::MissingImage;

use super::consumers::Puller;
use super::html::Tone;
use crate::mirrors::ImageReference;
use crate::registry::coverage::needs::{Consumer, PoolNeeds, of_cluster};

/// What is known of a need of one consumer.
#[derive(Debug, PartialEq, Eq)]
pub struct Cell {
    pub tone: Tone,
    pub text: String,
    /// The registries that the consumer asks, in order.
    pub registries: Vec<String>,
}

/// A need: a release with its payload, or an image.
#[derive(Debug)]
pub struct Need {
    /// What it is a part of, for example `release 4.20.1`.
    pub group: String,
    /// Its image.
    pub image: String,
    /// One for each consumer; none where the consumer does not need it.
    pub cells: Vec<Option<Cell>>,
}

/// The needs of a hosted cluster by its objects, and for each consumer where it is pulled from and whether that is held.
pub fn needs(
    cluster: &HostedCluster,
    pools: &[&NodePool],
    pullers: &[Puller],
    coverage: Option<&MirrorCoverageStatus>,
) -> Vec<Need> {
    let pools: Vec<PoolNeeds> = pools.iter().map(|pool| PoolNeeds::from(*pool)).collect();
    let needed = of_cluster(cluster, &pools);
    let releases = needed.releases.iter().map(|release| (&release.group, &release.image, &release.consumers, true));
    let others = needed.others.iter().map(|other| (&other.group, &other.image, &other.consumers, other.is_release));
    let need = |(group, image, consumers, is_release): (&String, &String, &BTreeSet<Consumer>, bool)| Need {
        group: group.clone(),
        image: image.clone(),
        cells: pullers
            .iter()
            .map(|puller| {
                consumers.contains(&puller.consumer).then(|| cell(puller, (group, image), is_release, coverage))
            })
            .collect(),
    };
    releases.chain(others).map(need).collect()
}

fn cell(
    puller: &Puller,
    (group, image): (&str, &str),
    is_release: bool,
    coverage: Option<&MirrorCoverageStatus>,
) -> Cell {
    let answer = puller.answer(image, is_release);
    let registry = |reference: &str| ImageReference::parse(reference).map(|image| image.registry);
    let mut registries: Vec<String> =
        answer.endpoints.iter().filter_map(|endpoint| registry(&endpoint.reference).ok()).collect();
    registries.dedup();
    let (tone, text) = match (&answer.error, coverage) {
        (Some(error), _) => (Tone::Bad, error.clone()),
        (None, None) => (Tone::Unknown, "not checked".to_owned()),
        (None, Some(coverage)) => held(coverage, group, puller.consumer.name()),
    };
    Cell { tone, text, registries }
}

/// What a report says about a group of images of one consumer. It lists only what is missing, and unknown causes without their
/// images: what it does not list is held only if nothing is unknown and the list is complete.
fn held(coverage: &MirrorCoverageStatus, group: &str, consumer: &str) -> (Tone, String) {
    let is_of =
        |missing: &&MissingImage| missing.group == group && missing.consumer.split(',').any(|of| of.trim() == consumer);
    let missing: BTreeSet<&str> = coverage.missing.iter().filter(is_of).map(|missing| missing.image.as_str()).collect();
    let is_complete = !coverage.missing_truncated && coverage.counts.unknown == 0;
    match missing.len() {
        0 if coverage.last_check_time.is_none() => (Tone::Unknown, "not checked yet".to_owned()),
        0 if is_complete => (Tone::Good, "held".to_owned()),
        0 => (Tone::Unknown, "not known".to_owned()),
        count if coverage.missing_truncated => (Tone::Bad, format!("{count} or more missing")),
        count => (Tone::Bad, format!("{count} missing")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coverage(value: serde_json::Value) -> MirrorCoverageStatus {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn what_a_report_does_not_list_is_held_only_if_the_report_knows_everything() {
        let checked = serde_json::json!({"lastCheckTime": "2026-01-01T00:00:00Z"});
        assert_eq!(held(&coverage(checked), "release 1", "nodes").0, Tone::Good);
        let unknown = serde_json::json!({"lastCheckTime": "2026-01-01T00:00:00Z", "counts": {"held": 0, "missing": 0, "unknown": 1}});
        assert_eq!(held(&coverage(unknown), "release 1", "nodes").1, "not known");
        let cut = serde_json::json!({"lastCheckTime": "2026-01-01T00:00:00Z", "missingTruncated": true});
        assert_eq!(held(&coverage(cut), "release 1", "nodes").1, "not known");
        assert_eq!(held(&coverage(serde_json::json!({})), "release 1", "nodes").1, "not checked yet");
    }

    #[test]
    fn missing_images_count_for_their_consumers_once() {
        let missing = |consumer: &str, group: &str| serde_json::json!({"image": "a", "group": group, "consumer": consumer, "mirror": "m", "message": "x"});
        let status = coverage(serde_json::json!({
            "lastCheckTime": "2026-01-01T00:00:00Z",
            "missing": [missing("look-ups, workers", "release 1"), missing("workers", "release 1"), missing("edge", "release 2")]
        }));
        assert_eq!(held(&status, "release 1", "workers"), (Tone::Bad, "1 missing".to_owned()));
        assert_eq!(held(&status, "release 1", "edge").0, Tone::Good);
    }
}
