//! Notes about a drop-in: what in it has no effect, and why.

/// The reasons of notes about a drop-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NoteReason {
    /// A later file has a table with the same prefix, which takes precedence.
    Shadowed,
    /// A table of another file is below a wildcard source and does not have its mirrors.
    NestedInWildcard,
    /// A wildcard of the same length in another file takes precedence.
    HiddenByWildcard,
    /// A source or mirror would make the whole configuration invalid and is ignored.
    LeftOut,
}

impl NoteReason {
    /// The name that reports use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Shadowed => "Shadowed",
            Self::NestedInWildcard => "NestedInWildcard",
            Self::HiddenByWildcard => "HiddenByWildcard",
            Self::LeftOut => "LeftOut",
        }
    }
}

/// A note about one table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Note {
    /// The reason.
    pub reason: NoteReason,
    /// The table's prefix.
    pub prefix: String,
    /// The other file. For [`NoteReason::HiddenByWildcard`] the wildcard and its file. For [`NoteReason::LeftOut`] the
    /// source or mirror and its error.
    pub subject: String,
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { prefix, subject, .. } = self;
        match self.reason {
            NoteReason::Shadowed => {
                write!(f, "{prefix}: the table in {subject} takes precedence over that of hypermirror")
            }
            NoteReason::NestedInWildcard => {
                write!(
                    f,
                    "{prefix}: the table in {subject} does not get the mirrors of the wildcard source that contains it"
                )
            }
            NoteReason::HiddenByWildcard => {
                write!(f, "{prefix}: the table of {subject} takes precedence, because it has the same length")
            }
            NoteReason::LeftOut => write!(f, "{prefix}: left out: {subject}"),
        }
    }
}
