//! A line of the tree, and how a condition is printed in it.

use anstyle::Style;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::super::console::{BAD, GOOD, WARNING, styled};

/// A line and its children.
pub(super) struct Branch {
    pub(super) text: String,
    pub(super) below: Vec<Branch>,
}

impl Branch {
    pub(super) fn leaf(text: impl Into<String>) -> Self {
        Self { text: text.into(), below: Vec::new() }
    }
}

/// The style of a condition.
pub(super) fn style(condition: &Condition) -> Style {
    match condition.status.as_str() {
        "True" => GOOD,
        "False" => BAD,
        _ => WARNING,
    }
}

pub(super) fn words(condition: &Condition) -> String {
    let status = styled(style(condition), format_args!("{}={}", condition.type_, condition.status));
    format!("{status} ({}): {}", condition.reason, condition.message)
}
