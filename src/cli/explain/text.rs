//! Prints explanations as text.

use super::super::console::{BAD, ERROR, HEADING, WARNING, styled};
use super::Answer;
use crate::mirrors::hypershift::ControlPlaneExplanation;
use crate::mirrors::registries::{Endpoint, EndpointOrigin, Explanation};
use crate::printable;

/// The endpoints that nodes try.
pub fn of_node(answer: &Answer) -> String {
    let explained = answer.explanations.iter().enumerate().map(|(index, explanation)| {
        let by_hypershift = answer.by_hypershift.get(index).map(Vec::as_slice).unwrap_or_default();
        node(explanation, by_hypershift)
    });
    explained.collect::<Vec<_>>().join("\n")
}

fn node(explanation: &Explanation, by_hypershift: &[String]) -> String {
    let mut text = format!("{}\n", styled(HEADING, &explanation.image));
    if let Some(error) = &explanation.error {
        return text + &format!("  {}\n", styled(ERROR, error));
    }
    indented(&mut text, &matching(explanation.prefix.as_deref()));
    for object in by_hypershift {
        let note = format!(
            "HyperShift itself writes the mirrors of {object} to the nodes; pass the node's files with --registries-conf to include them"
        );
        indented(&mut text, &styled(WARNING, note));
    }
    text + &endpoints(&explanation.endpoints)
}

/// The endpoints that HyperShift's operators try.
pub fn of_control_plane(explanation: &[ControlPlaneExplanation]) -> String {
    explanation.iter().map(control_plane).collect::<Vec<_>>().join("\n")
}

fn control_plane(explanation: &ControlPlaneExplanation) -> String {
    let mut text = format!("{}\n", styled(HEADING, &explanation.image));
    if let Some(error) = &explanation.error {
        return text + &format!("  {}\n", styled(ERROR, error));
    }
    indented(&mut text, &matching(explanation.prefix.as_deref()));
    if explanation.unordered {
        indented(&mut text, "several sources match: HyperShift tries their mirrors in no particular order");
    }
    text += &endpoints(&explanation.endpoints);
    for skipped in &explanation.skipped {
        let line = format!("skips mirror {} of {}: {}", skipped.mirror, skipped.source, skipped.reason);
        indented(&mut text, &styled(WARNING, line));
    }
    let found: Vec<&str> = explanation.endpoints.iter().map(|endpoint| endpoint.reference.as_str()).collect();
    if found != explanation.release {
        indented(&mut text, "if it is a release image:");
        for (place, reference) in explanation.release.iter().enumerate() {
            indented(&mut text, &format!("{}. {}", place + 1, printable::line(reference)));
        }
    }
    text
}

fn indented(text: &mut String, line: &str) {
    text.extend(["  ", line, "\n"]);
}

fn matching(prefix: Option<&str>) -> String {
    prefix.map_or_else(|| "no mirror set matches".to_owned(), |prefix| format!("matches {}", printable::line(prefix)))
}

fn endpoints(endpoints: &[Endpoint]) -> String {
    let width = endpoints.iter().map(|endpoint| endpoint.reference.chars().count()).max().unwrap_or(0);
    endpoints.iter().enumerate().map(|(place, endpoint)| line(place + 1, endpoint, width)).collect()
}

fn line(place: usize, endpoint: &Endpoint, width: usize) -> String {
    let mut notes = Vec::new();
    if endpoint.blocked {
        notes.push(styled(BAD, "blocked: never contacted"));
    }
    if endpoint.insecure {
        notes.push(styled(BAD, "TLS not verified"));
    }
    match &endpoint.origin {
        Some(EndpointOrigin::Object(origin)) => notes.push(printable::line(&origin.to_string()).into_owned()),
        Some(EndpointOrigin::File { file }) => notes.push(printable::line(file).into_owned()),
        None => {}
    }
    let line = format!("  {place}. {:width$}   {}", endpoint.reference, notes.join(", "));
    format!("{}\n", line.trim_end())
}
