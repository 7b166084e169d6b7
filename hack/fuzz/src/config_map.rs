//! The ConfigMap of `imageMirrorConfigRef`: digest mirrors, then tag mirrors.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use hypermirror::hosted::mirror_config::{KEY_NAMES, read};

use crate::cost::linear;
use crate::mirrors::{OBJECT, check_entries, check_origins};
use crate::parts;

static COST: OnceLock<Duration> = OnceLock::new();

/// A third part becomes an unsupported key.
const OTHER_KEY: &str = "notes";

pub fn check(input: &[u8]) {
    let keys = KEY_NAMES.into_iter().chain([OTHER_KEY]).map(str::to_owned);
    let data: BTreeMap<String, String> = keys.zip(parts(input)).collect();
    let text: String = data.values().map(String::as_str).collect();
    linear(&COST, &text, |text| {
        read(OBJECT.0, OBJECT.1, &BTreeMap::from([(KEY_NAMES[0].to_owned(), text.to_owned())]))
    });
    let config = read(OBJECT.0, OBJECT.1, &data);
    assert_eq!(read(OBJECT.0, OBJECT.1, &data), config, "parsing is deterministic");
    check_origins(&config.entries, &config.findings, |key| data.contains_key(key));
    let is_told = config.findings.iter().any(|finding| finding.origin.key.as_deref() == Some(OTHER_KEY));
    assert_eq!(is_told, data.contains_key(OTHER_KEY), "an unsupported key is reported");
    for trouble in &config.problems {
        assert!(
            trouble.message.starts_with("ConfigMap clusters/mirrors"),
            "the message does not name the object: {}",
            trouble.message
        );
    }
    check_entries(&config.entries);
}
