//! The places of one image, each asked with the credentials and authorities of whoever pulls it.

use schemars::JsonSchema;
use serde::Serialize;

use super::console::{BAD, GOOD, HEADING, WARNING, styled};
use crate::mirrors::registries::Endpoint;
use crate::printable;
use crate::registry::coverage::asker::Asker;
use crate::registry::coverage::check::Ask as _;
use crate::registry::coverage::lack::Lack;
use crate::registry::coverage::matrix::{Demand, Finding, Findings, Verdict, judge};
use crate::registry::error::Reason;

/// An image, where it is pulled from, and why it is not if so.
pub struct Explained {
    /// As it was passed.
    pub image: String,
    /// In order.
    pub endpoints: Vec<Endpoint>,
    /// Why none of them is asked.
    pub error: Option<String>,
    /// Whether those before the last one have no order.
    pub is_unordered: bool,
}

/// What an endpoint answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub enum State {
    /// It holds the image.
    Held,
    /// It does not have the manifest: the next endpoint is tried.
    Absent,
    /// It has the manifest and lacks a part: the pull fails.
    Incomplete,
    /// It cannot be said.
    Unknown,
    /// It is never asked.
    Blocked,
}

/// What is known of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Proof {
    /// What it answered.
    pub state: State,
    /// Whether the image is pulled from here: no endpoint before it has the manifest.
    pub is_first: bool,
    /// Why it is not known whether it holds the image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// The same for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What it lacks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lacking: Vec<Lack>,
}

/// An endpoint, and what is known of it.
#[derive(Clone, Debug, Serialize)]
pub struct ProvenEndpoint {
    /// The endpoint.
    #[serde(flatten)]
    pub endpoint: Endpoint,
    /// What is known of it.
    pub proof: Proof,
}

/// An image, and what is known of each of its endpoints.
#[derive(Clone, Debug, Serialize)]
pub struct ProvenImage {
    /// As it was passed.
    pub image: String,
    /// In order.
    pub endpoints: Vec<ProvenEndpoint>,
    /// Why none of them is asked.
    pub error: Option<String>,
    /// What follows.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// Asks each endpoint, also those after the first that answers.
pub async fn prove(asker: &Asker, demand: &Demand, explained: Explained) -> ProvenImage {
    let mut findings = Findings::new();
    let mut endpoints = Vec::new();
    let mut is_found = false;
    for (endpoint, asked) in explained.endpoints.into_iter().zip(&demand.endpoints) {
        let proof = if asked.is_blocked {
            Proof { state: State::Blocked, is_first: false, reason: None, message: None, lacking: Vec::new() }
        } else {
            let mut found = asker.ask(&asked.question).await;
            findings.insert(asked.question.clone(), found.clone());
            if found == Finding::Held && demand.is_signed {
                let about = asked.question.about_signatures();
                found = asker.ask(&about).await;
                findings.insert(about, found.clone());
            }
            Proof::of(found, &mut is_found)
        };
        endpoints.push(ProvenEndpoint { endpoint, proof });
    }
    ProvenImage { image: explained.image, endpoints, error: explained.error, verdict: judge(demand, &findings) }
}

impl Proof {
    fn of(finding: Finding, is_found: &mut bool) -> Self {
        let answers = matches!(finding, Finding::Held | Finding::Incomplete(_));
        let is_first = answers && !*is_found;
        *is_found |= answers;
        let proof = Self { state: State::Held, is_first, reason: None, message: None, lacking: Vec::new() };
        match finding {
            Finding::Held => proof,
            Finding::Absent => Self { state: State::Absent, lacking: vec![Lack::manifest()], ..proof },
            Finding::Incomplete(lacking) => Self { state: State::Incomplete, lacking, ..proof },
            Finding::Unknown(reason, message) => {
                Self { state: State::Unknown, reason: Some(reason), message: Some(message), ..proof }
            }
        }
    }

    /// For people.
    pub fn lines(&self) -> Vec<String> {
        let (style, word) = match self.state {
            State::Held => (GOOD, "held"),
            State::Absent | State::Incomplete => (BAD, "missing"),
            State::Unknown => (WARNING, "unknown"),
            State::Blocked => (BAD, "blocked: never contacted"),
        };
        let mark = if self.is_first { styled(HEADING, "pulled from here: ") } else { String::new() };
        let head = format!("{mark}{}", styled(style, word));
        let causes: Vec<String> = match self.state {
            State::Unknown => self.message.iter().cloned().collect(),
            _ => self.lacking.iter().map(ToString::to_string).collect(),
        };
        let causes = causes.iter().map(|cause| printable::line(cause).into_owned());
        std::iter::once(head).chain(causes.map(|cause| format!("  {cause}"))).collect()
    }
}

/// For people.
pub fn text(image: &ProvenImage) -> String {
    let mut text = format!("{}\n", styled(HEADING, &image.image));
    if let Some(error) = &image.error {
        return text + &format!("  {}\n", styled(BAD, error));
    }
    for (place, proven) in image.endpoints.iter().enumerate() {
        let reference = printable::line(&proven.endpoint.reference);
        text.extend(["  ", &(place + 1).to_string(), ". ", &reference, "\n"]);
        for line in proven.proof.lines() {
            text.extend(["     ", line.as_str(), "\n"]);
        }
    }
    text
}
