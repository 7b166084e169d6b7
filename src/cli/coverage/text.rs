//! Coverage for people: needs × consumers, what is missing and where, what is not known and why.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::super::console::{BAD, GOOD, HEADING, WARNING, styled};
use super::super::table::{self, Cell};
use crate::mirrors::ImageReference;
use crate::printable;
use crate::registry::coverage::matrix::{Counts, Lacking, Level, Signatures, Verdict};
use crate::registry::coverage::report::{ImageVerdict, Report};

/// Images that are named one by one; `-o json` has all.
const NAMED: usize = 20;
/// Parts that are named of one image at one place.
const PARTS: usize = 5;

/// Everything that was found.
pub fn print(report: &Report, hashed: usize) -> String {
    let mut text = String::new();
    for cluster in clusters(report) {
        if !cluster.is_empty() {
            let _ = writeln!(text, "{}", styled(HEADING, cluster));
        }
        text += &matrix(report, cluster);
        text.push('\n');
    }
    text += &missing(report);
    text += &unknown(report);
    text += &unread(report);
    text + &totals(report, hashed)
}

/// In the order of the report.
fn clusters(report: &Report) -> Vec<&str> {
    let mut seen = BTreeSet::new();
    report.cells.iter().map(|cell| cell.cluster.as_str()).filter(|cluster| seen.insert(*cluster)).collect()
}

/// A row for each group of images, a column for each consumer.
fn matrix(report: &Report, cluster: &str) -> String {
    let own = || report.cells.iter().filter(|cell| cell.cluster == cluster);
    let unique = |name: fn(&crate::registry::coverage::report::Cell) -> &str| {
        let mut seen = BTreeSet::new();
        own().map(name).filter(|name| seen.insert(*name)).collect::<Vec<_>>()
    };
    let groups = unique(|cell| &cell.group);
    let consumers = unique(|cell| &cell.consumer);
    let row = |group: &&str| {
        let counts = |consumer: &&str| own().find(|cell| cell.group == *group && cell.consumer == *consumer);
        let cells =
            consumers.iter().map(|consumer| counts(consumer).map(|cell| tally(cell.counts)).unwrap_or_default());
        std::iter::once(Cell::from(*group)).chain(cells).collect::<Vec<Cell>>()
    };
    let rows: Vec<Vec<Cell>> = groups.iter().map(row).collect();
    let heading: Vec<String> =
        std::iter::once("NEED".to_owned()).chain(consumers.iter().map(|it| it.to_uppercase())).collect();
    table::print_all(&heading.iter().map(String::as_str).collect::<Vec<_>>(), &rows)
}

/// `188/190`, and how many of the others are not known.
fn tally(counts: Counts) -> Cell {
    let share = format!("{}/{}", counts.held, counts.total());
    match counts {
        Counts { missing: 0, unknown: 0, .. } => Cell::styled(share, GOOD),
        Counts { missing: 0, unknown, .. } => Cell::styled(format!("{share} ({unknown} unknown)"), WARNING),
        Counts { unknown: 0, .. } => Cell::styled(share, BAD),
        Counts { unknown, .. } => Cell::styled(format!("{share} ({unknown} unknown)"), BAD),
    }
}

/// What a person calls an image.
fn title(image: &ImageVerdict) -> String {
    let group = if image.name.is_empty() { image.group.clone() } else { format!("{}: {}", image.group, image.name) };
    format!("{group} ({})", image.image)
}

/// Each image that is missing, where, and for whom.
fn missing(report: &Report) -> String {
    let mut images: BTreeMap<String, (Vec<&Lacking>, BTreeSet<String>)> = BTreeMap::new();
    for image in &report.images {
        let Verdict::Missing { lacking } = &image.verdict else { continue };
        let (places, consumers) = images.entry(title(image)).or_default();
        places.extend(lacking.iter().filter(|place| !places.contains(place)).collect::<Vec<_>>());
        consumers.insert(consumer(image));
    }
    let mut text = String::new();
    for (title, (places, consumers)) in images.iter().take(NAMED) {
        let _ = writeln!(text, "{} {}", styled(BAD, "missing"), printable::line(title));
        for place in places {
            lacks(&mut text, place);
        }
        let needed_by = consumers.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        let _ = writeln!(text, "  needed by {}", printable::line(&needed_by));
    }
    more(&mut text, images.len(), "missing images");
    text
}

