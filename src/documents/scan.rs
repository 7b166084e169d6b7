//! Estimates the cost of parsing a YAML text, in one pass without allocations.
//!
//! libyaml visits every open bracket for each token, so its cost is the depth times the number of tokens. This scanner finds
//! the boundaries of tokens like that of libyaml (`scanner.c`): quotes, comments and block scalars hide the same brackets.
//! After a syntax error every bracket counts as open, so that no text is estimated too low. JSON is scanned the same way.

mod scalars;

/// Maximum nesting. The parsers of YAML and JSON have the same limit, but the YAML parser checks it only after the work.
pub(super) const MAX_DEPTH: usize = 128;
/// Maximum distance of a key without `?` from its `:` (libyaml).
const LONGEST_KEY: usize = 1024;

/// The counts of one text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) tokens: usize,
    /// One for each token, plus one for each bracket that is open at that token.
    pub(super) work: usize,
    pub(super) mappings: usize,
    /// Opening brackets.
    pub(super) brackets: usize,
    /// Lines that start with `%`.
    pub(super) directives: usize,
}

/// Why the scan ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// Values are nested deeper than the parsers allow.
    TooDeep,
    /// Syntax error: the line, and the number of brackets that may be open after it.
    Invalid(usize, usize),
}

/// A syntax error at the next byte.
struct Unexpected;

type Step = Result<(), Unexpected>;

/// The possible start of a key without `?`.
#[derive(Clone, Copy)]
struct Key {
    at: usize,
    line: usize,
    column: isize,
}

struct Scanner<'t> {
    text: &'t [u8],
    at: usize,
    line: usize,
    column: isize,
    /// Open brackets.
    flow: usize,
    /// The columns of the outer block collections.
    indents: Vec<isize>,
    /// The column of the current block collection.
    indent: isize,
    /// Only tracked outside brackets. It has no effect on the counts inside them.
    key: Option<Key>,
    key_allowed: bool,
    tally: Tally,
}

/// Scans a text to its end, or to the position where the parser would stop.
pub(super) fn scan(text: &str) -> (Tally, Result<(), Stop>) {
    let mut scanner = Scanner {
        text: text.as_bytes(),
        at: 0,
        line: 1,
        column: 0,
        flow: 0,
        indents: Vec::new(),
        indent: -1,
        key: None,
        key_allowed: true,
        tally: Tally::default(),
    };
    loop {
        scanner.skip_to_token();
        scanner.unroll(scanner.column);
        // The parser rejects NUL.
        if scanner.peek(0) == 0 {
            return (scanner.tally, Ok(()));
        }
        if scanner.token().is_err() {
            let rest = scanner.text.get(scanner.at..).unwrap_or_default();
            let brackets = rest.iter().filter(|byte| matches!(byte, b'[' | b'{')).count();
            return (scanner.tally, Err(Stop::Invalid(scanner.line, scanner.flow + brackets)));
        }
        if scanner.flow + scanner.indents.len() > MAX_DEPTH {
            return (scanner.tally, Err(Stop::TooDeep));
        }
    }
}

