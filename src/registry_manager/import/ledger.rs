//! What was imported, what is being imported, and what has to wait. Pure: the time comes from the caller.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hypermirror_api::import_rule::ImportLine;
use hypermirror_api::{ImportReason, ImportRuleStatus};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::super::agenda::ObjectKey;
use super::super::due::elapsed;
use super::super::status::shown;
use super::plan::{Plan, Wanted};
use super::rule::{Refusal, Rule};

/// In which the imports of a rule are counted.
const WINDOW: Duration = Duration::from_hours(1);
/// Wait before an import that failed is tried again; doubled each time.
const FIRST_RETRY: Duration = Duration::from_mins(1);
/// Wait before an image is looked at again that its pods still cannot pull: a kubelet tries again within 5 min.
const FIRST_LOOK: Duration = Duration::from_mins(10);
/// The longest of these waits.
const LONGEST_WAIT: Duration = Duration::from_hours(1);
/// Attempts that the status lists.
const MAX_LINES: usize = 20;

/// An import that did not fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The digest of the image.
    pub digest: Option<String>,
    /// Bytes that were sent.
    pub bytes: u64,
    /// Whether anything was missing.
    pub is_new: bool,
}

/// Why an image was not imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportFailure {
    /// One of a fixed set.
    pub reason: &'static str,
    /// For people.
    pub message: String,
}

/// How an attempt ended.
pub type Ended = Result<Imported, ImportFailure>;

/// The result of an import, as the status and events have it.
pub const IMPORTED: &str = "Imported";
/// The destination had the image: its pods fail for another reason.
pub const ALREADY_THERE: &str = "AlreadyThere";

#[derive(Debug)]
struct Tried {
    rule: ObjectKey,
    times: u32,
    until: Timestamp,
}

#[derive(Debug)]
struct Record {
    uid: String,
    /// Without conditions.
    status: ImportRuleStatus,
    /// Why no image of the rule can be imported, as far as the last attempt shows.
    trouble: Option<Refusal>,
}

/// All rules.
#[derive(Debug, Default)]
pub struct Ledger {
    tried: BTreeMap<String, Tried>,
    running: BTreeSet<String>,
    records: BTreeMap<ObjectKey, Record>,
}

impl Ledger {
    /// A rule exists: what an earlier process did for it counts. A rule of the same name that is created later begins anew.
    pub fn know(&mut self, key: &ObjectKey, uid: &str, status: Option<&ImportRuleStatus>) {
        if self.records.get(key).is_none_or(|record| record.uid != uid) {
            let status = ImportRuleStatus { conditions: Vec::new(), ..status.cloned().unwrap_or_default() };
            self.records.insert(key.clone(), Record { uid: uid.to_owned(), status, trouble: None });
        }
    }

    /// A rule has another spec: what failed is tried again at once.
    pub fn edited(&mut self, key: &ObjectKey) {
        self.tried.retain(|_, tried| tried.rule != *key);
        if let Some(record) = self.records.get_mut(key) {
            record.trouble = None;
        }
    }

    /// Why no image of a rule can be imported, as far as its last attempt shows.
    pub fn trouble(&self, key: &ObjectKey) -> Option<&Refusal> {
        self.records.get(key)?.trouble.as_ref()
    }

    /// Only these rules exist.
    pub fn keep(&mut self, exists: impl Fn(&ObjectKey) -> bool) {
        self.records.retain(|key, _| exists(key));
    }

    /// What was done for a rule, without conditions.
    pub fn status(&self, key: &ObjectKey) -> ImportRuleStatus {
        self.records.get(key).map(|record| record.status.clone()).unwrap_or_default()
    }

    /// Until when a rule has to wait, because it imported as much as it may.
    pub fn limited(&self, key: &ObjectKey, rule: &Rule, now: Timestamp) -> Option<Timestamp> {
        let status = &self.records.get(key)?.status;
        let until = status.window_start_time.as_ref()?.0.checked_add(WINDOW).ok()?;
        (until > now && status.window_imports >= i64::from(rule.per_hour)).then_some(until)
    }

