//! Needs × consumers × endpoints: what has to be asked, and what the answers mean. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use super::super::credentials::CredentialId;
use super::super::error::Reason;
use super::lack::Lack;

/// How closely a place is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
pub enum Level {
    /// The manifest answers.
    L0,
    /// Each child and blob is there, too; attestations and foreign layers are not counted.
    #[default]
    L1,
    /// All bytes are right: of each config and of a sample of the layers, or of all.
    L2,
    /// Each image has a signature. Asked in addition, and only where a policy demands it.
    LS,
}

/// Identifies the authorities that a consumer believes besides those of the system. Empty: none.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrustId(pub(super) Arc<str>);

/// A place to ask: a reference as a consumer asks for it, with whose credential, and how closely. One finding serves everybody
/// who asks for the same with the same credential.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Question {
    /// `registry/path@digest`, or with a tag.
    pub reference: String,
    /// Of the consumer.
    pub credential: CredentialId,
    /// Of the consumer.
    pub trust: TrustId,
    /// How closely.
    pub level: Level,
    /// Whether the consumer accepts any certificate there, and HTTP.
    pub is_insecure: bool,
}

impl Question {
    /// The same place, asked about signatures.
    #[must_use]
    pub fn about_signatures(&self) -> Self {
        Self { level: Level::LS, ..self.clone() }
    }
}

/// What is known about a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It answers and lacks nothing.
    Held,
    /// It says that it does not have the manifest: a consumer goes on to the next place.
    Absent,
    /// It has the manifest and lacks, or has damaged, a part of it: a consumer that began here fails.
    Incomplete(Vec<Lack>),
    /// Nobody can say: throttled, not authorized, unreachable, no credentials.
    Unknown(Reason, String),
}

/// A place from which a consumer pulls, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// What is asked there.
    pub question: Question,
    /// Whether the consumer may not ask it at all.
    pub is_blocked: bool,
    /// The object that declares it, for people.
    pub origin: String,
}

/// One image that one consumer pulls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demand {
    /// The image as it is declared.
    pub image: String,
    /// What it is a part of, for people: `release 4.19.1`.
    pub group: String,
    /// Its name in that: `etcd`. Empty if it has none.
    pub name: String,
    /// The hosted cluster of whoever pulls it, `namespace/name`. Empty if there is none.
    pub cluster: String,
    /// Who pulls it, for people: `look-ups`, or the name of a NodePool.
    pub consumer: String,
    /// From where, in order.
    pub endpoints: Vec<Endpoint>,
    /// Why the pull fails before any of them is asked.
    pub error: Option<String>,
    /// Whether the places before the last one are tried in no particular order.
    pub is_unordered: bool,
    /// Whether a policy in force demands a signature.
    pub is_signed: bool,
}

/// What is known about the signatures that policies in force demand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub enum Signatures {
    /// No policy in force demands any.
    NotRequired,
    /// Each image has one. Whether a policy accepts it is not checked.
    Held,
}

/// A place, and what it lacks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Lacking {
    /// The place.
    pub reference: String,
    /// What it lacks.
    pub parts: Vec<Lack>,
}

/// What follows for one demand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "verdict")]
pub enum Verdict {
    /// The first place that answers holds it.
    Held {
        /// That place.
        reference: String,
        /// The signatures that it has to have.
        signatures: Signatures,
    },
    /// No place has it, or the first that answers lacks a part of it.
    Missing {
        /// The places that lack it, in the order in which they are tried.
        lacking: Vec<Lacking>,
    },
    /// The first place that may answer could not be judged.
    Unknown {
        /// That place.
        reference: String,
        /// Why.
        reason: Reason,
        /// For people.
        message: String,
        /// The places before it, which lack it.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        lacking: Vec<Lacking>,
    },
}

/// What is known so far.
pub type Findings = BTreeMap<Question, Finding>;

/// How one demand stands.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Standing {
    Decided(Verdict),
    Asks(Question),
}

/// The questions that have to be asked next. Only the first open place of each demand is asked: a later one decides nothing
/// as long as that is open. Asking until there is none left is enough for [`judge`].
pub fn open(demands: &[Demand], findings: &Findings) -> BTreeSet<Question> {
    let asked = |demand| match standing(demand, findings) {
        Standing::Asks(question) => Some(question),
        Standing::Decided(_) => None,
    };
    demands.iter().filter_map(asked).collect()
}

