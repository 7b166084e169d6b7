//! The status of an ImportRule. Pure.

use hypermirror_api::{ImportConditionType, ImportReason, ImportRuleStatus};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde_json::{Value, json};

use super::super::conditions::Conditions;
use super::ledger::whole_seconds;
use super::rule::Refusal;

/// Fields that are removed when they have no value.
const OPTIONAL: [&str; 3] = ["lastImportTime", "windowStartTime", "observedGeneration"];

/// How a rule stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Why it is not in force, or not for all images.
    pub trouble: Option<Refusal>,
    /// Until when it has to wait, and how many imports it may make in an hour.
    pub limited: Option<(Timestamp, u32)>,
}

/// The status of a rule of this generation. `done` is what was done, `before` the status on the API server.
pub fn status(
    before: Option<&ImportRuleStatus>,
    done: ImportRuleStatus,
    standing: &Standing,
    generation: i64,
    now: Timestamp,
) -> ImportRuleStatus {
    let old = before.map(|before| before.conditions.as_slice()).unwrap_or_default();
    let conditions = conditions(&Conditions { before: old, generation, at: whole_seconds(now) }, standing);
    ImportRuleStatus { observed_generation: Some(generation), conditions, ..done }
}

fn conditions(set: &Conditions<'_>, standing: &Standing) -> Vec<Condition> {
    use ImportConditionType::{Limited, Ready, Stalled};
    let (reason, message) = match &standing.trouble {
        Some(Refusal { reason, message }) => (*reason, message.clone()),
        None => (ImportReason::InForce, "images are imported for pods that cannot pull them".to_owned()),
    };
    let is_ready = standing.trouble.is_none();
    let of = |kind: ImportConditionType, value| set.make(kind.as_str(), value, reason.as_str(), &message);
    // Whoever suspends a rule has nothing left to do.
    let is_stalled = !is_ready && reason != ImportReason::Suspended;
    let limited = if let Some((until, per_hour)) = standing.limited {
        let message =
            format!("{per_hour} imports began within an hour (importsPerHour); the next one not before {until}");
        set.make(Limited.as_str(), true, ImportReason::RateLimit.as_str(), &message)
    } else {
        let message = "importsPerHour is not reached";
        set.make(Limited.as_str(), false, ImportReason::BelowLimit.as_str(), message)
    };
    vec![of(Ready, is_ready), of(Stalled, is_stalled), limited]
}

/// The merge patch of a status.
pub fn patch(status: &ImportRuleStatus) -> Value {
    let mut fields = serde_json::to_value(status).unwrap_or_default();
    for name in OPTIONAL {
        if fields.get(name).is_none() {
            fields[name] = Value::Null;
        }
    }
    json!({ "status": fields })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).unwrap()
    }

    fn of(trouble: Option<ImportReason>, limited: Option<(Timestamp, u32)>) -> ImportRuleStatus {
        let trouble = trouble.map(|reason| Refusal { reason, message: "why".to_owned() });
        status(None, ImportRuleStatus::default(), &Standing { trouble, limited }, 3, at(0))
    }

    fn states(status: &ImportRuleStatus) -> Vec<String> {
        status.conditions.iter().map(|it| format!("{}={} {}", it.type_, it.status, it.reason)).collect()
    }

    #[test]
    fn conditions_say_whether_images_are_imported_and_until_when_they_wait() {
        let ready = ["Ready=True InForce", "Stalled=False InForce", "Limited=False BelowLimit"];
        assert_eq!(states(&of(None, None)), ready);
        let limited = of(None, Some((at(3_600), 5)));
        assert_eq!(states(&limited)[2], "Limited=True RateLimit");
        let message = &limited.condition(ImportConditionType::Limited).unwrap().message;
        assert!(message.contains("5 imports") && message.ends_with(&at(3_600).to_string()), "{message}");
        let refused = of(Some(ImportReason::DestinationNotAllowed), None);
        assert_eq!(states(&refused)[..2], ["Ready=False DestinationNotAllowed", "Stalled=True DestinationNotAllowed"]);
        let suspended = of(Some(ImportReason::Suspended), None);
        assert_eq!(states(&suspended)[..2], ["Ready=False Suspended", "Stalled=False Suspended"]);
    }

    #[test]
    fn a_status_that_says_the_same_is_the_same() {
        let first = of(None, None);
        let standing = Standing { trouble: None, limited: None };
        let done = ImportRuleStatus { conditions: Vec::new(), ..first.clone() };
        assert_eq!(status(Some(&first), done, &standing, 3, at(99)), first);
        let patch = patch(&first);
        assert!(patch["status"].as_object().unwrap()["lastImportTime"].is_null());
        assert_eq!(patch["status"]["observedGeneration"], 3);
    }
}
