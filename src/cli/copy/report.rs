//! What a copy did, or would do, as it is printed and kept.

use std::collections::BTreeMap;

use indicatif::BinaryBytes;
use schemars::JsonSchema;
use serde::Serialize;

use super::super::console::{BAD, GOOD, HEADING, styled};
use super::places::{Goal, Item};
use crate::registry::Reason;
use crate::registry::transfer::{AnchorTemplate, CopyError, Done, Outcome, Report, Totals};

/// What became of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub enum State {
    /// It is there now.
    Copied,
    /// It was there, and nothing was written.
    Unchanged,
    /// It is not there, and would be copied.
    Planned,
    /// It is not there.
    Failed,
}

/// An image at one destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CopiedImage {
    /// The image as it was asked for.
    pub source: String,
    /// Where it goes to, with its name or tag there.
    pub destination: String,
    /// The digest of its manifest, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// What became of it.
    pub state: State,
    /// Why it failed; absent if it was stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// The same for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// How much was, or would be, moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Amount {
    /// Bytes of blobs that are sent to destinations; without those of manifests.
    pub bytes: u64,
    /// Blobs that are sent.
    pub blobs: usize,
    /// Blobs that the destination has in another repository, or for another image.
    pub mounted: usize,
}

/// Everything that was done, or would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(title = "hypermirror copy")]
pub struct CopyReport {
    /// Whether nothing was written.
    pub is_dry_run: bool,
    /// Each image for each destination.
    pub images: Vec<CopiedImage>,
    /// How much that is.
    pub amount: Amount,
    /// What was left out, such as signatures that could not be looked for.
    pub warnings: Vec<String>,
}

impl CopyReport {
    /// Of a copy.
    pub fn new(items: &[Item], anchor: &AnchorTemplate, report: &Report) -> Self {
        let images = report.outcomes.iter().filter_map(|outcome| image(items, anchor, outcome)).collect();
        let amount = Amount { bytes: report.bytes, blobs: report.uploaded, mounted: report.mounted };
        Self { is_dry_run: false, images, amount, warnings: report.warnings.clone() }
    }

    /// Of a survey: what has no outcome yet would be copied.
    pub fn planned(
        items: &[Item],
        anchor: &AnchorTemplate,
        outcomes: &[Outcome],
        totals: &Totals,
        warnings: &[String],
    ) -> Self {
        let known: BTreeMap<(usize, usize), &Outcome> =
            outcomes.iter().map(|outcome| ((outcome.job, outcome.destination), outcome)).collect();
        let mut images = Vec::new();
        for (job, item) in items.iter().enumerate() {
            for (place, goal) in item.goals.iter().enumerate() {
                if let Some(outcome) = known.get(&(job, place)) {
                    images.extend(image(items, anchor, outcome));
                } else {
                    let destination = shown(goal, None);
                    let source = item.name.clone();
                    let (state, digest, reason, message) = (State::Planned, None, None, None);
                    images.push(CopiedImage { source, destination, digest, state, reason, message });
                }
            }
        }
        let amount = Amount { bytes: totals.upload_bytes, blobs: totals.uploads, mounted: totals.mounts };
        Self { is_dry_run: true, images, amount, warnings: warnings.to_vec() }
    }

    fn count(&self, state: State) -> usize {
        self.images.iter().filter(|image| image.state == state).count()
    }

    /// Exit codes: 0 everything is there, or can be copied; 1 something cannot be copied; 3 something is not known, or was stopped.
    pub fn exit_code(&self) -> u8 {
        let failed = || self.images.iter().filter(|image| image.state == State::Failed);
        let is_final = |image: &CopiedImage| {
            matches!(image.reason, Some(Reason::NotFound | Reason::Invalid | Reason::Refused | Reason::Unsupported))
        };
        match (failed().any(is_final), failed().next()) {
            (true, _) => 1,
            (false, Some(_)) => 3,
            (false, None) => 0,
        }
    }

