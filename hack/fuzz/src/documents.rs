//! Untrusted YAML and JSON, and a kubeconfig.

use std::sync::OnceLock;

use hypermirror::documents::{check_cost, read};
use hypermirror::guest::kubeconfig::GuestAccess;

use crate::cost::linear;

static DOCUMENTS: OnceLock<std::time::Duration> = OnceLock::new();
static COST: OnceLock<std::time::Duration> = OnceLock::new();
static KUBECONFIG: OnceLock<std::time::Duration> = OnceLock::new();

pub fn check(input: &[u8]) {
    let text = String::from_utf8_lossy(input).into_owned();
    let found = linear(&DOCUMENTS, &text, |text| read("f.yaml", text));
    for document in found.into_iter().flatten() {
        assert!(!document.value.is_null(), "empty documents are skipped");
        assert!(document.place.line >= 1 && document.place.line <= text.lines().count().max(1), "{}", document.place);
    }
    let is_cheap = linear(&COST, &text, check_cost).is_ok();
    let access = linear(&KUBECONFIG, &text, |text| GuestAccess::parse(text.as_bytes(), "clusters-west"));
    assert!(is_cheap || access.is_err(), "a kubeconfig has the same limits");
}
