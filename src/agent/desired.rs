//! Decides the content of the agent's file from the declared entries and the node's other files. Pure.

use hypermirror_api::node_mirror_status::Shadowed;
use hypermirror_api::report::FindingReport;

use crate::mirrors::attachments::{Attachments, SignatureFiles, attachments};
use crate::mirrors::finding::{Finding, FindingReason, Severity};
use crate::mirrors::layers::resolve;
use crate::mirrors::registries::{
    ConfigError, DROP_IN, Judgement, Note, NoteReason, RegistriesFile, RegistryTable, RenderError, Rendered, Role,
    judge, render_over,
};
use crate::mirrors::{MirrorEntry, Resolved};

/// The directory of the agent's file, as a path on the node.
pub const DROP_IN_DIRECTORY: &str = "/etc/containers/registries.conf.d";

/// Maximum size of files that are read and written. Real ones have a few kilobytes.
pub const LARGEST: usize = 4 << 20;

/// Maximum number of characters of a text in a report. The texts come from untrusted objects, and the size of a status is
/// limited.
const LONGEST_TEXT: usize = 1_024;

/// The node's files that the agent did not write, with their paths on the node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ForeignFiles {
    /// registries.conf.
    pub main: Option<(String, Vec<u8>)>,
    /// Drop-ins, grouped by directory in load order.
    pub drop_ins: Vec<(String, Vec<u8>)>,
    /// The file of hypermirror that the node booted with. The agent does not rewrite it.
    pub boot: Option<(String, Vec<u8>)>,
    /// Files that cannot be read or are rejected regardless of their content, with the reason.
    pub unusable: Vec<(String, String)>,
    /// Files with a warning.
    pub doubtful: Vec<(String, String)>,
    /// Files about signatures.
    pub signatures: SignatureFiles,
}

/// The declared entries for this node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeclaredMirrors {
    /// The entries. Their order has no effect.
    pub entries: Vec<MirrorEntry>,
    /// Objects that cannot be decoded, with the error.
    pub malformed: Vec<(String, String)>,
    /// The error if more entries are declared than the agent keeps in memory.
    pub too_many: Option<String>,
    /// Kinds that are not served and whose objects were never listed.
    pub unknown_kinds: Vec<&'static str>,
}

/// Why the file is not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The node's other files already break every pull, so the effect of a change cannot be predicted.
    #[error("every pull on this node already fails; the agent changes nothing until this is fixed: {0}")]
    ForeignFile(String),
    /// The effect of one of the node's other files is not known.
    #[error("the agent cannot read a file of this node and changes nothing until it can: {0}")]
    Unjudged(String),
    /// The new file would exceed the size that the agent reads.
    #[error("the new file would have {0} bytes and is not written (limit: {LARGEST}); the previous file stays in use")]
    TooLarge(usize),
    /// More mirrors are declared than the agent keeps in memory.
    #[error("{0}; the previous file stays in use; declare fewer mirrors for this node")]
    TooMany(String),
    /// The new file would break every pull.
    #[error("the new file would break every pull and is not written; the previous file stays in use: {0}")]
    WouldBreak(String),
    /// The file has mirrors of a kind that is not served any more.
    #[error(
        "the file has mirrors of objects of kind {0}, whose CRD was removed; the file is not changed until the CRD is \
                 installed again, or until `hypermirror agent cleanup` removes the file"
    )]
    KindVanished(&'static str),
}

/// The content of the agent's files, and what to report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision<F = Option<String>> {
    /// The content, or why nothing is changed. For CRI-O it is one file, `None` if no file is needed.
    pub file: Result<F, Refusal>,
    /// Number of sources with mirrors.
    pub sources: usize,
    /// Entries that are ignored.
    pub rejected: Vec<FindingReport>,
    /// Warnings about entries that are used.
    pub warnings: Vec<FindingReport>,
    /// Sources that another file overrides.
    pub shadowed: Vec<Shadowed>,
    /// The file in registries.d. Without a value it is not changed.
    pub attachments: Option<Attachments>,
}

