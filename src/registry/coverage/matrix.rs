//! Needs × consumers × endpoints: what has to be asked, and what the answers mean. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::super::credentials::CredentialId;
use super::super::error::Reason;

/// How closely a place is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Level {
    /// The manifest answers.
    L0,
    /// Each child and blob is there, too; attestations and foreign layers are not counted.
    #[default]
    L1,
    /// All bytes are right.
    L2,
}

/// A place to ask: a reference as a consumer asks for it, with whose credential, and how closely. One finding serves everybody
/// who asks for the same with the same credential.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Question {
    /// `registry/path@digest`, or with a tag.
    pub reference: String,
    /// Of the consumer.
    pub credential: CredentialId,
    /// How closely.
    pub level: Level,
    /// Whether the consumer accepts any certificate there, and HTTP.
    pub is_insecure: bool,
}

/// What is known about a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It answers and lacks nothing.
    Held,
    /// It says that it does not have the manifest: a consumer goes on to the next place.
    Absent,
    /// It has the manifest and lacks, or has damaged, a part of it: a consumer that began here fails.
    Incomplete(Vec<String>),
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
    /// Who needs it, for people: `release 4.19.1: etcd`.
    pub need: String,
    /// Who pulls it: `control plane`, `NodePool clusters/west`.
    pub consumer: String,
    /// From where, in order.
    pub endpoints: Vec<Endpoint>,
    /// Why the pull fails before any of them is asked.
    pub error: Option<String>,
}

/// What follows for one demand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict")]
pub enum Verdict {
    /// The first place that answers holds it.
    Held {
        /// That place.
        reference: String,
    },
    /// No place has it, or the first that answers lacks a part of it.
    Missing {
        /// The places that lack it, and what they lack.
        lacking: BTreeMap<String, Vec<String>>,
    },
    /// The first place that may answer could not be judged.
    Unknown {
        /// That place.
        reference: String,
        /// Why.
        reason: Reason,
        /// For people.
        message: String,
    },
}

/// What is known so far.
pub type Findings = BTreeMap<Question, Finding>;

/// How one demand stands.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Standing<'a> {
    Decided(Verdict),
    Asks(&'a Question),
}

/// The questions that have to be asked next. Only the first open place of each demand is asked: a later one decides nothing
/// as long as that is open. Asking until there is none left is enough for [`judge`].
pub fn open<'a>(demands: &'a [Demand], findings: &Findings) -> BTreeSet<&'a Question> {
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
            reference: question.reference.clone(),
            reason: Reason::Unreachable,
            message: "not asked yet".to_owned(),
        },
    }
}

/// A consumer tries its places in order until one answers with the manifest, and takes everything else from there.
fn standing<'a>(demand: &'a Demand, findings: &Findings) -> Standing<'a> {
    let mut lacking = BTreeMap::new();
    if let Some(error) = &demand.error {
        lacking.insert(demand.image.clone(), vec![error.clone()]);
        return Standing::Decided(Verdict::Missing { lacking });
    }
    for endpoint in &demand.endpoints {
        let reference = &endpoint.question.reference;
        if endpoint.is_blocked {
            lacking.insert(reference.clone(), vec![format!("blocked by {}", endpoint.origin)]);
            continue;
        }
        match findings.get(&endpoint.question) {
            None => return Standing::Asks(&endpoint.question),
            Some(Finding::Held) => return Standing::Decided(Verdict::Held { reference: reference.clone() }),
            Some(Finding::Absent) => {
                lacking.insert(reference.clone(), vec!["the manifest".to_owned()]);
            }
            Some(Finding::Incomplete(parts)) => {
                lacking.insert(reference.clone(), parts.clone());
                break;
            }
            Some(Finding::Unknown(reason, message)) => {
                let (reference, message) = (reference.clone(), message.clone());
                return Standing::Decided(Verdict::Unknown { reference, reason: *reason, message });
            }
        }
    }
    Standing::Decided(Verdict::Missing { lacking })
}

/// How many demands there are of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
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
            match verdict {
                Verdict::Held { .. } => counts.held += 1,
                Verdict::Missing { .. } => counts.missing += 1,
                Verdict::Unknown { .. } => counts.unknown += 1,
            }
        }
        counts
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
