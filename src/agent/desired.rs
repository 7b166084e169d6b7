//! What our file should say: entries and the node's other files in, bytes or a refusal out. Pure.

use hypermirror_api::node_mirror_status::Shadowed;
use hypermirror_api::report::FindingReport;

use super::files::LARGEST;
use crate::mirrors::finding::{Finding, FindingReason, Severity};
use crate::mirrors::layers::resolve;
use crate::mirrors::registries::{
    ConfigError, DROP_IN, Note, NoteReason, RegistriesFile, RenderError, Rendered, Role, Verdict, judge, render_over,
};
use crate::mirrors::{MirrorEntry, Resolved};

/// The directory that our file stands in, as the node names it.
pub const DROP_IN_DIRECTORY: &str = "/etc/containers/registries.conf.d";

/// Texts in a report are cut here, in letters: what declares mirrors may be anybody's, a status has its limits.
const LONGEST_TEXT: usize = 1_024;

/// The node's files that are not ours, with the paths that the node knows them by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ForeignFiles {
    /// registries.conf.
    pub main: Option<(String, Vec<u8>)>,
    /// Drop-ins; those of one directory stand together, the directories in the order in which they count.
    pub drop_ins: Vec<(String, Vec<u8>)>,
    /// The file that the node booted with: ours, and not rewritten here.
    pub boot: Option<(String, Vec<u8>)>,
    /// Files that a node fails with whatever they say, or that nobody can judge; and why.
    pub unusable: Vec<(String, String)>,
    /// What is worth a warning: the file, and what it is about.
    pub doubtful: Vec<(String, String)>,
}

/// What is declared for this node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Declared {
    /// The entries, in whatever order.
    pub entries: Vec<MirrorEntry>,
    /// Objects that cannot be read, and why.
    pub malformed: Vec<(String, String)>,
    /// Why not all entries are here, if more are declared than are kept.
    pub too_many: Option<String>,
    /// Kinds that are not there and whose objects are not remembered.
    pub unknown_kinds: Vec<&'static str>,
}

/// Why our file stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The node's other files break every pull already; with them nothing can be judged.
    #[error("every pull on this node fails already, and nothing is changed before that is mended: {0}")]
    ForeignFile(String),
    /// Nobody can tell what the node makes of one of its other files.
    #[error("a file of this node cannot be judged, and nothing is changed before it can: {0}")]
    Unjudged(String),
    /// Our new file would be larger than what is read back.
    #[error("the new file would have {0} bytes, more than the {LARGEST} that are written, so the last one stays")]
    TooLarge(usize),
    /// More mirrors are declared than the agent has memory for.
    #[error("{0}, so the last file stays: declare fewer for this node")]
    TooMany(String),
    /// Our new file would break every pull.
    #[error("the new file would break every pull, so the last one stays: {0}")]
    WouldBreak(String),
    /// Our file says what objects of an absent kind said.
    #[error(
        "the file names objects of the kind {0}, which this cluster does not have any more: it stays until the kind is \
         back, or until it is removed by `hypermirror agent cleanup`"
    )]
    KindVanished(&'static str),
}

/// What our file should say, and what there is to tell about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The whole file, none if there must not be one; or why it stays as it is.
    pub file: Result<Option<String>, Refusal>,
    /// How many sources have mirrors.
    pub sources: usize,
    /// What was left out.
    pub rejected: Vec<FindingReport>,
    /// What is used and may surprise.
    pub warnings: Vec<FindingReport>,
    /// Our sources that another file hides.
    pub shadowed: Vec<Shadowed>,
}

/// Decides. `names_kind` tells whether a file of ours on the node names objects of a kind.
pub fn decide(declared: &Declared, foreign: &ForeignFiles, names_kind: impl Fn(&str) -> bool) -> Decision {
    let (set, findings) = resolve(&declared.entries);
    let mut decision = Decision {
        file: Ok(None),
        sources: set.sources.len(),
        rejected: declared.malformed.iter().map(|(origin, error)| malformed(origin, error)).collect(),
        warnings: Vec::new(),
        shadowed: Vec::new(),
    };
    for finding in &findings {
        let list = if is_left_out(finding) { &mut decision.rejected } else { &mut decision.warnings };
        list.push(finding_report(finding));
    }
    for (file, what) in &foreign.doubtful {
        decision.warnings.push(warning("DoubtfulFile", file, what));
    }
    if let Some(kind) = declared.unknown_kinds.iter().find(|kind| names_kind(kind)) {
        decision.file = Err(Refusal::KindVanished(kind));
        return decision;
    }
    if let Some(why) = &declared.too_many {
        decision.file = Err(Refusal::TooMany(why.clone()));
        return decision;
    }
    decision.file = write(&set, foreign).map(|written| {
        decision.tell_notes(&written.rendered.notes);
        for broken in &written.verdict.broken {
            let message = format!("every pull like {} fails: {}", broken.example, broken.error);
            decision.warnings.push(warning("BrokenTable", &format!("{} in {}", broken.prefix, broken.file), &message));
        }
        written.rendered.text
    });
    decision
}

impl Decision {
    fn tell_notes(&mut self, notes: &[Note]) {
        for note in notes {
            match note.reason {
                NoteReason::Shadowed | NoteReason::HiddenByWildcard => {
                    self.shadowed.push(Shadowed { source: cut(&note.prefix), by: cut(&note.subject) });
                }
                NoteReason::LeftOut => {
                    let report = warning(note.reason.as_str(), &note.prefix, &note.to_string());
                    let severity = Severity::Error.as_str().to_owned();
                    self.rejected.push(FindingReport { severity, ..report });
                }
                NoteReason::NestedInWildcard => {
                    self.warnings.push(warning(note.reason.as_str(), &note.prefix, &note.to_string()));
                }
            }
        }
    }
}

/// A file, and what the node makes of it and the others.
struct Written {
    rendered: Rendered,
    verdict: Verdict,
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
    let verdict = foreign.judge(Files::All { ours: rendered.text.as_deref() }).map_err(|error| would_break(&error))?;
    Ok(Written { rendered, verdict })
}

fn would_break(error: &impl ToString) -> Refusal {
    Refusal::WouldBreak(error.to_string())
}

/// Which files.
#[derive(Clone, Copy)]
enum Files<'t> {
    /// Those of others.
    Theirs,
    /// Those, the boot file, and our own as it is to be.
    All { ours: Option<&'t str> },
}

impl ForeignFiles {
    /// What the node makes of files.
    fn judge(&self, files: Files<'_>) -> Result<Verdict, ConfigError> {
        let own_name = format!("{DROP_IN_DIRECTORY}/{DROP_IN}");
        // An empty file that makes our directory the first, also while it holds nothing but ours.
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
    let report = warning("MalformedObject", origin, error);
    FindingReport { severity: Severity::Error.as_str().to_owned(), ..report }
}

fn warning(reason: &str, origin: &str, message: &str) -> FindingReport {
    FindingReport {
        severity: Severity::Warning.as_str().to_owned(),
        reason: reason.to_owned(),
        origin: cut(origin),
        message: cut(message),
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(LONGEST_TEXT) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