impl<F: Default> Decision<F> {
    /// A decision that changes nothing and reports nothing.
    pub fn nothing() -> Self {
        Self {
            file: Ok(F::default()),
            sources: 0,
            rejected: Vec::new(),
            warnings: Vec::new(),
            shadowed: Vec::new(),
            attachments: None,
        }
    }

    /// Resolves the declared entries. The decision has their findings, and a refusal if the current files must stay unchanged
    /// whatever the content of the new ones. `names_kind` returns whether the current files have mirrors of objects of a kind.
    pub fn begin(declared: &DeclaredMirrors, names_kind: impl Fn(&str) -> bool) -> (Resolved, Self) {
        let (set, findings) = resolve(&declared.entries);
        let mut decision = Self::nothing();
        decision.sources = set.sources.len();
        decision.rejected = declared.malformed.iter().map(|(origin, error)| malformed(origin, error)).collect();
        for finding in &findings {
            let list = if is_left_out(finding) { &mut decision.rejected } else { &mut decision.warnings };
            list.push(finding_report(finding));
        }
        if let Some(kind) = declared.unknown_kinds.iter().find(|kind| names_kind(kind)) {
            decision.file = Err(Refusal::KindVanished(kind));
        } else if let Some(why) = &declared.too_many {
            decision.file = Err(Refusal::TooMany(why.clone()));
        }
        (set, decision)
    }
}

/// Decides the content of the file. `names_kind` returns whether the current file has mirrors of objects of a kind.
pub fn decide(declared: &DeclaredMirrors, foreign: &ForeignFiles, names_kind: impl Fn(&str) -> bool) -> Decision {
    let (set, mut decision) = Decision::begin(declared, names_kind);
    for (file, what) in &foreign.doubtful {
        decision.warnings.push(warning("DoubtfulFile", file, what));
    }
    if decision.file.is_err() {
        return decision;
    }
    decision.file = write(&set, foreign).map(|written| {
        decision.add_notes(&written.rendered.notes);
        for broken in &written.judgement.broken {
            let message = format!("pulls such as {} fail: {}", broken.example, broken.error);
            decision.warnings.push(warning("BrokenTable", &format!("{} in {}", broken.prefix, broken.file), &message));
        }
        decision.add_attachments(&written.tables, &foreign.signatures);
        written.rendered.text
    });
    decision
}

impl Decision {
    /// Decides where signatures of mirrored images are found. An error affects only images whose signatures are demanded.
    fn add_attachments(&mut self, tables: &[RegistryTable], files: &SignatureFiles) {
        match attachments(tables, files) {
            Ok(found) => {
                for (name, file) in &found.hidden {
                    let message = format!(
                        "{file} has settings for it without use-sigstore-attachments, so signatures at this mirror are not found \
                         and images are refused"
                    );
                    self.warnings.push(warning("SignaturesHidden", name, &message));
                }
                self.attachments = Some(found);
            }
            Err(error) => self.warnings.push(warning("SignaturesUnknown", "registries.d", &error.to_string())),
        }
    }

    fn add_notes(&mut self, notes: &[Note]) {
        for note in notes {
            match note.reason {
                NoteReason::Shadowed | NoteReason::HiddenByWildcard => {
                    self.shadowed.push(Shadowed { source: cut(&note.prefix), by: cut(&note.subject) });
                }
                NoteReason::LeftOut => {
                    self.rejected.push(rejection(note.reason.as_str(), &note.prefix, &note.to_string()));
                }
                NoteReason::NestedInWildcard => {
                    self.warnings.push(warning(note.reason.as_str(), &note.prefix, &note.to_string()));
                }
            }
        }
    }
}

/// A rendered file, and its predicted effect.
struct Written {
    rendered: Rendered,
    judgement: Judgement,
    /// The tables in files of hypermirror.
    tables: Vec<RegistryTable>,
}

