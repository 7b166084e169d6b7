//! What a Registry's spec means for a scan. Pure.

use std::time::Duration;

use hypermirror_api::RegistrySpec;
use hypermirror_api::registry::{SortBy, TagFilterSpec};
use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::registry::policy::PolicyOptions;
use crate::registry::scan::filter::{TagFilter, TagPattern};
use crate::registry::scan::{ScanOptions, Sort};
use crate::registry::{RegistryAddress, Repository};

/// Time limit of a scan. A repository of 20,000 tags takes minutes at a slow registry.
const SCAN_TIMEOUT: Duration = Duration::from_hours(1);
/// The longest duration in a spec.
const LONGEST: Duration = Duration::from_hours(24);
/// The greatest number of requests at once.
const MAX_CONCURRENCY: usize = 64;

/// Why a spec cannot be used. Names the field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct SpecError {
    field: &'static str,
    message: String,
}

impl SpecError {
    fn new(field: &'static str, error: impl std::fmt::Display) -> Self {
        Self { field, message: error.to_string() }
    }
}

/// What a scan does.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which repository.
    pub repository: Repository,
    /// Which tags, in which order.
    pub options: ScanOptions,
    /// How often and how long the registry is asked.
    pub policy: PolicyOptions,
    /// Time limit of the scan.
    pub timeout: Duration,
    /// What the message of each scan warns of.
    pub warning: Option<&'static str>,
}

impl Settings {
    /// Reads a spec.
    ///
    /// # Errors
    /// [`SpecError`] for a value that the schema admits and that cannot be used.
    pub fn of(spec: &RegistrySpec) -> Result<Self, SpecError> {
        let registry = RegistryAddress::parse(&spec.url).map_err(|error| SpecError::new("url", error))?;
        let is_plain = registry.base().scheme() == "http";
        let repository =
            Repository::new(registry, &spec.repository).map_err(|error| SpecError::new("repository", error))?;
        let filter = spec.tag_filter.clone().unwrap_or_default();
        let options = ScanOptions {
            filter: tag_filter(&filter, spec.exclusion_list.as_deref())?,
            sort: sort(filter.sort_by),
            limit: filter.limit.and_then(|limit| usize::try_from(limit).ok()).filter(|limit| *limit > 0),
            has_platforms: false,
        };
        let scan_timeout = spec.scan_config.as_ref().and_then(|config| config.timeout.as_ref());
        let timeout = duration("scanConfig.timeout", scan_timeout)?.unwrap_or(SCAN_TIMEOUT);
        let warning = if is_plain {
            Some("the registry is asked over HTTP: credentials are sent in the clear")
        } else if spec.insecure_skip_verify {
            Some("certificates are not verified (insecureSkipVerify)")
        } else {
            None
        };
        Ok(Self { repository, options, policy: policy(spec)?, timeout, warning })
    }
}

fn policy(spec: &RegistrySpec) -> Result<PolicyOptions, SpecError> {
    let config = spec.scan_config.clone().unwrap_or_default();
    let default = PolicyOptions::default();
    let count = |value: Option<i32>| value.and_then(|value| u32::try_from(value).ok());
    Ok(PolicyOptions {
        attempts: count(config.retry_attempts).map_or(default.attempts, |retries| retries.saturating_add(1)),
        first_wait: duration("scanConfig.retryDelay", config.retry_delay.as_ref())?.unwrap_or(default.first_wait),
        request_timeout: duration("timeout", spec.timeout.as_ref())?,
        max_wait: default.max_wait,
        concurrency: count(config.concurrency)
            .and_then(|most| usize::try_from(most).ok())
            .map_or(default.concurrency, |most| most.clamp(1, MAX_CONCURRENCY)),
    })
}

/// `30s`, or seconds.
fn duration(field: &'static str, value: Option<&IntOrString>) -> Result<Option<Duration>, SpecError> {
    let refused = |message: &str| SpecError::new(field, message);
    let found = match value {
        None => return Ok(None),
        Some(IntOrString::Int(seconds)) => u64::try_from(*seconds).ok().map(Duration::from_secs),
        Some(IntOrString::String(text)) => {
            text.parse::<SignedDuration>().ok().and_then(|span| Duration::try_from(span).ok())
        }
    };
    match found {
        None => Err(refused("give a duration such as 30s, or a number of seconds")),
        Some(Duration::ZERO) => Err(refused("a duration of 0 allows nothing")),
        Some(found) => Ok(Some(found.min(LONGEST))),
    }
}

