//! What the audit log and the final state say about a run.

use std::collections::BTreeMap;

use serde::Serialize;

/// The result of a run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Verdict {
    /// Edits of mirrors.
    pub edits: usize,
    /// Writes of targets that could not be saved: one for each target that an edit concerns.
    pub needed: usize,
    /// Writes of targets if no two edits were ever written together.
    pub at_most: usize,
    /// Writes of targets, by the audit log.
    pub patches: usize,
    /// Rollouts of targets, by the generations of the Deployments.
    pub rollouts: usize,
    /// Writes of report statuses.
    pub statuses: usize,
    /// Requests of managers that were refused, by status code.
    pub refused: BTreeMap<u16, usize>,
    /// Other writes of managers than those of targets, report statuses, the Lease and events, by what they are.
    pub others: BTreeMap<String, usize>,
    /// Changes of the leader.
    pub terms: usize,
    /// Lists that managers began, also as watches with initial events.
    pub lists: usize,
    /// What should not be: lost edits, removed entries, superfluous writes, writes by a replica that did not lead.
    pub wrong: Vec<String>,
}

impl Verdict {
    /// The first faults, as text. `None` if there are none.
    pub fn complaint(&self) -> Option<String> {
        const SHOWN: usize = 20;
        (!self.wrong.is_empty()).then(|| {
            let shown: Vec<&str> = self.wrong.iter().take(SHOWN).map(String::as_str).collect();
            format!("{} faults; the first ones:\n  {}", self.wrong.len(), shown.join("\n  "))
        })
    }

    /// Number of requests that were refused with this code.
    pub fn refused_with(&self, code: u16) -> usize {
        self.refused.get(&code).copied().unwrap_or_default()
    }
}