/// The verdict on one demand. A place that was not asked yet is `Unknown`.
pub fn judge(demand: &Demand, findings: &Findings) -> Verdict {
    match standing(demand, findings) {
        Standing::Decided(verdict) => verdict,
        Standing::Asks(question) => Verdict::Unknown {
            reference: question.reference,
            reason: Reason::Unreachable,
            message: "not asked yet".to_owned(),
            lacking: Vec::new(),
        },
    }
}

/// A consumer tries its places in order until one answers with the manifest, and takes everything else from there.
fn standing(demand: &Demand, findings: &Findings) -> Standing {
    if let Some(error) = &demand.error {
        let parts = vec![Lack::pull(error.clone())];
        return Standing::Decided(Verdict::Missing {
            lacking: vec![Lacking { reference: demand.image.clone(), parts }],
        });
    }
    let (mut lacking, mut held) = (Vec::new(), None);
    for (place, endpoint) in demand.endpoints.iter().enumerate() {
        let reference = &endpoint.question.reference;
        let lacks = |parts| Lacking { reference: reference.clone(), parts };
        if endpoint.is_blocked {
            lacking.push(lacks(vec![Lack::pull(format!("blocked by {}", endpoint.origin))]));
            continue;
        }
        // The last place is tried only when no other one answers.
        let is_last = place + 1 == demand.endpoints.len();
        if is_last && held.is_some() {
            break;
        }
        match finding(demand, &endpoint.question, findings) {
            Err(question) => return Standing::Asks(question),
            Ok(Finding::Held) => {
                held.get_or_insert_with(|| reference.clone());
                // Where the order is not known, each place that answers may be the first.
                if !demand.is_unordered {
                    break;
                }
            }
            Ok(Finding::Absent) => lacking.push(lacks(vec![Lack::manifest()])),
            Ok(Finding::Incomplete(parts)) => {
                lacking.push(lacks(parts));
                held = None;
                break;
            }
            Ok(Finding::Unknown(reason, message)) => {
                let reference = reference.clone();
                return Standing::Decided(Verdict::Unknown { reference, reason, message, lacking });
            }
        }
    }
    let signatures = if demand.is_signed { Signatures::Held } else { Signatures::NotRequired };
    Standing::Decided(match held {
        Some(reference) => Verdict::Held { reference, signatures },
        None => Verdict::Missing { lacking },
    })
}

/// What is known about one place: its content, and then the signatures that are demanded of it.
///
/// A consumer does not go on to the next place when a signature is missing: the pull fails.
fn finding(demand: &Demand, question: &Question, findings: &Findings) -> Result<Finding, Question> {
    let content = findings.get(question).ok_or_else(|| question.clone())?;
    if *content != Finding::Held || !demand.is_signed {
        return Ok(content.clone());
    }
    let question = question.about_signatures();
    match findings.get(&question) {
        // Deleted between the two questions.
        Some(Finding::Absent) => Ok(Finding::Incomplete(vec![Lack::manifest()])),
        Some(signatures) => Ok(signatures.clone()),
        None => Err(question),
    }
}

/// How many demands there are of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Counts {
    /// Proven.
    pub held: usize,
    /// Missing.
    pub missing: usize,
    /// Not known.
    pub unknown: usize,
}

impl Counts {
    /// Counts verdicts.
    pub fn of<'a>(verdicts: impl IntoIterator<Item = &'a Verdict>) -> Self {
        let mut counts = Self::default();
        for verdict in verdicts {
            counts.add(verdict);
        }
        counts
    }

    /// Counts one verdict more.
    pub const fn add(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Held { .. } => self.held += 1,
            Verdict::Missing { .. } => self.missing += 1,
            Verdict::Unknown { .. } => self.unknown += 1,
        }
    }

    /// All of them.
    pub const fn total(self) -> usize {
        self.held + self.missing + self.unknown
    }

    /// Exit codes: 0 all held, 1 something missing, 3 something unknown and nothing missing.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self { missing: 1.., .. } => 1,
            Self { unknown: 1.., .. } => 3,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests;
