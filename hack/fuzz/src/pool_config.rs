//! A ConfigMap of a NodePool's configuration.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use hypermirror::hosted::pool_config::{KEY, read};
use hypermirror::mirrors::PullBy;

use crate::cost::linear;
use crate::mirrors::{OBJECT, check_entries, check_origins};

static COST: OnceLock<Duration> = OnceLock::new();

pub fn check(input: &[u8]) {
    let text = String::from_utf8_lossy(input).into_owned();
    let documents =
        linear(&COST, &text, |text| read(OBJECT.0, OBJECT.1, &BTreeMap::from([(KEY.to_owned(), text.to_owned())])));
    let data = BTreeMap::from([(KEY.to_owned(), text)]);
    assert_eq!(read(OBJECT.0, OBJECT.1, &data), documents, "parsing is deterministic");
    check_origins(&documents.entries, &documents.findings, |key| key == KEY);
    for trouble in &documents.problems {
        assert!(
            trouble.message.starts_with("ConfigMap clusters/mirrors"),
            "the message does not name the object: {}",
            trouble.message
        );
    }
    assert!(documents.has_mirrors_whole() || !documents.problems.is_empty(), "an invalid document is reported");
    let has_tags = documents.entries.iter().any(|entry| entry.pull_by == PullBy::Tag);
    assert!(documents.has_tag_mirrors || !has_tags, "tag mirrors have an origin");
    check_entries(&documents.entries);
}