    /// The imports to begin now, at most so many. They count as running until [`Self::done`].
    pub fn begin(
        &mut self,
        plan: &Plan,
        rules: &BTreeMap<ObjectKey, Rule>,
        at_once: usize,
        now: Timestamp,
    ) -> Vec<(String, Wanted)> {
        self.tried.retain(|name, _| plan.wanted.contains_key(name) || self.running.contains(name));
        let mut begun = Vec::new();
        for (name, wanted) in &plan.wanted {
            let is_waiting = self.tried.get(name).is_some_and(|tried| tried.until > now);
            let Some(rule) = rules.get(&wanted.rule) else { continue };
            let is_held = is_waiting || self.running.contains(name) || self.limited(&wanted.rule, rule, now).is_some();
            if is_held || self.running.len() >= at_once {
                continue;
            }
            self.running.insert(name.clone());
            self.count(&wanted.rule, now);
            begun.push((name.clone(), wanted.clone()));
        }
        begun
    }

    fn count(&mut self, key: &ObjectKey, now: Timestamp) {
        let Some(record) = self.records.get_mut(key) else { return };
        let status = &mut record.status;
        // A beginning in the future is that of another clock.
        let is_open =
            status.window_start_time.as_ref().is_some_and(|start| start.0 <= now && elapsed(start.0, now) < WINDOW);
        if !is_open {
            (status.window_start_time, status.window_imports) = (Some(Time(whole_seconds(now))), 0);
        }
        status.window_imports += 1;
    }

    /// When [`Self::begin`] may have something to do, if nothing else happens before.
    pub fn next(&self, plan: &Plan, rules: &BTreeMap<ObjectKey, Rule>, now: Timestamp) -> Option<Timestamp> {
        let waits = plan.wanted.keys().filter_map(|name| self.tried.get(name)).map(|tried| tried.until);
        let limits = rules.iter().filter_map(|(key, rule)| self.limited(key, rule, now));
        waits.chain(limits).filter(|until| *until > now).min()
    }

    /// An import ended. Returns whether people should learn about it: not if nothing has happened again.
    pub fn done(&mut self, name: &str, wanted: &Wanted, ended: &Ended, now: Timestamp) -> bool {
        self.running.remove(name);
        let times = self.tried.get(name).map_or(0, |tried| tried.times);
        let first = if ended.is_ok() { FIRST_LOOK } else { FIRST_RETRY };
        let wait = first.saturating_mul(1 << times.min(10)).min(LONGEST_WAIT);
        let until = now.checked_add(wait).unwrap_or(Timestamp::MAX);
        self.tried.insert(name.to_owned(), Tried { rule: wanted.rule.clone(), times: times.saturating_add(1), until });
        let is_news = times == 0 || !matches!(ended, Ok(Imported { is_new: false, .. }));
        if let Some(record) = self.records.get_mut(&wanted.rule) {
            record.trouble = ended.as_ref().err().and_then(of_all_images);
            record.note(name, wanted, ended, now, is_news);
        }
        is_news
    }
}

/// What a failure says about all images of its rule: a Secret is one for all of them.
fn of_all_images(failure: &ImportFailure) -> Option<Refusal> {
    let all = [
        ImportReason::SecretMissing,
        ImportReason::SecretInvalid,
        ImportReason::SecretForbidden,
        ImportReason::SecretUnreadable,
    ];
    let reason = all.into_iter().find(|reason| reason.as_str() == failure.reason)?;
    Some(Refusal { reason, message: shown(&failure.message) })
}

impl Record {
    fn note(&mut self, name: &str, wanted: &Wanted, ended: &Ended, now: Timestamp, is_news: bool) {
        let (status, time) = (&mut self.status, Time(whole_seconds(now)));
        let (result, digest, message) = match ended {
            Ok(Imported { digest, bytes, is_new: true }) => {
                status.imported += 1;
                status.bytes = status.bytes.saturating_add_unsigned(*bytes);
                status.last_import_time = Some(time.clone());
                (IMPORTED, digest.clone(), String::new())
            }
            Ok(Imported { digest, .. }) => {
                // Two requests are no import.
                status.window_imports = (status.window_imports - 1).max(0);
                let message = "the destination has the image: the pods cannot pull it for another reason";
                (ALREADY_THERE, digest.clone(), message.to_owned())
            }
            Err(ImportFailure { reason, message }) => {
                status.failed += 1;
                (*reason, None, shown(message))
            }
        };
        if !is_news {
            return;
        }
        let line = ImportLine {
            time: Some(time),
            image: shown(&wanted.image),
            pod: format!("{}/{}", wanted.pod.namespace, wanted.pod.name),
            source: wanted.source.to_string(),
            destination: name.to_owned(),
            result: result.to_owned(),
            digest,
            message,
        };
        status.imports.insert(0, line);
        status.imports.truncate(MAX_LINES);
    }
}

/// The API has a precision of seconds, and the written value must equal the one that is read back.
pub fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

#[cfg(test)]
mod tests;
