//! What a copy did, or would do, as it is printed and kept.

use std::collections::BTreeMap;
use std::time::Duration;

use indicatif::{BinaryBytes, HumanDuration};
use schemars::JsonSchema;
use serde::Serialize;

use super::super::console::{BAD, GOOD, HEADING, styled};
use super::cost::{self, RegistryCost};
use super::places::{Goal, Item};
use crate::registry::Reason;
use crate::registry::requests::Traffic;
use crate::registry::transfer::{AnchorTemplate, Bill, CopyError, Done, Outcome, Report, Survey};

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
    /// Bytes of all blobs of the images to copy, at each destination once. Only with `--dry-run`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_bytes: Option<u64>,
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
    /// What each registry has to do, or had to do.
    pub registries: Vec<RegistryCost>,
    /// The rate at which blobs were sent; with `--dry-run` that of `--rate-from`. Absent if none was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_per_second: Option<u64>,
    /// How long the copy takes at this rate. Only with `--dry-run`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
    /// What was left out, such as signatures that could not be looked for.
    pub warnings: Vec<String>,
}

impl CopyReport {
    /// Of a copy.
    pub fn new(items: &[Item], anchor: &AnchorTemplate, report: &Report) -> Self {
        let images = report.outcomes.iter().filter_map(|outcome| image(items, anchor, outcome)).collect();
        let amount = Amount { bytes: report.bytes, blobs: report.uploaded, mounted: report.mounted, total_bytes: None };
        Self::of(false, images, amount, &report.warnings)
    }

    fn of(is_dry_run: bool, images: Vec<CopiedImage>, amount: Amount, warnings: &[String]) -> Self {
        let (registries, warnings) = (Vec::new(), warnings.to_vec());
        Self { is_dry_run, images, amount, registries, bytes_per_second: None, seconds: None, warnings }
    }

    /// With what was sent, and the rate of blobs in this time.
    pub fn with_traffic(self, traffic: &BTreeMap<String, Traffic>, time: Duration) -> Self {
        let bytes_per_second = cost::rate(self.amount.bytes, time);
        Self { registries: RegistryCost::counted(traffic), bytes_per_second, ..self }
    }

    /// With what is to be sent, and how long that takes at a rate.
    pub fn with_bill(self, bill: &Bill, traffic: &BTreeMap<String, Traffic>, rate: Option<u64>) -> Self {
        let seconds = rate.and_then(|rate| self.amount.bytes.checked_add(rate - 1)?.checked_div(rate));
        let amount = Amount { total_bytes: Some(bill.total_bytes), ..self.amount };
        let registries = RegistryCost::estimated(traffic, bill);
        Self { amount, registries, bytes_per_second: rate, seconds, ..self }
    }

    /// Of a survey: what has no outcome yet would be copied.
    pub fn planned(items: &[Item], anchor: &AnchorTemplate, survey: &Survey) -> Self {
        let (outcomes, totals) = (&survey.outcomes, survey.totals());
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
        let (bytes, blobs, mounted) = (totals.upload_bytes, totals.uploads, totals.mounts);
        Self::of(true, images, Amount { bytes, blobs, mounted, total_bytes: None }, &survey.warnings)
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
        let Amount { bytes, blobs, mounted, .. } = self.amount;
        let done = if self.is_dry_run {
            format!("{} to copy", self.count(State::Planned))
        } else {
            format!("{} copied", self.count(State::Copied))
        };
        let summary = format!(
            "{}: {done}, {} unchanged, {} failed; {} in {}{}, {mounted} mounted",
            amount(self.images.len(), "image"),
            self.count(State::Unchanged),
            self.count(State::Failed),
            BinaryBytes(bytes),
            amount(blobs, "blob"),
            if self.is_dry_run { " to send" } else { " sent" },
        );
        text + &styled(HEADING, summary) + "\n" + &self.bill_text()
    }

    /// Only before a copy: afterwards nobody has to decide.
    fn bill_text(&self) -> String {
        if !self.is_dry_run {
            return String::new();
        }
        let registries = self.registries.iter().map(RegistryCost::text).collect::<String>();
        let quota = cost::unknown_quota(&self.registries);
        let bytes = self.amount.total_bytes.map_or_else(String::new, |total| {
            format!("bytes: {} of {} have to be sent\n", BinaryBytes(self.amount.bytes), BinaryBytes(total))
        });
        let time = match (self.seconds, self.bytes_per_second) {
            (Some(seconds), Some(rate)) => {
                format!("time: {} at {}/s\n", HumanDuration(Duration::from_secs(seconds)), BinaryBytes(rate))
            }
            _ => "time: unknown, because no rate was measured; --rate-from takes the JSON report of an earlier copy\n"
                .to_owned(),
        };
        registries + &quota + &bytes + &time
    }
}

fn amount(count: usize, what: &str) -> String {
    if count == 1 { format!("{count} {what}") } else { format!("{count} {what}s") }
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
        let amount = Amount { bytes: 2_048, blobs: 2, mounted: 1, total_bytes: None };
        CopyReport::of(false, images, amount, &[])
    }

    #[test]
    fn what_cannot_be_copied_decides_before_what_is_not_known() {
        assert_eq!(report(&[]).exit_code(), 0);
        assert_eq!(report(&[Some(Reason::Unreachable)]).exit_code(), 3);
        assert_eq!(report(&[None]).exit_code(), 3, "stopped");
        assert_eq!(report(&[None, Some(Reason::NotFound)]).exit_code(), 1);
    }

    #[test]
    fn the_time_is_unknown_without_a_rate() {
        let planned = CopyReport { is_dry_run: true, ..report(&[]) };
        let with = |rate| planned.clone().with_bill(&Bill::default(), &BTreeMap::new(), rate);
        assert!(with(None).text().contains("time: unknown"), "{}", with(None).text());
        assert_eq!((with(Some(1_000)).seconds, with(None).seconds), (Some(3), None));
        assert!(with(Some(1_000)).text().contains("time: 3 seconds at 1000 B/s"), "{}", with(Some(1_000)).text());
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
