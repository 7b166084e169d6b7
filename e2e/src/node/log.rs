//! Reads from CRI-O's log which endpoints it tried.

use anyhow::{Context, Result};

use super::RealNode;

/// A position in CRI-O's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark(usize);

/// The message of the image library before each endpoint that it tries, at level debug.
const TRYING: &str = "Trying to access \\\"";

impl RealNode {
    /// The current end of CRI-O's log.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub fn mark(&self) -> Result<Mark> {
        Ok(Mark(self.read_log()?.len()))
    }

    /// The log of CRI-O since the mark.
    ///
    /// # Errors
    ///
    /// If the log cannot be read.
    pub fn logged_since(&self, mark: Mark) -> Result<String> {
        Ok(String::from_utf8_lossy(self.read_log()?.get(mark.0..).unwrap_or_default()).into_owned())
    }

    /// The references that CRI-O has tried since the mark, in order. A failed pull tries all endpoints twice: as an image, then as
    /// an artifact.
    ///
    /// # Errors
    ///
    /// If the log cannot be read.
    pub fn tried_since(&self, mark: Mark) -> Result<Vec<String>> {
        Ok(self.logged_since(mark)?.lines().filter_map(tried).map(str::to_owned).collect())
    }

    fn read_log(&self) -> Result<Vec<u8>> {
        let path = self.directory().join("crio.log");
        std::fs::read(&path).with_context(|| format!("failed to read {}", path.display()))
    }
}

fn tried(line: &str) -> Option<&str> {
    Some(line.split_once(TRYING)?.1.split_once("\\\"")?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_found_in_a_line() {
        let line = r#"time="…" level=debug msg="Trying to access \"127.0.0.1:5/q/app:v1\"" file="docker/docker_image_src.go:95""#;
        assert_eq!(tried(line), Some("127.0.0.1:5/q/app:v1"));
        assert_eq!(tried("level=info msg=other"), None);
    }
}
