//! What a text may cost: the YAML reader takes a square of time for deep nesting, and much memory for many small values.
//!
//! Whoever may write a ConfigMap could otherwise hold the manager up for minutes, or have it killed, with one that is far
//! below the API server's limit of 1 MiB. One scanner of our own counts before any reader sees the text; what people write
//! stays below each limit by a factor of two and more.

use super::scan::{Stop, scan};

/// How deep values may be nested; the readers of YAML and JSON refuse more, the former after it has paid for it.
pub(super) const MAX_DEPTH: usize = 128;
/// Directives of one document; a reader compares each `%TAG` with all before it.
const MAX_DIRECTIVES: usize = 64;
/// Tokens that any text may have; a longer one may have two for each three bytes. The shortest entry of mirrors that can be
/// meant has 32 bytes and 12 tokens.
const FREE_TOKENS: usize = 100_000;
/// Mappings that any text may have, and then one for each so many bytes: each takes 700 bytes of memory. The shortest entry
/// is one for 32 bytes.
const FREE_MAPPINGS: usize = 10_000;
const BYTES_OF_MAPPING: usize = 16;
/// Tokens, each times the brackets around it, that any text may have, and then so many for each byte.
const FREE_WORK: usize = 4_000_000;
const WORK_OF_BYTE: usize = 12;

/// Why a text is not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The line that it is about, from 1, if it is about one.
    pub(super) line: Option<usize>,
    pub(super) message: String,
}

/// Refuses a text that would cost far more than its length. Takes time in proportion to the length, whatever it says.
pub(super) fn check(text: &str) -> Result<(), Refusal> {
    let refuse = |message: String| Err(Refusal { line: None, message });
    let (tally, ended) = scan(text);
    match ended {
        Err(Stop::TooDeep) => return refuse(format!("values are nested more than {MAX_DEPTH} deep")),
        Err(Stop::Invalid(line, open)) if open > MAX_DEPTH => {
            let message = format!("this line has a mistake, and more than {MAX_DEPTH} brackets follow it");
            return Err(Refusal { line: Some(line), message });
        }
        // The reader says better what is wrong.
        Err(Stop::Invalid(..)) | Ok(()) => {}
    }
    if tally.directives > MAX_DIRECTIVES {
        return refuse(format!("more than {MAX_DIRECTIVES} %TAG directives"));
    }
    if tally.tokens > FREE_TOKENS + text.len() / 3 * 2 {
        return refuse("it has too many values for its length".to_owned());
    }
    if tally.mappings > FREE_MAPPINGS + text.len() / BYTES_OF_MAPPING {
        return refuse("it has too many mappings for its length".to_owned());
    }
    if tally.work > FREE_WORK + text.len() * WORK_OF_BYTE {
        return refuse("it has too many values that are nested too deep".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests;
