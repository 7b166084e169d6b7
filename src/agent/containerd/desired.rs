//! Decides the content of hosts.toml for each registry from the declared entries and the node's other files. Pure.

use std::collections::BTreeMap;

use hypermirror_api::node_mirror_status::Shadowed;

use crate::agent::desired::{Decision, DeclaredMirrors, cut, rejection, warning};
use crate::agent::files::comments_name;
use crate::mirrors::containerd::{HostFile, HostsDirectory, render};

/// The content of hosts.toml by registry.
pub type Contents = BTreeMap<String, String>;

/// Decides the content of all files.
pub fn decide(declared: &DeclaredMirrors, directory: &HostsDirectory) -> Decision<Contents> {
    let names_kind = |kind: &str| {
        directory.hosts.values().any(|host| match &host.file {
            HostFile::Ours(content) => comments_name(&String::from_utf8_lossy(content), kind),
            HostFile::Absent | HostFile::Foreign(_) => false,
        })
    };
    let (set, mut decision) = Decision::begin(declared, names_kind);
    let rendered = render(&set, directory);
    decision.sources = rendered.registries.len();
    for left_out in &rendered.left_out {
        decision.rejected.push(rejection("NotExpressible", &left_out.source, &left_out.to_string()));
    }
    for (registry, by) in &rendered.occupied {
        decision.shadowed.push(Shadowed { source: cut(registry), by: cut(by) });
    }
    for registry in &rendered.hides_default {
        let message = format!("{}/_default does not apply to {registry} any more", directory.path);
        decision.warnings.push(warning("HidesDefault", registry, &message));
    }
    if let Ok(files) = &mut decision.file {
        *files = rendered.files;
    }
    decision
}
