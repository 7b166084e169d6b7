//! Splits a YAML stream into documents.

/// The documents of a YAML stream, each with the number of its first line that is neither empty nor a comment.
///
/// A line that starts with `---` starts a document, even inside a block scalar, and one that starts with `...` ends it (YAML
/// 1.2, 9.1.2). A part that has only comments and directives belongs to the next document if it is at the start of the stream
/// or after `...`. Elsewhere it is an empty document.
pub(super) fn split(text: &str) -> Vec<(usize, &str)> {
    let starts = starts(text);
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    let mut lines = Lines::default();
    let chunk = |(start, end): (usize, usize)| {
        let chunk = text.get(start..end).unwrap_or_default();
        let silent: usize = chunk.split_inclusive('\n').take_while(|line| is_silent(line)).map(str::len).sum();
        let silent = if silent == chunk.len() { 0 } else { silent };
        let line = lines.at(text, start + silent);
        // Directives precede the document that they apply to.
        let has_directive = chunk.get(..silent).is_some_and(|head| head.lines().any(|line| line.starts_with('%')));
        let from = if has_directive { 0 } else { silent };
        (line, chunk.get(from..).unwrap_or_default())
    };
    starts.iter().copied().zip(ends).map(chunk).collect()
}

/// The first byte of each document.
fn starts(text: &str) -> Vec<usize> {
    let mut starts = vec![0];
    // Nothing but comments and directives since the last start: no document has begun yet.
    let mut is_head = true;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let next = at + line.len();
        if is_marker(line, "---") {
            if !is_head {
                starts.push(at);
            }
            is_head = false;
        } else if is_marker(line, "...") {
            if is_head {
                // No document is open.
                starts.pop();
            }
            starts.push(next);
            is_head = true;
        } else {
            is_head &= is_silent(line);
        }
        at = next;
    }
    if is_head && starts.len() > 1 {
        starts.pop();
    }
    starts
}

fn is_marker(line: &str, marker: &str) -> bool {
    let rest = line.strip_prefix(marker);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
}

fn is_silent(line: &str) -> bool {
    if is_marker(line, "...") {
        return true;
    }
    let line = line.trim();
    let content = line.strip_prefix("---").unwrap_or(line).trim_start();
    content.is_empty() || content.starts_with('#') || content.starts_with('%')
}

/// Counts lines incrementally, because a text can have very many documents.
#[derive(Default)]
pub(super) struct Lines {
    at: usize,
    ends: usize,
}

impl Lines {
    /// The line of a byte, starting at 1. Calls must be in ascending order of bytes.
    pub(super) fn at(&mut self, text: &str, byte: usize) -> usize {
        self.ends += text.get(self.at..byte).unwrap_or_default().matches('\n').count();
        self.at = byte;
        self.ends + 1
    }
}
