//! What nobody needs, for people.

use std::fmt::Write as _;

use super::super::super::console::{HEADING, WARNING, styled};
use crate::printable;
use crate::registry::coverage::unneeded::{RegistryLook, RepositoryLook, UnneededReport};

/// Images of a repository that are named one by one; `-o json` has all.
const NAMED: usize = 20;

/// Everything.
pub fn print(report: &UnneededReport) -> String {
    let mut text = looked_at(report);
    for gap in &report.gaps {
        let _ = writeln!(text, "{} {}", styled(WARNING, "could not be looked at:"), printable::line(gap));
    }
    if !report.gaps.is_empty() {
        text += "no image is named as unneeded, because what was not looked at may need it\n";
        return text;
    }
    for registry in &report.registries {
        text.push('\n');
        text += &registry_text(registry);
    }
    text + &totals(report)
}

fn looked_at(report: &UnneededReport) -> String {
    let looked = &report.looked_at;
    let mut text = format!(
        "{}\n  {} of the {}: {}\n  {}, {}\n",
        styled(HEADING, "needed is what these need:"),
        amount(looked.hosted_clusters.len(), "hosted cluster"),
        looked.input,
        printable::line(&listed(&looked.hosted_clusters)),
        amount(looked.node_pools.len(), "node pool"),
        amount(looked.images, "image"),
    );
    for release in &looked.releases {
        let _ = writeln!(text, "  release {}", printable::line(release));
    }
    let _ = writeln!(text, "{}", styled(HEADING, "never looked at:"));
    for what in &report.never_looked_at {
        let _ = writeln!(text, "  {what}");
    }
    text
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn registry_text(look: &RegistryLook) -> String {
    let mut text = format!("{}\n", styled(HEADING, format!("{} ({})", look.registry, look.mirrors.join(", "))));
    if let Some(error) = &look.catalog_error {
        let error = format!("only repositories of needed images: {error}");
        let _ = writeln!(text, "  {} {}", styled(WARNING, "looked at"), printable::line(&error));
    }
    for repository in &look.repositories {
        repository_text(repository, &mut text);
    }
    text
}

fn repository_text(look: &RepositoryLook, text: &mut String) {
    let name = printable::line(&look.repository);
    if let Some(error) = &look.error {
        let _ = writeln!(text, "  {} {name}: {}", styled(WARNING, "not judged"), printable::line(error));
        return;
    }
    if look.unneeded.is_empty() {
        return;
    }
    let whole = if look.is_needed { "" } else { ", the whole repository" };
    let _ = writeln!(text, "  {name}: {} unneeded{whole}", amount(look.unneeded.len(), "image"));
    for image in look.unneeded.iter().take(NAMED) {
        let _ = writeln!(text, "    {} ({})", image.digest, printable::line(&image.tags.join(", ")));
    }
    if look.unneeded.len() > NAMED {
        let _ = writeln!(text, "    and {} more; -o json has all", look.unneeded.len() - NAMED);
    }
}

fn totals(report: &UnneededReport) -> String {
    let unneeded: usize = report.repositories().map(|repository| repository.unneeded.len()).sum();
    let open = report.repositories().filter(|repository| repository.error.is_some()).count();
    let all = report.repositories().count();
    let open = if open > 0 { format!(", {open} not judged") } else { String::new() };
    format!("\n{} unneeded in {}{open}; nothing was deleted\n", amount(unneeded, "image"), repositories(all))
}

fn repositories(count: usize) -> String {
    if count == 1 { "1 repository".to_owned() } else { format!("{count} repositories") }
}

fn amount(count: usize, what: &str) -> String {
    if count == 1 { format!("{count} {what}") } else { format!("{count} {what}s") }
}
