//! The pages of the dashboard in the bundle.

use std::collections::BTreeSet;
use std::path::Path;

use super::super::dashboard::bundle::{MAX_CLUSTERS, Pages};
use super::reader::Reader;
use crate::redaction::Redactor;

const FOLDER: &str = "dashboard";

/// The pages without secrets, and the files that they need. Links lead only to pages that are in the bundle.
pub fn redacted(pages: &Pages, redactor: &Redactor) -> Vec<(String, String)> {
    let names: BTreeSet<&str> = pages.files.iter().map(|(name, _)| name.as_str()).collect();
    let kept = |(name, content): &(String, String)| {
        // The others are files of the program.
        let is_page = Path::new(name).extension().is_some_and(|extension| extension == "html");
        let content = if is_page { redactor.page(content, &|file| names.contains(file)) } else { content.clone() };
        (format!("{FOLDER}/{name}"), content)
    };
    pages.files.iter().map(kept).collect()
}

/// The pages of hosted clusters that are not in the bundle.
pub fn left_out(reader: &mut Reader, pages: &Pages) -> Vec<String> {
    if !pages.left_out.is_empty() {
        let count = pages.left_out.len();
        let why =
            format!("only the {MAX_CLUSTERS} that are least ready have one, the others are in the table of the fleet");
        reader.miss(format!("the dashboard page of {count} hosted clusters"), why);
    }
    pages.left_out.iter().map(|name| format!("{FOLDER}/{name}")).collect()
}
