//! Finds the end of scalars, anchors and tags.

use super::{Scanner, Step, Unexpected};

impl Scanner<'_> {
    /// `&name` or `*name`.
    pub(super) fn anchor(&mut self) -> Step {
        self.save_key();
        self.key_allowed = false;
        self.skip();
        let begin = self.at;
        while self.peek(0).is_ascii_alphanumeric() || matches!(self.peek(0), b'_' | b'-') {
            self.skip();
        }
        let ends = self.is_space(0) || matches!(self.peek(0), b'?' | b':' | b',' | b']' | b'}' | b'%' | b'@' | b'`');
        if self.at > begin && ends { Ok(()) } else { Err(Unexpected) }
    }

    /// `!name`.
    pub(super) fn tag(&mut self) -> Step {
        self.save_key();
        self.key_allowed = false;
        let is_verbatim = self.peek(1) == b'<';
        loop {
            self.skip();
            match self.peek(0) {
                b'!' | b'$' | b'%' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b'-' | b'.' | b'/' | b':' | b';'
                | b'<' | b'=' | b'>' | b'?' | b'@' | b'_' | b'~' => {}
                byte if byte.is_ascii_alphanumeric() => {}
                b',' if self.flow > 0 && !is_verbatim => return Ok(()),
                _ if self.is_space(0) => return Ok(()),
                _ => return Err(Unexpected),
            }
        }
    }

    /// `|` or `>`, with the lines that belong to it.
    pub(super) fn block_scalar(&mut self) -> Step {
        self.drop_key();
        self.key_allowed = true;
        self.skip();
        let mut indent = 0;
        for _ in 0..2 {
            match self.peek(0) {
                b'+' | b'-' => self.skip(),
                digit @ b'1'..=b'9' if indent == 0 => {
                    indent = self.indent.max(0) + isize::from(digit - b'0');
                    self.skip();
                }
                _ => break,
            }
        }
        while self.is_blank(0) {
            self.skip();
        }
        if self.peek(0) == b'#' {
            self.skip_to_break();
        }
        if !self.is_break_or_end(0) {
            return Err(Unexpected);
        }
        if self.is_break(0) {
            self.skip_line();
        }
        self.block_breaks(&mut indent)?;
        while self.column == indent && self.peek(0) != 0 {
            self.skip_to_break();
            if self.is_break(0) {
                self.skip_line();
            }
            self.block_breaks(&mut indent)?;
        }
        Ok(())
    }

    /// Skips empty lines and indentation. The first line with content sets the indentation if it is not known yet.
    fn block_breaks(&mut self, indent: &mut isize) -> Step {
        let mut widest = 0;
        loop {
            let is_before = |scanner: &Self| *indent == 0 || scanner.column < *indent;
            while is_before(self) && self.peek(0) == b' ' {
                self.skip();
            }
            widest = widest.max(self.column);
            if is_before(self) && self.peek(0) == b'\t' {
                return Err(Unexpected);
            }
            if !self.is_break(0) {
                break;
            }
            self.skip_line();
        }
        if *indent == 0 {
            *indent = widest.max(self.indent + 1).max(1);
        }
        Ok(())
    }

    pub(super) fn quoted(&mut self, quote: u8) -> Step {
        self.save_key();
        self.key_allowed = false;
        self.skip();
        loop {
            if self.is_indicator() {
                return Err(Unexpected);
            }
            match self.peek(0) {
                0 => return Ok(()),
                b'\'' if quote == b'\'' && self.peek(1) == b'\'' => {
                    self.skip();
                    self.skip();
                }
                b'\\' if quote == b'"' => {
                    self.skip();
                    if self.is_break(0) {
                        self.skip_line();
                    } else {
                        self.skip();
                    }
                }
                byte if byte == quote => {
                    self.skip();
                    return Ok(());
                }
                _ if self.is_break(0) => self.skip_line(),
                _ => self.skip(),
            }
        }
    }

    pub(super) fn plain(&mut self) -> Step {
        self.save_key();
        self.key_allowed = false;
        let (indent, in_flow) = (self.indent + 1, self.flow > 0);
        let mut leading_blanks = false;
        while !self.is_indicator() && self.peek(0) != b'#' {
            while !self.is_space(0) && !self.ends_plain(in_flow)? {
                leading_blanks = false;
                self.skip();
            }
            if !(self.is_blank(0) || self.is_break(0)) {
                break;
            }
            while self.is_blank(0) || self.is_break(0) {
                if self.is_break(0) {
                    leading_blanks = true;
                    self.skip_line();
                } else if leading_blanks && self.column < indent && self.peek(0) == b'\t' {
                    return Err(Unexpected);
                } else {
                    self.skip();
                }
            }
            if !in_flow && self.column < indent {
                break;
            }
        }
        self.key_allowed = leading_blanks;
        Ok(())
    }

    fn ends_plain(&self, in_flow: bool) -> Result<bool, Unexpected> {
        let ends_flow = |byte| matches!(byte, b',' | b'[' | b']' | b'{' | b'}');
        if in_flow && self.peek(0) == b':' && (ends_flow(self.peek(1)) || self.peek(1) == b'?') {
            return Err(Unexpected);
        }
        Ok(self.peek(0) == b':' && self.is_space(1) || in_flow && ends_flow(self.peek(0)))
    }
}
