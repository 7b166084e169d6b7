//! Prints changes as text.

use super::super::console::{BAD, GOOD, HEADING, WARNING, styled};
use super::changes::{AnnotationChange, CatalogChanges, ClusterChanges, SourceChange, TargetChanges};

/// Shown characters of an annotation's value: enough to recognise it on a terminal line.
const SHOWN: usize = 72;

/// Prints all changes. Empty if there are none.
pub fn print(changes: &[ClusterChanges]) -> String {
    let mut lines = Vec::new();
    for changes in changes {
        cluster(&mut lines, changes);
    }
    lines.into_iter().map(|line| line.replace('\n', "\\n") + "\n").collect()
}

fn cluster(lines: &mut Vec<String>, changes: &ClusterChanges) {
    let title = styled(HEADING, format_args!("HostedCluster {}", changes.hosted_cluster));
    match &changes.held {
        Some(why) => lines.push(format!("{title} {}", styled(WARNING, format_args!("(not now: {why})")))),
        None => lines.push(title),
    }
    if let Some(digest) = &changes.mirrors_observed {
        let text = format!("+ annotation {}: {digest}", hypermirror_api::annotations::MIRRORS_OBSERVED);
        lines.push(format!("  {}  (triggers stock operators to read the mirrors)", styled(GOOD, text)));
    }
    if !changes.unproven.is_empty() {
        lines.push(format!("  {}", styled(WARNING, "held until their mirrors are proven (--require-proof=enforce)")));
    }
    for source in &changes.unproven {
        let live = match source.before.as_slice() {
            [] => String::new(),
            live => format!(" ({} stays in use)", live.join(", ")),
        };
        let text = format!("? {} -> {}", source.source, source.after.join(", "));
        lines.push(format!("    {}{live}: {}", styled(WARNING, text), source.why));
    }
    let mut before: Option<&TargetChanges> = None;
    for target in &changes.targets {
        let is_repetition = before.is_some_and(|before| before.overrides == target.overrides);
        self::target(lines, target, is_repetition);
        before = Some(target);
    }
    for changes in &changes.catalogs {
        catalog(lines, changes);
    }
}

fn catalog(lines: &mut Vec<String>, changes: &CatalogChanges) {
    let CatalogChanges { kind, namespace, name, .. } = changes;
    lines.push(format!("  {kind} {namespace}/{name} (unless stock HyperShift changes it first)"));
    for image in &changes.images {
        lines.push(format!("    {}", image.place));
        for (sign, style, value) in [("-", BAD, &image.before), ("+", GOOD, &image.after)] {
            lines.push(format!("      {}", styled(style, format_args!("{sign} {value}"))));
        }
    }
    let triggers = hypermirror_api::annotations::IMAGE_TRIGGERS;
    let is_removal =
        |operation: &json_patch::PatchOperation| matches!(operation, json_patch::PatchOperation::Remove(_));
    if changes.patch.iter().any(|patch| patch.0.iter().any(is_removal)) {
        lines.push(format!("    {}", styled(BAD, format_args!("- annotation {triggers}"))));
    }
}

fn target(lines: &mut Vec<String>, changes: &TargetChanges, is_repetition: bool) {
    let restarts = if changes.restarts { "restarts" } else { "no restart" };
    lines.push(format!("  Deployment {}/{} ({restarts})", changes.namespace, changes.name));
    if is_repetition && !changes.overrides.is_empty() {
        lines.push("    OPENSHIFT_IMG_OVERRIDES as above".to_owned());
    } else {
        sources(lines, "OPENSHIFT_IMG_OVERRIDES", &changes.overrides);
    }
    sources(lines, "--registry-overrides", &changes.argument);
    for change in &changes.annotations {
        lines.push(format!("    {}", annotation(change)));
    }
}

fn sources(lines: &mut Vec<String>, name: &str, changes: &[SourceChange]) {
    if changes.is_empty() {
        return;
    }
    lines.push(format!("    {name}"));
    for change in changes {
        for (sign, style, mirrors) in [("-", BAD, &change.before), ("+", GOOD, &change.after)] {
            if !mirrors.is_empty() {
                let text = format!("{sign} {} -> {}", change.source, mirrors.join(", "));
                lines.push(format!("      {}", styled(style, text)));
            }
        }
    }
}

fn annotation(change: &AnnotationChange) -> String {
    let (sign, style, value) = match (&change.before, &change.after) {
        (None, Some(value)) => ("+", GOOD, value.as_str()),
        (Some(_), Some(value)) => ("~", WARNING, value.as_str()),
        (_, None) => ("-", BAD, ""),
    };
    let value = if value.is_empty() { String::new() } else { format!(": {}", short(value)) };
    styled(style, format_args!("{sign} annotation {}{value}", change.key))
}

fn short(value: &str) -> String {
    if value.chars().count() <= SHOWN {
        return value.to_owned();
    }
    value.chars().take(SHOWN - 1).chain(['…']).collect()
}
