//! `explain --prove`: asks each endpoint, with the credentials and authorities of whoever pulls.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use serde::Serialize;

use super::super::console::{self, BAD, GOOD, HEADING, WARNING, styled};
use super::super::coverage::{Extras, Holders, policies_of};
use super::super::input::Wanted;
use super::{ExplainArgs, Puller};
use crate::mirrors::registries::Endpoint;
use crate::mirrors::signature_policy::{SignaturePolicy, demand_signature};
use crate::printable;
use crate::registry::coverage::asker::Asker;
use crate::registry::coverage::check::Ask as _;
use crate::registry::coverage::demand::{Closeness, Pull};
use crate::registry::coverage::lack::Lack;
use crate::registry::coverage::matrix::{Counts, Demand, Finding, Findings, Level, Verdict, judge};
use crate::registry::coverage::payloads::Payloads;
use crate::registry::coverage::sample::Sample;
use crate::registry::error::Reason;
use hypermirror_api::ClusterKey;

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
enum State {
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

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Proof {
    state: State,
    /// Whether the image is pulled from here: no endpoint before it has the manifest.
    is_first: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Reason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lacking: Vec<Lack>,
}

#[derive(Debug, Serialize)]
struct ProvenEndpoint {
    #[serde(flatten)]
    endpoint: Endpoint,
    proof: Proof,
}

#[derive(Debug, Serialize)]
struct ProvenImage {
    image: String,
    endpoints: Vec<ProvenEndpoint>,
    error: Option<String>,
    #[serde(flatten)]
    verdict: Verdict,
}

/// Asks and prints. Exit codes are those of `coverage`.
pub async fn run(args: &ExplainArgs, explained: Vec<Explained>) -> Result<ExitCode> {
    let context = Context::read(args).await?;
    args.reach.warn();
    let asker = Asker::new(args.reach.scheme(), Sample::All, Arc::new(Payloads::default()));
    let mut holders = Holders::new(&args.reach, &context.extras, &asker)?;
    let pulls: Vec<Pull> = explained.iter().map(|explained| context.pull(explained)).collect();
    let closeness = Closeness { level: Level::L1, ..Closeness::default() };
    let demands = holders.demands(&asker, &pulls, &closeness).await;
    let mut proven = Vec::new();
    for (demand, explained) in demands.iter().zip(explained) {
        proven.push(prove(&asker, demand, explained).await);
    }
    match args.output.data() {
        Some(format) => console::print_data(&proven, format)?,
        None => console::print(&proven.iter().map(text).collect::<Vec<_>>().join("\n"))?,
    }
    Ok(ExitCode::from(Counts::of(proven.iter().map(|image| &image.verdict)).exit_code()))
}

/// Who pulls, and which policies are in force there.
#[derive(Default)]
struct Context {
    extras: Extras,
    cluster: String,
    policies: Vec<SignaturePolicy>,
}

impl Context {
    async fn read(args: &ExplainArgs) -> Result<Self> {
        // Files alone name no cluster.
        if args.node_files.are_set() && !args.has_objects() {
            return Ok(Self::default());
        }
        let input = args.input.load(Wanted { pools: true, ..Wanted::default() }).await?;
        let cluster = input.select(args.scope.hosted_cluster.as_ref())?;
        let extras = Extras::read(&args.input, &input, cluster.as_slice()).await?;
        let Some(cluster) = cluster else {
            return Ok(Self { policies: extras.policies.clone(), extras, cluster: String::new() });
        };
        let key = ClusterKey::of(cluster);
        let wanted = args.scope.node_pool.as_deref();
        let pools = input.pools_of(&key);
        let pool = pools.iter().find(|pool| pool.metadata.name.as_deref() == wanted).filter(|_| wanted.is_some());
        // HyperShift's operators verify no signatures.
        let is_node = args.consumer == Puller::Node;
        let policies = pool.filter(|_| is_node).map(|pool| policies_of(&input, pool)).transpose()?.unwrap_or_default();
        Ok(Self { extras, cluster: key.to_string(), policies })
    }

    fn pull(&self, explained: &Explained) -> Pull {
        let image = explained.image.trim();
        let image = image.strip_prefix("docker://").unwrap_or(image);
        Pull {
            image: image.to_owned(),
            group: String::new(),
            name: String::new(),
            cluster: self.cluster.clone(),
            consumer: String::new(),
            endpoints: explained.endpoints.clone(),
            error: explained.error.clone(),
            is_unordered: explained.is_unordered,
            is_signed: demand_signature(&self.policies, image),
        }
    }
}

async fn prove(asker: &Asker, demand: &Demand, explained: Explained) -> ProvenImage {
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

    fn lines(&self) -> Vec<String> {
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

fn text(image: &ProvenImage) -> String {
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
