//! Answers of registries in the wild, as data: `recorded.yaml`, each with the public report that it is from.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use http::{HeaderName, Method, StatusCode};
use serde::Deserialize;

use super::{Answer, Area, Change, Fixed, On, Rule};

const ALL: &str = include_str!("recorded.yaml");

/// An answer of a registry in the wild.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedAnswer {
    /// The registry, and what is special about the answer.
    pub name: String,
    /// The report.
    pub source: String,
    area: String,
    method: Option<String>,
    status: Option<u16>,
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: String,
}

impl RecordedAnswer {
    /// The rule that makes a mock answer so.
    ///
    /// # Errors
    ///
    /// When the file has a word that is none.
    pub fn rule(&self) -> Result<Rule> {
        let on = match self.area.as_str() {
            "any" => On::any(),
            "manifest" => On::area(Area::Manifest),
            "tags" => On::area(Area::Tags),
            other => anyhow::bail!("{}: no area {other}", self.name),
        };
        let on = match &self.method {
            Some(method) => on.method(Method::from_bytes(method.as_bytes())?),
            None => on,
        };
        let header = |(name, value): (&String, &String)| Ok((HeaderName::from_bytes(name.as_bytes())?, value.clone()));
        let headers: Vec<(HeaderName, String)> = self.headers.iter().map(header).collect::<Result<_>>()?;
        let answer = match self.status {
            None => Answer::Changed(headers.into_iter().map(|(name, value)| Change::Header(name, value)).collect()),
            Some(status) => Answer::Fixed(Fixed {
                status: StatusCode::from_u16(status)?,
                headers,
                body: self.body.clone().into(),
                after: 0,
            }),
        };
        Ok(Rule::new(on, answer))
    }
}

/// All of them.
///
/// # Errors
///
/// When the file cannot be read.
pub fn all() -> Result<Vec<RecordedAnswer>> {
    serde_yaml::from_str(ALL).context("read the recorded answers")
}

/// The one of this name.
///
/// # Errors
///
/// When there is none.
pub fn named(name: &str) -> Result<RecordedAnswer> {
    let found = all()?.into_iter().find(|answer| answer.name == name);
    found.with_context(|| format!("no recorded answer {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_recorded_answer_has_a_source_and_a_body_that_reads() {
        let all = all().unwrap();
        assert!(all.len() > 9);
        for answer in all {
            _ = answer.rule().unwrap();
            assert!(answer.source.starts_with("https://"), "{}", answer.name);
            let is_json = answer.headers.get("content-type").is_some_and(|kind| kind.starts_with("application/json"));
            assert!(!is_json || serde_json::from_str::<serde_json::Value>(&answer.body).is_ok(), "{}", answer.name);
            assert_eq!(named(&answer.name).unwrap().name, answer.name);
        }
    }
}