fn consumer(image: &ImageVerdict) -> String {
    if image.cluster.is_empty() { image.consumer.clone() } else { format!("{} {}", image.cluster, image.consumer) }
}

fn lacks(text: &mut String, place: &Lacking) {
    for lack in place.parts.iter().take(PARTS) {
        let _ = writeln!(text, "  {}", printable::line(&format!("{}: {lack}", place.reference)));
    }
    if place.parts.len() > PARTS {
        let _ = writeln!(text, "  and {} more parts", place.parts.len() - PARTS);
    }
}

fn more(text: &mut String, count: usize, what: &str) {
    if count > NAMED {
        let _ = writeln!(text, "and {} more {what}; -o json has all", count - NAMED);
    }
    if count > 0 {
        text.push('\n');
    }
}

/// What is not known, once for each registry and reason.
fn unknown(report: &Report) -> String {
    let mut failures: BTreeMap<(String, String), (BTreeSet<&str>, &str)> = BTreeMap::new();
    let mut lacking: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for image in &report.images {
        let Verdict::Unknown { reference, reason, message, lacking: before } = &image.verdict else { continue };
        let key = (registry(reference), format!("{reason:?}"));
        failures.entry(key).or_insert_with(|| (BTreeSet::new(), message)).0.insert(reference);
        for place in before {
            lacking.entry(registry(&place.reference)).or_default().insert(&place.reference);
        }
    }
    let mut text = String::new();
    for ((registry, reason), (images, message)) in failures.iter().take(NAMED) {
        let line = format!("{registry}: {reason} for {}: {message}", amount(images.len(), "image"));
        let _ = writeln!(text, "{} {}", styled(WARNING, "unknown"), printable::line(&line));
    }
    for (registry, images) in lacking.iter().take(NAMED) {
        let line = format!("{registry} lacks {} of these", amount(images.len(), "image"));
        let _ = writeln!(text, "  {}", printable::line(&line));
    }
    more(&mut text, failures.len(), "reasons");
    text
}

fn registry(reference: &str) -> String {
    ImageReference::parse(reference).map_or_else(|_| reference.to_owned(), |image| image.registry)
}

/// Releases whose images are not known.
pub fn unread(report: &Report) -> String {
    let mut text = String::new();
    for release in &report.unread_releases {
        let _ = writeln!(
            text,
            "{} {}",
            styled(WARNING, "unknown"),
            printable::line(&format!("which images release {} needs:", release.image))
        );
        for error in release.errors.iter().take(PARTS) {
            let _ = writeln!(text, "  {}", printable::line(error));
        }
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

fn totals(report: &Report, hashed: usize) -> String {
    let Counts { held, missing, unknown } = report.counts;
    let signed = |image: &&ImageVerdict| matches!(image.verdict, Verdict::Held { signatures: Signatures::Held, .. });
    let signed = report.images.iter().filter(signed).count();
    let looked = match report.level {
        Level::L0 => "manifests alone were looked up",
        Level::L1 | Level::LS => "manifests and blobs were looked up",
        Level::L2 => "manifests and blobs were looked up, and their content was sampled",
    };
    let mut text = format!(
        "{held} of {} held, {missing} missing, {unknown} unknown ({looked} from {})",
        amount(report.counts.total(), "pull"),
        report.vantage
    );
    if report.level == Level::L2 {
        let _ = write!(text, "; content of {} read", amount(hashed, "blob"));
    }
    if signed > 0 {
        let _ = write!(text, "; {signed} with the signatures that policies demand");
    }
    text + "\n"
}

fn amount(count: usize, what: &str) -> String {
    if count == 1 { format!("{count} {what}") } else { format!("{count} {what}s") }
}
