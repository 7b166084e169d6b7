//! A writer that escapes what passes through it.

use std::io::{self, Write};

use crate::printable;

/// Bytes that are held before they are passed on.
const HELD: usize = 64 * 1024;

/// Escapes control characters in whole lines: a character is never cut in two. Unlike [`super::print`] it knows no styles.
pub(super) struct EscapedLines<W> {
    out: W,
    held: Vec<u8>,
}

impl<W: Write> EscapedLines<W> {
    pub(super) const fn new(out: W) -> Self {
        Self { out, held: Vec::new() }
    }

    /// Passes the lines on that are whole, and all the rest at the end.
    fn pass(&mut self, is_end: bool) -> io::Result<()> {
        let last = self.held.iter().rposition(|byte| *byte == b'\n');
        let end = if is_end { self.held.len() } else { last.map_or(0, |last| last + 1) };
        let rest = self.held.split_off(end);
        let lines = std::mem::replace(&mut self.held, rest);
        self.out.write_all(printable::lines(&String::from_utf8_lossy(&lines)).as_bytes())
    }
}

impl<W: Write> Write for EscapedLines<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.held.extend_from_slice(bytes);
        if self.held.len() >= HELD {
            self.pass(false)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.pass(true)?;
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is written, and the largest piece of it.
    #[derive(Default)]
    struct Pieces(Vec<u8>, usize);

    impl Write for &mut Pieces {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.extend_from_slice(bytes);
            self.1 = self.1.max(bytes.len());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_long_list_passes_in_pieces_and_as_if_it_were_one_text() {
        let list: Vec<String> = (0..50_000).map(|number| format!("ü\u{202e}{number}")).collect();
        let mut pieces = Pieces::default();
        let mut out = EscapedLines::new(&mut pieces);
        serde_json::to_writer_pretty(&mut out, &list).unwrap();
        out.flush().unwrap();
        let whole = serde_json::to_string_pretty(&list).unwrap();
        assert_eq!(String::from_utf8(pieces.0).unwrap(), printable::lines(&whole));
        assert!(pieces.1 < 2 * HELD && whole.len() > 5 * HELD, "{} of {}", pieces.1, whole.len());
    }
}
