//! Parses, resolves, validates and writes registries.conf with the rules of `containers/image`.
//!
//! The rules are those of `pkg/sysregistriesv2` of `go.podman.io/image/v5` v5.38, which CRI-O, podman, skopeo and
//! buildah share. The caller reads and writes the files.

mod config;
mod dialect;
mod document;
mod error;
mod file;
mod fold;
mod judge;
mod location;
mod nested;
mod note;
mod old_format;
mod own_table;
mod resolve;
mod short_names;
mod table;
mod write;

pub use config::{LoadedTable, RegistriesConfig, Replaced};
pub use error::{ConfigError, FileError};
pub use file::{RegistriesFile, Role};
pub use judge::{BrokenTable, Judgement, judge};
pub use note::{Note, NoteReason};
pub use resolve::{Endpoint, EndpointOrigin, Explanation, attribute, explain};
pub use short_names::{FullNames, ShortNameError, explain_name, explain_short, full_names, is_short};
pub use table::{MirrorTable, PullFromMirror, RegistryTable};
pub use write::{DROP_IN, HEADER, RenderError, Rendered, render, render_over, with_ours};
pub(in crate::mirrors) use write::{comment, quoted};
