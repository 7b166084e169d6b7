//! What a copy costs: requests and bytes for each registry, limits that registries announce, and time.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use indicatif::{BinaryBytes, HumanDuration};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::console::{BAD, WARNING, styled};
use super::super::{Usage, list_file};
use crate::printable;
use crate::registry::RegistryAddress;
use crate::registry::requests::{Requests, Traffic};
use crate::registry::transfer::Bill;

/// What one registry has to do, or had to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RegistryCost {
    /// `host[:port]`.
    pub registry: String,
    /// Requests by kind: with `--dry-run` an estimate, otherwise those that were sent.
    pub requests: Requests,
    /// Bytes of blobs to read from it. Only with `--dry-run`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_bytes: Option<u64>,
    /// Bytes of blobs to send to it. Only with `--dry-run`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent_bytes: Option<u64>,
    /// The limit that it announced, if it announced one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quota: Option<Quota>,
}

/// A limit that a registry announced in its last answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Quota {
    /// The limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// What is left of it.
    pub remaining: u64,
    /// Time until it is whole again, or the length of its window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window_seconds: Option<u64>,
    /// How much of it the copy needs: at Docker Hub reads of manifests, elsewhere all requests. Only with `--dry-run`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub needed: Option<u64>,
}

impl RegistryCost {
    /// What was sent.
    pub fn counted(traffic: &BTreeMap<String, Traffic>) -> Vec<Self> {
        let cost = |(address, traffic): (&String, &Traffic)| {
            let quota = quota(traffic, None);
            let (read_bytes, sent_bytes) = (None, None);
            Self { registry: name(address), requests: traffic.requests, read_bytes, sent_bytes, quota }
        };
        traffic.iter().map(cost).collect()
    }

    /// What is to be sent: the copy first asks what the survey asked, and then does what is on the bill.
    pub fn estimated(traffic: &BTreeMap<String, Traffic>, bill: &Bill) -> Vec<Self> {
        let mut addresses: Vec<&String> = traffic.keys().chain(bill.registries.keys()).collect();
        addresses.sort();
        addresses.dedup();
        let cost = |address: &String| {
            let traffic = traffic.get(address).copied().unwrap_or_default();
            let charge = bill.registries.get(address).copied().unwrap_or_default();
            let mut requests = traffic.requests;
            requests += charge.requests;
            let is_hub = RegistryAddress::parse(address).is_ok_and(|registry| registry.is_docker_hub());
            let needed = if is_hub { requests.manifest_reads } else { requests.total() };
            Self {
                registry: name(address),
                requests,
                read_bytes: Some(charge.read_bytes),
                sent_bytes: Some(charge.sent_bytes),
                quota: quota(&traffic, Some(needed)),
            }
        };
        addresses.into_iter().map(cost).collect()
    }

    /// For people.
    pub fn text(&self) -> String {
        let Requests { lookups, manifest_reads, lists, blob_reads, blob_writes, manifest_writes, others } =
            self.requests;
        let kinds = [
            (lookups, "look-ups"),
            (manifest_reads, "manifest reads"),
            (lists, "lists"),
            (blob_reads, "blob reads"),
            (blob_writes, "blob writes"),
            (manifest_writes, "manifest writes"),
            (others, "others"),
        ];
        let kinds = kinds.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
        let kinds = kinds.collect::<Vec<_>>().join(", ");
        let mut text =
            format!("{}: about {} requests ({kinds})", printable::line(&self.registry), self.requests.total());
        for (bytes, what) in [(self.read_bytes, "read"), (self.sent_bytes, "sent")] {
            if let Some(bytes) = bytes.filter(|bytes| *bytes > 0) {
                let _ = write!(text, ", {} {what}", BinaryBytes(bytes));
            }
        }
        text.push('\n');
        text + &self.quota.as_ref().map(Quota::text).unwrap_or_default()
    }
}

impl Quota {
    fn is_enough(&self) -> bool {
        self.needed.is_none_or(|needed| needed <= self.remaining)
    }

    fn text(&self) -> String {
        let limit = self.limit.map(|limit| format!(" of {limit}")).unwrap_or_default();
        let window = self.window_seconds.map(Duration::from_secs);
        let window = window.map(|window| format!(" in a window of {}", HumanDuration(window))).unwrap_or_default();
        let needed = self.needed.unwrap_or_default();
        let text = format!("quota: {} left{limit}{window}; needs {needed}", self.remaining);
        let text = if self.is_enough() { text } else { styled(BAD, format!("{text}: not enough")) };
        format!("  {text}\n")
    }
}