fn tag_filter(spec: &TagFilterSpec, exclusions: Option<&[String]>) -> Result<TagFilter, SpecError> {
    let pattern =
        |field: &'static str, text: &String| TagPattern::new(text).map_err(|error| SpecError::new(field, error));
    let filled = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let include = filled(&spec.include).map(|text| pattern("tagFilter.include", &text)).transpose()?;
    let mut exclude: Vec<TagPattern> =
        filled(&spec.exclude).map(|text| pattern("tagFilter.exclude", &text)).transpose()?.into_iter().collect();
    for text in exclusions.unwrap_or_default() {
        exclude.push(pattern("exclusionList", text)?);
    }
    // A list replaces the usual exclusions, also an empty one.
    Ok(TagFilter { include, exclude, has_attachments: exclusions.is_some() })
}

const fn sort(by: SortBy) -> Sort {
    match by {
        SortBy::Newest => Sort::Version,
        SortBy::Oldest => Sort::Oldest,
        SortBy::Alphabetical => Sort::Name,
        SortBy::Created => Sort::Created,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn settings(more: &Value) -> Result<Settings, String> {
        let mut spec = json!({"url": "https://r.example", "repository": "a/b"});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        Settings::of(&serde_json::from_value(spec).unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_spec_with_the_required_fields_has_the_defaults_of_the_client() {
        let found = settings(&json!({})).unwrap();
        assert_eq!((found.policy, found.timeout), (PolicyOptions::default(), SCAN_TIMEOUT));
        assert_eq!((found.repository.to_string().as_str(), found.warning), ("r.example/a/b", None));
        assert!(!found.options.filter.has_attachments && found.options.limit.is_none());
    }

    #[test]
    fn durations_are_texts_or_seconds() {
        for (value, seconds) in [(json!("30s"), 30), (json!(30), 30), (json!("1h30m"), 5_400), (json!("48h"), 86_400)] {
            let found = settings(&json!({"timeout": value})).unwrap();
            assert_eq!(found.policy.request_timeout, Some(Duration::from_secs(seconds)), "{value}");
        }
        for value in [json!("soon"), json!(-1), json!("0s"), json!(0)] {
            let error = settings(&json!({"scanConfig": {"timeout": value}})).unwrap_err();
            assert!(error.starts_with("scanConfig.timeout: "), "{error}");
        }
    }

    #[test]
    fn each_field_reaches_the_scan() {
        let found = settings(&json!({
            "scanConfig": {"timeout": "10m", "retryAttempts": 0, "retryDelay": "5s", "concurrency": 3},
            "tagFilter": {"include": "v.*", "exclude": ".*-rc.*", "limit": 5, "sortBy": "oldest"},
            "exclusionList": ["v0.*"],
        }))
        .unwrap();
        assert_eq!((found.policy.attempts, found.policy.concurrency), (1, 3));
        assert_eq!((found.policy.first_wait, found.timeout), (Duration::from_secs(5), Duration::from_mins(10)));
        assert_eq!((found.options.limit, found.options.sort), (Some(5), Sort::Oldest));
        let taken = ["v1", "v1-rc1", "v0.1", "x", "v1.sig"].map(|tag| found.options.filter.takes(tag));
        assert_eq!(taken, [true, false, false, false, true], "an own list replaces the usual one");
        assert_eq!(settings(&json!({"tagFilter": {"limit": 0}})).unwrap().options.limit, None);
    }

    #[test]
    fn what_cannot_be_used_is_refused_with_its_field() {
        for (more, field) in [
            (json!({"url": "ftp://r.example"}), "url"),
            (json!({"url": "https://u:canary@r.example"}), "url"),
            (json!({"repository": "A"}), "repository"),
            (json!({"tagFilter": {"include": "("}}), "tagFilter.include"),
            (json!({"tagFilter": {"exclude": "("}}), "tagFilter.exclude"),
            (json!({"exclusionList": ["("]}), "exclusionList"),
        ] {
            let error = settings(&more).unwrap_err();
            assert!(error.starts_with(&format!("{field}: ")) && !error.contains("canary"), "{error}");
        }
    }

    #[test]
    fn what_is_not_safe_is_said() {
        assert!(settings(&json!({"url": "http://r.example"})).unwrap().warning.unwrap().contains("HTTP"));
        assert!(settings(&json!({"insecureSkipVerify": true})).unwrap().warning.unwrap().contains("certificates"));
    }
}
