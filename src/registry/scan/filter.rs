//! Which tags a scan looks at. Pure.

use regex::Regex;

use super::super::transfer::AnchorTemplate;

/// The longest pattern. The `regex` crate has no pattern that takes more than linear time; a long one takes memory.
const MAX_PATTERN_BYTES: usize = 1_024;
const MAX_PATTERN_MEMORY: usize = 1024 * 1024;

/// Why a pattern is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid pattern {pattern:?}: {message}")]
pub struct PatternError {
    pattern: String,
    message: String,
}

/// A regular expression for whole tags.
#[derive(Clone, Debug)]
pub struct TagPattern(Regex);

impl TagPattern {
    /// Compiles a pattern; `^` and `$` are implied.
    ///
    /// # Errors
    /// [`PatternError`].
    pub fn new(pattern: &str) -> Result<Self, PatternError> {
        let refused = |message: String| PatternError { pattern: pattern.chars().take(100).collect(), message };
        if pattern.len() > MAX_PATTERN_BYTES {
            return Err(refused(format!("it has more than {MAX_PATTERN_BYTES} bytes")));
        }
        let whole = format!("^(?:{pattern})$");
        let compiled = regex::RegexBuilder::new(&whole).size_limit(MAX_PATTERN_MEMORY).build();
        // The last line says what is wrong; those above show where, in a text that is not the user's.
        let message = |error: regex::Error| {
            error.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
        };
        Ok(Self(compiled.map_err(|error| refused(message(error)))?))
    }

    fn matches(&self, tag: &str) -> bool {
        self.0.is_match(tag)
    }
}

/// Which tags count.
#[derive(Clone, Debug, Default)]
pub struct TagFilter {
    /// Only those that match.
    pub include: Option<TagPattern>,
    /// Not those that match one of them.
    pub exclude: Vec<TagPattern>,
    /// Also tags that stand for attached signatures, attestations and SBOMs, and those that keep what was copied by digest.
    pub has_attachments: bool,
}

impl TagFilter {
    /// Whether a tag counts.
    pub fn takes(&self, tag: &str) -> bool {
        (self.has_attachments || !(is_attachment(tag) || AnchorTemplate::default().matches(tag)))
            && self.include.as_ref().is_none_or(|pattern| pattern.matches(tag))
            && !self.exclude.iter().any(|pattern| pattern.matches(tag))
    }
}

/// Whether a tag is about another image: those of cosign (`sha256-HEX.sig`, `.att`, `.sbom`), and those of the referrers tag
/// schema (`sha256-HEX`, `sha512-HEX`).
pub fn is_attachment(tag: &str) -> bool {
    let stem = [".sig", ".att", ".sbom"].iter().find_map(|suffix| tag.strip_suffix(suffix));
    if stem.is_some() {
        return true;
    }
    let hex = tag.strip_prefix("sha256-").or_else(|| tag.strip_prefix("sha512-"));
    hex.is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_for_whole_tags() {
        let filter = |include: &str, exclude: &str| TagFilter {
            include: Some(TagPattern::new(include).unwrap()),
            exclude: vec![TagPattern::new(exclude).unwrap()],
            has_attachments: false,
        };
        let versions = filter("v1|v2.*", "v2-rc");
        let taken = |filter: &TagFilter| ["v1", "v10", "v2", "v2-rc", "xv1"].map(|tag| filter.takes(tag));
        assert_eq!(taken(&versions), [true, false, true, false, false]);
        assert_eq!(taken(&TagFilter::default()), [true; 5]);
    }

    #[test]
    fn attachments_are_left_out_unless_they_are_wanted() {
        let hex = "0".repeat(64);
        let attachments = [
            "v1.sig".to_owned(),
            "a.att".to_owned(),
            "a.sbom".to_owned(),
            format!("sha256-{hex}"),
            format!("sha512-{hex}.sig"),
        ];
        let anchor = "hypermirror-0123456789ab";
        assert!(!TagFilter::default().takes(anchor), "it only keeps what was copied by digest");
        assert!(TagFilter { has_attachments: true, ..TagFilter::default() }.takes(anchor));
        for tag in &attachments {
            assert!(is_attachment(tag) && !TagFilter::default().takes(tag), "{tag}");
            assert!(TagFilter { has_attachments: true, ..TagFilter::default() }.takes(tag), "{tag}");
        }
        for tag in ["v1", "sha256-abc", &format!("sha256-{hex}0"), "sig", "a.sig.x"] {
            assert!(!is_attachment(tag), "{tag}");
        }
    }

    #[test]
    fn a_pattern_that_is_wrong_or_too_large_is_named() {
        let error = TagPattern::new("(").unwrap_err().to_string();
        assert!(error.starts_with("invalid pattern \"(\": ") && !error.contains('\n'), "{error}");
        assert!(TagPattern::new("[a-z]{9}{9}{9}{9}{9}").is_err());
        assert!(TagPattern::new(&"a".repeat(MAX_PATTERN_BYTES + 1)).is_err());
    }
}
