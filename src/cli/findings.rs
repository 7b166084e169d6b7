//! What is wrong with entries, on stderr beside the data.

use std::collections::BTreeSet;

use super::console;
use super::input::Input;
use crate::mirrors::finding::{Finding, Severity};

/// Tells each finding once, errors first.
pub fn tell<'a>(findings: impl IntoIterator<Item = &'a Finding>) {
    let mut told = BTreeSet::new();
    let mut findings: Vec<_> = findings.into_iter().collect();
    findings.sort_by_key(|finding| finding.severity);
    for finding in findings {
        let text = format!("{} {}: {} ({})", finding.origin, finding.field, finding.message, finding.reason.as_str());
        if told.insert(text.clone()) {
            match finding.severity {
                Severity::Error => console::error(text),
                Severity::Warning => console::warning(text),
            }
        }
    }
}

/// Tells what of a live cluster could not be read.
pub fn tell_troubles(input: &Input) {
    for malformed in &input.malformed {
        console::error(format!("{} is left out, it cannot be decoded: {}", malformed.object, malformed.message));
    }
    for absent in &input.absent {
        console::warning(format!("the cluster has no {}s: the kind is not served", absent.0));
    }
}
