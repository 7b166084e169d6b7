//! Limits the cost of parsing a text: the YAML parser needs quadratic time for deep nesting and much memory for many small
//! values.
//!
//! Without limits, a user who can write a ConfigMap could block the manager for minutes, or get it killed, with a text far
//! below the API server's limit of 1 MiB. A scanner therefore counts tokens before any parser sees the text. Real
//! configurations stay below each limit by a factor of at least two.

use super::scan::{MAX_DEPTH, Stop, scan};

/// Maximum number of directives in one document, because the parser compares each `%TAG` with all previous ones.
const MAX_DIRECTIVES: usize = 64;
/// Tokens that are always allowed, in addition to two for each three bytes. The shortest valid mirror entry has 12 tokens in
/// 32 bytes.
const FREE_TOKENS: usize = 100_000;
/// Mappings that are always allowed, in addition to one for each [`BYTES_OF_MAPPING`]. A mapping takes 700 bytes of memory.
/// The shortest valid mirror entry is one mapping in 32 bytes.
const FREE_MAPPINGS: usize = 10_000;
const BYTES_OF_MAPPING: usize = 16;
/// Work that is always allowed, in addition to [`WORK_OF_BYTE`] for each byte. Each token counts once, plus once for each
/// bracket around it.
const FREE_WORK: usize = 4_000_000;
const WORK_OF_BYTE: usize = 12;

/// Why a text is rejected before it is parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The line with the problem, starting at 1, if it is in one line.
    pub(super) line: Option<usize>,
    pub(super) message: String,
}

/// Rejects a text whose parsing would cost too much. The check itself takes linear time for any text.
pub(super) fn check(text: &str) -> Result<(), Refusal> {
    let refuse = |message: String| Err(Refusal { line: None, message });
    let (tally, ended) = scan(text);
    match ended {
        Err(Stop::TooDeep) => return refuse(format!("values are nested more than {MAX_DEPTH} deep")),
        Err(Stop::Invalid(line, open)) if open > MAX_DEPTH => {
            let message = format!("syntax error, and more than {MAX_DEPTH} brackets follow");
            return Err(Refusal { line: Some(line), message });
        }
        // The parser has a better message for this error.
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
