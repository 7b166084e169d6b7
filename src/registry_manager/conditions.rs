//! Conditions of all kinds: the time of the last transition stays as long as the status does. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::status::shown;

/// What all conditions of one status have in common.
#[derive(Clone, Copy, Debug)]
pub struct Conditions<'a> {
    /// Those that are there.
    pub before: &'a [Condition],
    /// Of the spec that was used.
    pub generation: i64,
    /// Now.
    pub at: Timestamp,
}

impl Conditions<'_> {
    /// A condition of this type.
    pub fn make(&self, kind: &str, status: bool, reason: &str, message: &str) -> Condition {
        let status = if status { "True" } else { "False" };
        let before = self.before.iter().find(|it| it.type_ == kind && it.status == status);
        Condition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message: shown(message),
            observed_generation: Some(self.generation),
            last_transition_time: before.map_or(Time(self.at), |before| before.last_transition_time.clone()),
        }
    }

    /// The condition of this type as it is, for the spec that was used.
    pub fn kept(&self, kind: &str) -> Option<Condition> {
        let found = self.before.iter().find(|it| it.type_ == kind);
        found.map(|found| Condition { observed_generation: Some(self.generation), ..found.clone() })
    }
}

/// Whether the condition of this type is True.
pub fn is_true(conditions: &[Condition], kind: &str) -> bool {
    conditions.iter().any(|it| it.type_ == kind && it.status == "True")
}
