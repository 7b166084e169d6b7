//! Evaluates the audit log of one edit.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use hypermirror_e2e::audit::Event;

/// The writes of one user in one edit.
pub struct Window {
    /// Patches of target Deployments, in the order of the log.
    pub patches: Vec<Event>,
    /// Number of writes of each kind, except Leases and Events, including rejected ones.
    pub counts: BTreeMap<String, usize>,
    /// Number of rejected patches.
    pub refused: usize,
}

impl Window {
    /// Collects the writes of one user.
    pub fn new(writes: Vec<Event>) -> Self {
        let mut counts = BTreeMap::new();
        for write in writes.iter().filter(|write| !matches!(write.resource.as_str(), "leases" | "events")) {
            let slash = if write.subresource.is_empty() { "" } else { "/" };
            *counts.entry(format!("{} {}{slash}{}", write.verb, write.resource, write.subresource)).or_default() += 1;
        }
        let refused = writes.iter().filter(|write| !write.succeeded()).count();
        let patches = writes.into_iter().filter(|write| write.resource == "deployments" && write.succeeded());
        Self { patches: patches.collect(), counts, refused }
    }

    /// Seconds from this event, or from the first patch, to the response of the last patch.
    ///
    /// # Errors
    ///
    /// If there is no patch.
    pub fn seconds(&self, from: Option<&Event>) -> Result<f64> {
        let first = match from {
            Some(event) => event.received,
            None => self.patches.iter().map(|patch| patch.received).min().context("no patch")?,
        };
        let last = self.patches.iter().map(|patch| patch.at).max().context("no patch")?;
        Ok(last.duration_since(first).as_secs_f64())
    }

    /// The writes as one line.
    pub fn line(&self) -> String {
        let counts: Vec<String> = self.counts.iter().map(|(what, count)| format!("{count} {what}")).collect();
        format!("{} ({} rejected)", counts.join(", "), self.refused)
    }

    /// Verifies the writes.
    ///
    /// # Errors
    ///
    /// If they differ from the expected ones.
    pub fn expect(&self, expected: &[(&str, usize)]) -> Result<()> {
        let expected: BTreeMap<String, usize> =
            expected.iter().filter(|(_, count)| *count > 0).map(|(what, count)| ((*what).to_owned(), *count)).collect();
        ensure!(self.counts == expected, "written: {}; expected {expected:?}", self.line());
        Ok(())
    }
}
