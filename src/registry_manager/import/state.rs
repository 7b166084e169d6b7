//! What imports know: rules, failing pods, and what was done.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hypermirror_api::{ImportReason, ImportRuleSpec, ImportRuleStatus};
use jiff::Timestamp;
use tokio::sync::Notify;

use super::super::agenda::{ObjectKey, Watched};
use super::super::image::settings::Rules;
use super::consent::Consent;
use super::ledger::Ledger;
use super::plan::{Plan, plan};
use super::pods::NamespacePods;
use super::rule::{Refusal, Rule};
use super::status::Standing;
use crate::registry::coverage::demand::NodeRules;

/// A rule as the API server has it.
#[derive(Clone, Debug)]
pub struct KnownRule {
    /// The object.
    pub object: Watched<ImportRuleSpec>,
    /// Its status.
    pub status: Option<ImportRuleStatus>,
    /// What the spec means.
    pub rule: Result<Rule, Refusal>,
}

/// What imports know.
#[derive(Debug, Default)]
pub struct State {
    /// All rules.
    pub rules: BTreeMap<ObjectKey, KnownRule>,
    /// Pods that cannot pull, by namespace.
    pub pods: BTreeMap<String, NamespacePods>,
    /// Why the pods of a namespace are not known.
    pub unread: BTreeMap<String, String>,
    /// What was done.
    pub ledger: Ledger,
}

/// What the watches and the imports share.
#[derive(Debug, Default)]
pub struct Shared {
    state: Mutex<State>,
    /// Woken when something may have to be imported or written.
    pub changed: Notify,
    /// Woken when other namespaces may be named.
    pub rules_changed: Notify,
}

impl Shared {
    /// The state.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A status to write.
#[derive(Clone, Debug)]
pub struct Report {
    /// The rule.
    pub object: Watched<ImportRuleSpec>,
    /// As it should be.
    pub status: ImportRuleStatus,
}

impl State {
    /// Takes in a rule.
    pub fn put(
        &mut self,
        object: Watched<ImportRuleSpec>,
        status: Option<ImportRuleStatus>,
        rules: &Rules,
        consent: &[Consent],
    ) {
        let rule = match &object.spec {
            Ok(spec) => Rule::of(&object.key.namespace, spec, rules, consent),
            Err(error) => Err(Refusal { reason: ImportReason::InvalidSpec, message: error.clone() }),
        };
        if self.rules.get(&object.key).is_some_and(|known| known.object.generation != object.generation) {
            self.ledger.edited(&object.key);
        }
        self.ledger.know(&object.key, &object.uid, status.as_ref());
        self.rules.insert(object.key.clone(), KnownRule { object, status, rule });
    }

    /// Only rules exist of which this is true.
    pub fn keep(&mut self, exists: impl Fn(&ObjectKey) -> bool) {
        self.rules.retain(|key, _| exists(key));
        self.ledger.keep(exists);
    }

    /// The namespaces whose pods count.
    pub fn namespaces(&self) -> BTreeSet<String> {
        self.in_force().values().flat_map(|rule| rule.namespaces.iter().cloned()).collect()
    }

    /// The rules that are in force.
    pub fn in_force(&self) -> BTreeMap<ObjectKey, Rule> {
        let valid = self.rules.iter().filter_map(|(key, known)| Some((key, known.rule.as_ref().ok()?)));
        valid.map(|(key, rule)| (key.clone(), rule.clone())).collect()
    }

    /// Whether any pod cannot pull.
    pub fn has_failing_pods(&self) -> bool {
        self.pods.values().any(|pods| !pods.is_empty())
    }

    /// What has to be imported.
    pub fn plan(&self, rules: &BTreeMap<ObjectKey, Rule>, mirrors: Result<&NodeRules, &String>) -> Plan {
        mirrors.map(|mirrors| plan(&self.pods, rules, mirrors)).unwrap_or_default()
    }

    /// The statuses that differ from those on the API server.
    pub fn reports(&self, plan: &Plan, mirrors: Result<(), &String>, now: Timestamp) -> Vec<Report> {
        let report = |(key, known): (&ObjectKey, &KnownRule)| {
            let standing = self.standing(key, known, plan, mirrors, now);
            let done = self.ledger.status(key);
            let before = known.status.as_ref();
            let status = super::status::status(before, done, &standing, known.object.generation, now);
            (before != Some(&status)).then(|| Report { object: known.object.clone(), status })
        };
        self.rules.iter().filter_map(report).collect()
    }

    fn standing(
        &self,
        key: &ObjectKey,
        known: &KnownRule,
        plan: &Plan,
        mirrors: Result<(), &String>,
        now: Timestamp,
    ) -> Standing {
        let rule = match &known.rule {
            Ok(rule) => rule,
            Err(refusal) => return Standing { trouble: Some(refusal.clone()), limited: None },
        };
        let of = |reason, message: &String| Refusal { reason, message: message.clone() };
        let unread = rule.namespaces.iter().find_map(|namespace| self.unread.get(namespace));
        let trouble = unread
            .map(|why| of(ImportReason::PodsNotReadable, why))
            .or_else(|| mirrors.err().map(|why| of(ImportReason::MirrorsNotReadable, why)))
            .or_else(|| plan.overlaps.get(key).map(|why| of(ImportReason::RulesOverlap, why)))
            .or_else(|| self.ledger.trouble(key).cloned());
        let limited = self.ledger.limited(key, rule, now).map(|until| (until, rule.per_hour));
        Standing { trouble, limited }
    }

    /// A status was written.
    pub fn wrote(&mut self, report: Report) {
        let known = self.rules.get_mut(&report.object.key).filter(|known| known.object.uid == report.object.uid);
        if let Some(known) = known {
            known.status = Some(report.status);
        }
    }

    /// The spec of a rule.
    pub fn spec(&self, key: &ObjectKey) -> Option<Arc<ImportRuleSpec>> {
        self.rules.get(key)?.object.spec.as_ref().ok().cloned()
    }
}
