//! Which tags a run is about, and what becomes of them. Pure.

use hypermirror_api::image::ImageMode;
use hypermirror_api::{ImageReason, ImageSpec};

use super::failure::RunFailure;
use super::settings::Settings;
use super::version::{Pattern, Version};
use crate::registry::scan::filter::is_attachment;
use crate::registry::scan::order::by_version;

/// One tag of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagPlan {
    /// At the source.
    pub tag: String,
    /// At the destination.
    pub destination_tag: String,
    /// At the source.
    pub digest: Option<String>,
    /// What became of it.
    pub state: TagState,
}

/// What became of a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagState {
    /// It is to be compared.
    Pending,
    /// It differs: it is to be copied.
    Differs,
    /// The destination had it already.
    Unchanged,
    /// It was copied and read back.
    Copied,
    /// It could not be compared or copied.
    Failed(RunFailure),
}

impl TagPlan {
    fn new(settings: &Settings, tag: &str) -> Self {
        let destination_tag = settings.destination_tag.clone().unwrap_or_else(|| tag.to_owned());
        Self { tag: tag.to_owned(), destination_tag, digest: None, state: TagState::Pending }
    }

    /// Whether the destination has it as the source.
    pub const fn is_synced(&self) -> bool {
        matches!(self.state, TagState::Unchanged | TagState::Copied)
    }

    /// Why it could not be copied.
    pub const fn failure(&self) -> Option<&RunFailure> {
        if let TagState::Failed(failure) = &self.state { Some(failure) } else { None }
    }
}

/// The plan for an exact tag, which needs no list.
pub fn of_tag(settings: &Settings) -> Option<TagPlan> {
    if let Version::Tag(tag) = &settings.version { Some(TagPlan::new(settings, tag)) } else { None }
}

/// The plan for the tags of a list that match, newest first. In the mode `OnceByTag`, tags that were synced before are not looked
/// at again.
///
/// # Errors
/// More match than allowed, or none does and the Image is to be copied once.
pub fn of_list<'a>(
    spec: &ImageSpec,
    settings: &Settings,
    pattern: &Pattern,
    tags: impl IntoIterator<Item = &'a str>,
    already_synced: &[String],
) -> Result<Vec<TagPlan>, RunFailure> {
    let is_wanted = |tag: &&str| pattern.matches(tag, settings.allows_candidates) && !is_attachment(tag);
    let mut matching: Vec<&str> = tags.into_iter().filter(is_wanted).collect();
    matching.sort_unstable_by(|one, other| by_version(one, other));
    matching.dedup();
    let (count, most) = (matching.len(), settings.max_tags);
    if count > most {
        let message = format!(
            "{count} tags match {}, more than maxTags allows ({most}): nothing is copied. Narrow source.version, or raise maxTags",
            settings.version
        );
        return Err(RunFailure::new(ImageReason::TooManyTags, message));
    }
    if matching.is_empty() && spec.mode == ImageMode::OneShot {
        let message = format!("no tag of {} matches {}", settings.source.repository, settings.version);
        return Err(RunFailure::new(ImageReason::NoTagMatches, message));
    }
    let is_known = |tag: &str| spec.mode == ImageMode::OnceByTag && already_synced.iter().any(|known| known == tag);
    let plan = |tag: &str| {
        let state = if is_known(tag) { TagState::Unchanged } else { TagState::Pending };
        TagPlan { state, ..TagPlan::new(settings, tag) }
    };
    Ok(matching.into_iter().map(plan).collect())
}