/// Docker Hub says nothing where it has no limit; then it is not known.
pub fn unknown_quota(costs: &[RegistryCost]) -> String {
    let silent = costs.iter().find(|cost| cost.registry == "docker.io" && cost.quota.is_none());
    silent.map(|_| styled(WARNING, "docker.io: quota unknown: it announced none") + "\n").unwrap_or_default()
}

fn quota(traffic: &Traffic, needed: Option<u64>) -> Option<Quota> {
    let limit = traffic.limit?;
    let window_seconds = limit.reset.map(|reset| reset.as_secs());
    Some(Quota { limit: limit.limit, remaining: limit.remaining?, window_seconds, needed })
}

/// As references have it.
fn name(address: &str) -> String {
    RegistryAddress::parse(address).map_or_else(|_| address.to_owned(), |registry| registry.name().to_owned())
}

/// Bytes a second; nothing if too little moved to measure.
pub fn rate(bytes: u64, time: Duration) -> Option<u64> {
    let millis = u64::try_from(time.as_millis()).ok()?;
    let rate = bytes.checked_mul(1_000)?.checked_div(millis)?;
    Some(rate).filter(|rate| *rate > 0)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Measured {
    bytes_per_second: Option<u64>,
}

/// The rate in the report of an earlier copy.
pub fn rate_of(file: &Path) -> Result<u64> {
    let usage = |message: &dyn std::fmt::Display| Usage::error(format!("{}: {message}", file.display()));
    let report: Measured = serde_json::from_str(&list_file::read(file)?)
        .map_err(|error| usage(&format_args!("it is not a report of copy -o json: {error}")))?;
    let rate = report.bytes_per_second.filter(|rate| *rate > 0);
    rate.ok_or_else(|| usage(&"the report has no rate (bytesPerSecond), because its copy sent nothing"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::transfer::bill::Charge;
    use crate::registry::wire::rate_limit::RateLimit;

    const HUB: &str = "https://registry-1.docker.io/";

    fn traffic(limit: Option<RateLimit>) -> BTreeMap<String, Traffic> {
        let requests = Requests { lookups: 5, manifest_reads: 9, ..Requests::default() };
        BTreeMap::from([(HUB.to_owned(), Traffic { requests, limit })])
    }

    #[test]
    fn docker_hub_counts_reads_of_manifests_and_what_is_left_may_not_be_enough() {
        let limit = |remaining| RateLimit {
            limit: Some(100),
            remaining: Some(remaining),
            reset: Some(Duration::from_hours(6)),
        };
        let costs = RegistryCost::estimated(&traffic(Some(limit(8))), &Bill::default());
        assert_eq!((costs[0].registry.as_str(), costs[0].quota.unwrap().needed), ("docker.io", Some(9)));
        let text = costs[0].text();
        assert!(text.contains("8 left of 100 in a window of 6 hours; needs 9: not enough"), "{text}");
        let enough = RegistryCost::estimated(&traffic(Some(limit(9))), &Bill::default());
        assert!(!enough[0].text().contains("not enough"));
        let silent = RegistryCost::estimated(&traffic(None), &Bill::default());
        assert!(unknown_quota(&silent).contains("unknown") && unknown_quota(&costs).is_empty());
    }

    #[test]
    fn a_bill_has_what_the_survey_asked_and_what_comes_after_it() {
        let requests = Requests { blob_reads: 2, ..Requests::default() };
        let charge = Charge { requests, read_bytes: 2_048, sent_bytes: 0 };
        let writes = Requests { blob_writes: 4, manifest_writes: 1, ..Requests::default() };
        let sent = Charge { requests: writes, read_bytes: 0, sent_bytes: 2_048 };
        let registries = [(HUB.to_owned(), charge), ("http://m.corp:5000/".to_owned(), sent)].into();
        let costs = RegistryCost::estimated(&traffic(None), &Bill { registries, total_bytes: 0 });
        let texts: Vec<String> = costs.iter().map(RegistryCost::text).collect();
        assert_eq!(texts[0], "m.corp:5000: about 5 requests (4 blob writes, 1 manifest writes), 2.00 KiB sent\n");
        assert!(texts[1].starts_with("docker.io: about 16 requests (5 look-ups, 9 manifest reads, 2 blob reads)"));
    }

    #[test]
    fn a_rate_needs_bytes_and_time() {
        assert_eq!(rate(2_000, Duration::from_millis(500)), Some(4_000));
        assert_eq!((rate(0, Duration::from_secs(1)), rate(5, Duration::ZERO)), (None, None));
    }
}