impl Scanner<'_> {
    /// The byte at an offset from here. NUL after the end.
    fn peek(&self, ahead: usize) -> u8 {
        self.text.get(self.at + ahead).copied().unwrap_or_default()
    }

    fn is_blank(&self, ahead: usize) -> bool {
        matches!(self.peek(ahead), b' ' | b'\t')
    }

    fn is_break(&self, ahead: usize) -> bool {
        match self.peek(ahead) {
            b'\r' | b'\n' => true,
            0xC2 => self.peek(ahead + 1) == 0x85,
            0xE2 => self.peek(ahead + 1) == 0x80 && matches!(self.peek(ahead + 2), 0xA8 | 0xA9),
            _ => false,
        }
    }

    fn is_break_or_end(&self, ahead: usize) -> bool {
        self.peek(ahead) == 0 || self.is_break(ahead)
    }

    fn is_space(&self, ahead: usize) -> bool {
        self.is_blank(ahead) || self.is_break_or_end(ahead)
    }

    /// Advances by one character.
    fn skip(&mut self) {
        self.at += 1;
        while self.text.get(self.at).is_some_and(|byte| byte & 0xC0 == 0x80) {
            self.at += 1;
        }
        self.column += 1;
    }

    fn skip_line(&mut self) {
        if self.peek(0) == b'\r' && self.peek(1) == b'\n' {
            self.at += 1;
        }
        self.skip();
        self.column = 0;
        self.line += 1;
    }

    fn skip_to_break(&mut self) {
        while !self.is_break_or_end(0) {
            self.skip();
        }
    }

    fn skip_to_token(&mut self) {
        loop {
            if self.column == 0 && self.text.get(self.at..).is_some_and(|rest| rest.starts_with(b"\xEF\xBB\xBF")) {
                self.skip();
            }
            while self.peek(0) == b' ' || (self.flow > 0 || !self.key_allowed) && self.peek(0) == b'\t' {
                self.skip();
            }
            if self.peek(0) == b'#' {
                self.skip_to_break();
            }
            if !self.is_break(0) {
                return;
            }
            self.skip_line();
            if self.flow == 0 {
                self.key_allowed = true;
            }
        }
    }

    fn count(&mut self) {
        self.tally.tokens += 1;
        self.tally.work += 1 + self.flow;
    }

    /// Starts a block collection if it is indented further than the current one.
    fn roll(&mut self, column: isize, mappings: usize) {
        if self.flow == 0 && self.indent < column {
            self.indents.push(self.indent);
            self.indent = column;
            self.tally.mappings += mappings;
            self.count();
        }
    }

    fn unroll(&mut self, column: isize) {
        while self.flow == 0 && self.indent > column {
            self.indent = self.indents.pop().unwrap_or(-1);
            self.count();
        }
    }

    fn save_key(&mut self) {
        if self.key_allowed && self.flow == 0 {
            self.key = Some(Key { at: self.at, line: self.line, column: self.column });
        }
    }

    fn drop_key(&mut self) {
        if self.flow == 0 {
            self.key = None;
        }
    }

    fn is_indicator(&self) -> bool {
        if self.column != 0 {
            return false;
        }
        let rest = self.text.get(self.at..).unwrap_or_default();
        (rest.starts_with(b"---") || rest.starts_with(b"...")) && self.is_space(3)
    }

    fn token(&mut self) -> Step {
        self.count();
        let byte = self.peek(0);
        if self.column == 0 && byte == b'%' {
            self.tally.directives += 1;
            self.end_document();
            self.skip_to_break();
            return Ok(());
        }
        if self.is_indicator() {
            self.end_document();
            (0..3).for_each(|_| self.skip());
            return Ok(());
        }
        let in_flow = self.flow > 0;
        match byte {
            b'[' | b'{' => self.open(byte == b'{'),
            b']' | b'}' => self.close(),
            b',' => {
                self.drop_key();
                self.key_allowed = true;
                self.skip();
            }
            b'-' if self.is_space(1) => self.entry(0, true)?,
            b'?' if in_flow || self.is_space(1) => self.entry(1, !in_flow)?,
            b':' if in_flow || self.is_space(1) => self.value()?,
            b'*' | b'&' => self.anchor()?,
            b'!' => self.tag()?,
            b'|' | b'>' if !in_flow => self.block_scalar()?,
            b'\'' | b'"' => self.quoted(byte)?,
            b'-' if !self.is_blank(1) => self.plain()?,
            b'?' | b':' if !in_flow => self.plain()?,
            b'\t' | b'-' | b'?' | b':' | b'#' | b'|' | b'>' | b'%' | b'@' | b'`' => return Err(Unexpected),
            _ => self.plain()?,
        }
        Ok(())
    }

    fn end_document(&mut self) {
        self.unroll(-1);
        self.drop_key();
        self.key_allowed = false;
    }

    fn open(&mut self, mapping: bool) {
        self.save_key();
        self.flow += 1;
        self.tally.brackets += 1;
        self.tally.mappings += usize::from(mapping);
        self.key_allowed = true;
        self.skip();
    }

    fn close(&mut self) {
        self.drop_key();
        self.flow = self.flow.saturating_sub(1);
        self.key_allowed = false;
        self.skip();
    }

    /// `-` or `?`.
    fn entry(&mut self, mappings: usize, key_allowed: bool) -> Step {
        if self.flow == 0 {
            if !self.key_allowed {
                return Err(Unexpected);
            }
            self.roll(self.column, mappings);
        }
        self.drop_key();
        self.key_allowed = key_allowed;
        self.skip();
        Ok(())
    }

    /// `:`.
    fn value(&mut self) -> Step {
        let is_fresh = |key: &Key| key.line == self.line && key.at + LONGEST_KEY >= self.at;
        if self.flow > 0 {
            self.key_allowed = false;
        } else if let Some(key) = self.key.take().filter(is_fresh) {
            self.count();
            self.roll(key.column, 1);
            self.key_allowed = false;
        } else if self.key_allowed {
            self.roll(self.column, 1);
        } else {
            return Err(Unexpected);
        }
        self.skip();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
