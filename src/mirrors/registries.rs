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
mod nested;
mod old_format;
mod resolve;
mod short_names;
mod write;

pub use config::{LoadedTable, RegistriesConfig, Replaced};
pub use error::{ConfigError, FileError};
pub use file::{MirrorTable, PullFromMirror, RegistriesFile, RegistryTable, Role};
pub use judge::{BrokenTable, Verdict, judge};
pub use resolve::{Endpoint, EndpointOrigin, Explanation, attribute, explain};
pub use short_names::{FullNames, ShortNameError, explain_name, explain_short, full_names, is_short};
pub use write::{DROP_IN, HEADER, Note, NoteReason, RenderError, Rendered, render, render_over, with_ours};
