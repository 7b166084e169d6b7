//! CRI-O's log as a witness: what it tried, in its own words.

use anyhow::{Context, Result};

use super::RealNode;

/// A place in CRI-O's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark(usize);

/// What the image library says before each endpoint that it asks, at level debug.
const TRYING: &str = "Trying to access \\\"";

impl RealNode {
    /// Where CRI-O's log ends now.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn mark(&self) -> Result<Mark> {
        Ok(Mark(self.read_log()?.len()))
    }

    /// What CRI-O has logged since the mark.
    ///
    /// # Errors
    ///
    /// When the log cannot be read.
    pub fn logged_since(&self, mark: Mark) -> Result<String> {
        Ok(String::from_utf8_lossy(self.read_log()?.get(mark.0..).unwrap_or_default()).into_owned())
    }

    /// The references that CRI-O has tried since the mark, in order. A pull that fails tries everything twice: as an image,
    /// then as an artifact.
    ///
    /// # Errors
    ///
    /// When the log cannot be read.
    pub fn tried_since(&self, mark: Mark) -> Result<Vec<String>> {
        Ok(self.logged_since(mark)?.lines().filter_map(tried).map(str::to_owned).collect())
    }

    fn read_log(&self) -> Result<Vec<u8>> {
        let path = self.directory().join("crio.log");
        std::fs::read(&path).with_context(|| format!("read {}", path.display()))
    }
}

fn tried(line: &str) -> Option<&str> {
    Some(line.split_once(TRYING)?.1.split_once("\\\"")?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_taken_out_of_a_line() {
        let line = r#"time="…" level=debug msg="Trying to access \"127.0.0.1:5/q/app:v1\"" file="docker/docker_image_src.go:95""#;
        assert_eq!(tried(line), Some("127.0.0.1:5/q/app:v1"));
        assert_eq!(tried("level=info msg=other"), None);
    }
}