    /// For people: what failed, and how much was done.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let is_shown = |image: &&CopiedImage| image.state != State::Unchanged;
        for CopiedImage { source, destination, state, message, .. } in self.images.iter().filter(is_shown) {
            let word = match state {
                State::Failed => styled(BAD, "failed"),
                State::Planned => "would copy".to_owned(),
                State::Copied | State::Unchanged => styled(GOOD, "copied"),
            };
            let plain = |text: &str| styled(anstyle::Style::new(), text);
            text.extend([&word, " ", &plain(source), " -> ", &plain(destination), "\n"]);
            if let Some(message) = message {
                text.extend(["  ", &plain(message), "\n"]);
            }
        }
        let Amount { bytes, blobs, mounted } = self.amount;
        let done = if self.is_dry_run {
            format!("{} to copy", self.count(State::Planned))
        } else {
            format!("{} copied", self.count(State::Copied))
        };
        let summary = format!(
            "{} images: {done}, {} unchanged, {} failed; {} in {blobs} blobs{}, {mounted} mounted",
            self.images.len(),
            self.count(State::Unchanged),
            self.count(State::Failed),
            BinaryBytes(bytes),
            if self.is_dry_run { " to send" } else { " sent" },
        );
        text + &styled(HEADING, summary) + "\n"
    }
}

fn image(items: &[Item], anchor: &AnchorTemplate, outcome: &Outcome) -> Option<CopiedImage> {
    let item = items.get(outcome.job)?;
    let goal = item.goals.get(outcome.destination)?;
    let tag = outcome.tag.clone().or_else(|| outcome.digest.as_ref().map(|digest| anchor.tag(digest)));
    let (state, reason, message) = match &outcome.result {
        Ok(Done::Copied) => (State::Copied, None, None),
        Ok(Done::Unchanged) => (State::Unchanged, None, None),
        Err(error) => {
            let reason = match error {
                CopyError::Registry(error) => Some(error.reason()),
                CopyError::Stopped => None,
            };
            (State::Failed, reason, Some(error.to_string()))
        }
    };
    let digest = outcome.digest.as_ref().map(ToString::to_string);
    Some(CopiedImage { source: item.name.clone(), destination: shown(goal, tag), digest, state, reason, message })
}

fn shown(goal: &Goal, tag: Option<String>) -> String {
    match goal {
        Goal::Registry(repository, own) => {
            let tag = tag.or_else(|| own.clone()).map(|tag| format!(":{tag}"));
            format!("{repository}{}", tag.unwrap_or_default())
        }
        Goal::Layout { path, name, .. } if name.is_empty() => path.to_string(),
        Goal::Layout { path, name, .. } => format!("{path}:{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(failures: &[Option<Reason>]) -> CopyReport {
        let image = |state, reason| CopiedImage {
            source: "quay.io/a:1".to_owned(),
            destination: "m.corp/a:1".to_owned(),
            digest: None,
            state,
            reason,
            message: (state == State::Failed).then(|| "why\u{1b}[2J".to_owned()),
        };
        let mut images = vec![image(State::Copied, None), image(State::Unchanged, None)];
        images.extend(failures.iter().map(|reason| image(State::Failed, *reason)));
        let amount = Amount { bytes: 2_048, blobs: 2, mounted: 1 };
        CopyReport { is_dry_run: false, images, amount, warnings: Vec::new() }
    }

    #[test]
    fn what_cannot_be_copied_decides_before_what_is_not_known() {
        assert_eq!(report(&[]).exit_code(), 0);
        assert_eq!(report(&[Some(Reason::Unreachable)]).exit_code(), 3);
        assert_eq!(report(&[None]).exit_code(), 3, "stopped");
        assert_eq!(report(&[None, Some(Reason::NotFound)]).exit_code(), 1);
    }

    #[test]
    fn people_see_what_moved_what_failed_and_why() {
        let text = report(&[Some(Reason::NotFound)]).text();
        assert!(text.contains("-> m.corp/a:1") || text.contains("m.corp/a:1"), "{text}");
        assert!(
            text.contains("3 images: 1 copied, 1 unchanged, 1 failed; 2.00 KiB in 2 blobs sent, 1 mounted"),
            "{text}"
        );
        assert!(!text.contains('\u{1b}'), "{text}");
    }
}
