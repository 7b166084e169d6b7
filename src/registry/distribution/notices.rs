//! `Warning` headers: what a registry wants people to know, such as that it is going to be shut down.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use super::super::wire::error_body::shown;

/// A registry that always says something new is not listened to any longer.
const MAX_NOTICES: usize = 100;

/// Notices that were noted; those not taken yet.
#[derive(Debug, Default)]
pub(super) struct Notices(Mutex<(BTreeSet<String>, Vec<String>)>);

impl Notices {
    pub(super) fn note<'a>(&self, registry: &str, values: impl Iterator<Item = &'a str>) {
        for text in values.filter_map(text) {
            let notice = format!("{registry}: {text}");
            let mut guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let (known, fresh) = &mut *guard;
            if known.len() < MAX_NOTICES && known.insert(notice.clone()) {
                fresh.push(notice);
            }
        }
    }

    pub(super) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner).1)
    }
}

/// Of `299 - "text"`: the only code that the distribution specification has, and no agent.
fn text(value: &str) -> Option<String> {
    let quoted = value.trim().strip_prefix("299 - \"")?.strip_suffix('"')?;
    shown(&quoted.replace("\\\"", "\"").replace("\\\\", "\\"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_is_given_once_and_escaped() {
        let notices = Notices::default();
        notices.note(
            "r.example",
            [r#"299 - "going \"away\"""#, "199 - \"no\"", "299 - \"\u{1b}[2J\"", "299 - \"\""].into_iter(),
        );
        notices.note("r.example", [r#"299 - "going \"away\"""#].into_iter());
        assert_eq!(notices.take(), ["r.example: going \"away\"", "r.example: \\u001b[2J"]);
        notices.note("r.example", [r#"299 - "going \"away\"""#].into_iter());
        assert!(notices.take().is_empty());
        for number in 0..1_000 {
            notices.note("r.example", [format!("299 - \"{number}\"").as_str()].into_iter());
        }
        assert_eq!(notices.take().len(), MAX_NOTICES - 2);
    }
}