/// What a run came to, if its tags could be compared and copied at all.
///
/// # Errors
/// None of the tags could: with the reason of the first. Some could: [`ImageReason::TagsFailed`].
pub fn judged(tags: &[TagPlan]) -> Result<(), RunFailure> {
    let mut failures = tags.iter().filter_map(|tag| Some((tag, tag.failure()?)));
    let Some((tag, first)) = failures.next() else { return Ok(()) };
    let count = 1 + failures.count();
    if count == tags.len() {
        return Err(first.clone());
    }
    let message =
        format!("{count} of {} tags could not be copied, the first: {}: {}", tags.len(), tag.tag, first.message);
    Err(RunFailure { reason: ImageReason::TagsFailed, message, ..first.clone() })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::settings::Rules;
    use super::*;

    fn spec(more: &Value) -> ImageSpec {
        let mut spec = json!({
            "mode": "OneShot",
            "source": {"name": "quay.io/argoproj/argocd", "version": "v2.13.x"},
            "destination": {"name": "r.example/argocd", "version": "v2.13.x"},
        });
        json_patch::merge(&mut spec, more);
        serde_json::from_value(spec).unwrap()
    }

    fn plan(more: &Value, tags: &[&str], already: &[&str]) -> Result<Vec<TagPlan>, RunFailure> {
        let spec = spec(more);
        let rules = Rules { destinations: vec!["r.example".parse().unwrap()], ..Rules::default() };
        let settings = Settings::of("ns", &spec, &rules).unwrap();
        let Version::Many(pattern) = settings.version.clone() else { panic!("one tag") };
        let already: Vec<String> = already.iter().map(|tag| (*tag).to_owned()).collect();
        of_list(&spec, &settings, &pattern, tags.iter().copied(), &already)
    }

    fn names(plan: &[TagPlan]) -> Vec<(&str, &str)> {
        plan.iter().map(|tag| (tag.tag.as_str(), tag.destination_tag.as_str())).collect()
    }

    #[test]
    fn candidates_are_copied_each_to_its_own_tag() {
        let candidates: Vec<String> = (1..=12).map(|number| format!("v2.13.0-rc{number}")).collect();
        let tags: Vec<&str> = candidates.iter().map(String::as_str).chain(["v2.14.0-rc1", "v2.13.0"]).collect();
        let found = plan(&json!({"allowCandidateRelease": true}), &tags, &[]).unwrap();
        assert_eq!(found.len(), 13);
        assert!(names(&found).iter().all(|(from, to)| from == to));
        assert_eq!((found[0].tag.as_str(), found[1].tag.as_str()), ("v2.13.0", "v2.13.0-rc12"), "newest first");
        assert_eq!(names(&plan(&json!({}), &tags, &[]).unwrap()), [("v2.13.0", "v2.13.0")]);
    }

    #[test]
    fn too_many_matches_are_a_failure_and_no_part_of_them_is_copied() {
        let tags: Vec<String> = (0..10_000).map(|number| format!("v2.13.{number}")).collect();
        let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
        let failure = plan(&json!({}), &tags, &[]).unwrap_err();
        assert_eq!(failure.reason, ImageReason::TooManyTags);
        assert!(failure.message.starts_with("10000 tags match 2.13.x, more than maxTags allows (200)"), "{failure:?}");
        assert!(plan(&json!({"maxTags": 3}), &tags[..4], &[]).is_err());
        assert_eq!(plan(&json!({"maxTags": 4}), &tags[..4], &[]).unwrap().len(), 4);
    }

    #[test]
    fn nothing_to_copy_is_a_failure_only_for_what_is_copied_once() {
        assert_eq!(plan(&json!({}), &["latest"], &[]).unwrap_err().reason, ImageReason::NoTagMatches);
        assert_eq!(plan(&json!({"mode": "OnceByTag"}), &["latest"], &[]), Ok(vec![]));
    }

    #[test]
    fn once_by_tag_does_not_look_at_a_tag_again() {
        let tags = ["v2.13.0", "v2.13.1"];
        let states = |mode: &str| {
            let found = plan(&json!({"mode": mode}), &tags, &["v2.13.0"]).unwrap();
            found.into_iter().map(|tag| tag.state).collect::<Vec<_>>()
        };
        assert_eq!(states("OnceByTag"), [TagState::Pending, TagState::Unchanged]);
        assert_eq!(states("Recurrent"), [TagState::Pending, TagState::Pending]);
    }

    #[test]
    fn some_failed_tags_are_another_reason_than_all() {
        let failed = |reason| TagState::Failed(RunFailure::new(reason, "no"));
        let run = |states: [TagState; 2]| {
            let found = plan(&json!({}), &["v2.13.0", "v2.13.1"], &[]).unwrap();
            let tags: Vec<TagPlan> =
                found.into_iter().zip(states).map(|(tag, state)| TagPlan { state, ..tag }).collect();
            judged(&tags).map_err(|failure| (failure.reason, failure.message))
        };
        assert_eq!(run([TagState::Copied, TagState::Unchanged]), Ok(()));
        let (reason, message) = run([TagState::Copied, failed(ImageReason::Forbidden)]).unwrap_err();
        assert_eq!(
            (reason, message.as_str()),
            (ImageReason::TagsFailed, "1 of 2 tags could not be copied, the first: v2.13.0: no")
        );
        let all = run([failed(ImageReason::Forbidden), failed(ImageReason::NotFound)]);
        assert_eq!(all.unwrap_err().0, ImageReason::Forbidden);
    }
}