fn write(set: &Resolved, foreign: &ForeignFiles) -> Result<Written, Refusal> {
    if let Some((file, why)) = foreign.unusable.first() {
        return Err(Refusal::Unjudged(format!("{file}: {why}")));
    }
    let theirs = foreign.judge(Files::Theirs).map_err(|error| Refusal::ForeignFile(error.to_string()))?.config;
    let boot = match &foreign.boot {
        None => None,
        Some((name, content)) => {
            let parsed = RegistriesFile::parse(content, Role::DropIn);
            Some((name.as_str(), parsed.map_err(|error| Refusal::ForeignFile(format!("{name}: {error}")))?))
        }
    };
    let boot = boot.as_ref().map(|(name, file)| (*name, file));
    let rendered = render_over(set, &theirs, boot).map_err(|RenderError::Refused(error)| would_break(&error))?;
    if let Some(text) = rendered.text.as_deref().filter(|text| text.len() > LARGEST) {
        return Err(Refusal::TooLarge(text.len()));
    }
    let judgement =
        foreign.judge(Files::All { ours: rendered.text.as_deref() }).map_err(|error| would_break(&error))?;
    let mut tables = boot.map(|(_, boot)| boot.tables.clone()).unwrap_or_default();
    if let Some(text) = &rendered.text {
        tables
            .extend(RegistriesFile::parse(text.as_bytes(), Role::DropIn).map_err(|error| would_break(&error))?.tables);
    }
    Ok(Written { rendered, judgement, tables })
}

fn would_break(error: &impl ToString) -> Refusal {
    Refusal::WouldBreak(error.to_string())
}

/// Selects files.
#[derive(Clone, Copy)]
enum Files<'t> {
    /// The files that the agent did not write.
    Theirs,
    /// All files, with the new content of the agent's file.
    All { ours: Option<&'t str> },
}

impl ForeignFiles {
    /// The predicted effect of files.
    fn judge(&self, files: Files<'_>) -> Result<Judgement, ConfigError> {
        let own_name = format!("{DROP_IN_DIRECTORY}/{DROP_IN}");
        // An empty file makes the agent's directory the first one, even if it has no other file.
        let anchor = format!("{DROP_IN_DIRECTORY}/.conf");
        let mut drop_ins = vec![(anchor.as_str(), &[] as &[u8])];
        drop_ins.extend(borrowed(&self.drop_ins));
        if let Files::All { ours } = files {
            drop_ins.extend(borrowed(&self.boot));
            drop_ins.extend(ours.map(|text| (own_name.as_str(), text.as_bytes())));
        }
        judge(borrowed(&self.main).next(), drop_ins)
    }
}

fn borrowed<'f>(files: impl IntoIterator<Item = &'f (String, Vec<u8>)>) -> impl Iterator<Item = (&'f str, &'f [u8])> {
    files.into_iter().map(|(name, content)| (name.as_str(), content.as_slice()))
}

fn is_left_out(finding: &Finding) -> bool {
    finding.severity == Severity::Error || finding.reason == FindingReason::TagOrDigest
}

fn finding_report(finding: &Finding) -> FindingReport {
    FindingReport {
        severity: finding.severity.as_str().to_owned(),
        reason: finding.reason.as_str().to_owned(),
        origin: cut(&finding.origin.to_string()),
        message: cut(&format!("{}: {}", finding.field, finding.message)),
    }
}

fn malformed(origin: &str, error: &str) -> FindingReport {
    rejection("MalformedObject", origin, error)
}

/// Reports an entry that is ignored.
pub fn rejection(reason: &str, origin: &str, message: &str) -> FindingReport {
    FindingReport { severity: Severity::Error.as_str().to_owned(), ..warning(reason, origin, message) }
}

/// Reports a problem of entries that are used.
pub fn warning(reason: &str, origin: &str, message: &str) -> FindingReport {
    FindingReport {
        severity: Severity::Warning.as_str().to_owned(),
        reason: reason.to_owned(),
        origin: cut(origin),
        message: cut(message),
    }
}

/// Limits the length of a text in a report.
pub fn cut(text: &str) -> String {
    match text.char_indices().nth(LONGEST_TEXT) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
