//! Whether those who run hypermirror, or are about to install it, have the rights of its roles.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Diagnosis, DiagnosisCode, listed};
use crate::mirrors::finding::Severity;

/// The roles of `manifests` that are bound to a ServiceAccount. A test holds them to the manifests, which the image's build does
/// not have.
const ROLES: &str = include_str!("rights/roles.json");

/// A role and whom it is bound to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ShippedRole {
    /// `ClusterRole` or `Role`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// The namespace of a Role.
    pub namespace: Option<String>,
    /// The ServiceAccount, in [`ACCOUNTS_NAMESPACE`].
    pub account: String,
    /// Its rules.
    pub rules: Vec<Rule>,
}

/// A rule of a role.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rule {
    api_groups: Vec<String>,
    resources: Vec<String>,
    #[serde(default)]
    resource_names: Vec<String>,
    verbs: Vec<String>,
}

/// One request that a role allows, as an access review takes it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Access {
    /// The namespace; `None` for all of them.
    pub namespace: Option<String>,
    /// The API group; empty for the core group.
    pub group: String,
    /// The resource.
    pub resource: String,
    /// The part of the resource after the slash.
    pub subresource: String,
    /// The name; empty for all objects.
    pub name: String,
    /// The verb.
    pub verb: String,
}

/// The namespace of all `ServiceAccounts`.
pub const ACCOUNTS_NAMESPACE: &str = "hypermirror-system";

/// All roles. Empty only if the file is broken, which a test excludes.
pub fn shipped_roles() -> Vec<ShippedRole> {
    serde_json::from_str(ROLES).unwrap_or_default()
}

/// What an installation uses, which decides what roles it needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Installation {
    /// The arguments and environment of the manager, as `--flag=value` and `NAME=value`. `None` if it is not installed.
    pub manager: Option<Vec<String>>,
    /// The same of the registry-manager.
    pub registry_manager: Option<Vec<String>>,
    /// Whether an admission policy is installed.
    pub has_policy: bool,
    /// Whether nodes of a pool boot with mirrors.
    pub has_rollout_delivery: bool,
}

impl Installation {
    /// Whether a role is needed. Roles that people may bind in single namespaces only are not judged.
    pub fn needs(&self, role: &ShippedRole) -> bool {
        let manager = |word: &str| self.manager.as_ref().is_some_and(|words| words.iter().any(|it| it == word));
        let registry =
            |word: &str| self.registry_manager.as_ref().is_some_and(|words| words.iter().any(|it| it == word));
        match role.name.as_str() {
            "hypermirror-manager" => self.manager.is_some(),
            "hypermirror-manager-webhook" => manager("--webhook=serve"),
            "hypermirror-manager-admission-policy" => self.manager.is_some() && self.has_policy,
            "hypermirror-manager-rollout-delivery" => self.manager.is_some() && self.has_rollout_delivery,
            "hypermirror-registry-manager" => self.registry_manager.is_some(),
            "hypermirror-image-builder" => registry("--image-builder"),
            "hypermirror-import-rules" => registry("FEATURE_COPY_ON_THE_FLY=true"),
            _ => false,
        }
    }
}

impl ShippedRole {
    /// The user name of its ServiceAccount.
    pub fn user(&self) -> String {
        format!("system:serviceaccount:{ACCOUNTS_NAMESPACE}:{}", self.account)
    }

    /// All requests that it allows.
    pub fn accesses(&self) -> Vec<Access> {
        self.rules.iter().flat_map(|rule| rule.accesses(self.namespace.as_deref())).collect()
    }

    fn title(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{}/{namespace}/{}", self.kind, self.name),
            None => format!("{}/{}", self.kind, self.name),
        }
    }

    /// Diagnoses what its ServiceAccount lacks: one row for each resource.
    pub fn diagnose_account(&self, denied: &[Access]) -> Vec<Diagnosis> {
        let row = |(what, verbs): (String, Vec<&str>)| {
            let verbs = verbs.join(", ");
            let message = format!("ServiceAccount {ACCOUNTS_NAMESPACE}/{} may not {verbs} {what}", self.account);
            let cure = format!("apply the manifest with {} and its binding again", self.title());
            let code = DiagnosisCode::RightMissing;
            Diagnosis::new(code, Severity::Error, self.title(), message, cure).at("rules", format!("{verbs} {what}"))
        };
        grouped(denied).into_iter().map(row).collect()
    }

    /// Diagnoses what a user lacks that wants to create it.
    pub fn diagnose_installer(&self, denied: &[Access]) -> Option<Diagnosis> {
        let lacks: Vec<String> =
            grouped(denied).into_iter().map(|(what, verbs)| format!("{} {what}", verbs.join(", "))).collect();
        if lacks.is_empty() {
            return None;
        }
        let lacks = listed(&lacks);
        let message = format!(
            "{} is not in use yet, and API servers let nobody create a role with rights that they do not have; you may not {lacks}",
            self.title()
        );
        let cure = "install hypermirror as a cluster administrator";
        let code = DiagnosisCode::InstallRightMissing;
        Some(Diagnosis::new(code, Severity::Warning, self.title(), message, cure).at("rules", lacks))
    }
}

impl Rule {
    fn accesses<'a>(&'a self, namespace: Option<&'a str>) -> impl Iterator<Item = Access> + 'a {
        let names: &[String] = &self.resource_names;
        let count = names.len().max(1);
        self.api_groups.iter().flat_map(move |group| {
            self.resources.iter().flat_map(move |full| {
                let (resource, subresource) = full.split_once('/').unwrap_or((full, ""));
                self.verbs.iter().flat_map(move |verb| {
                    (0..count).map(move |index| Access {
                        namespace: namespace.map(str::to_owned),
                        group: group.clone(),
                        resource: resource.to_owned(),
                        subresource: subresource.to_owned(),
                        name: names.get(index).cloned().unwrap_or_default(),
                        verb: verb.clone(),
                    })
                })
            })
        })
    }
}

/// Verbs by what they are about.
fn grouped(denied: &[Access]) -> BTreeMap<String, Vec<&str>> {
    let mut grouped: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for access in denied {
        let group = if access.group.is_empty() { String::new() } else { format!(".{}", access.group) };
        let part = if access.subresource.is_empty() { String::new() } else { format!("/{}", access.subresource) };
        let name = if access.name.is_empty() { String::new() } else { format!(" {:?}", access.name) };
        let what = format!("{}{group}{part}{name}", access.resource);
        let verbs = grouped.entry(what).or_default();
        if !verbs.contains(&access.verb.as_str()) {
            verbs.push(&access.verb);
        }
    }
    grouped
}

#[cfg(test)]
mod tests;
