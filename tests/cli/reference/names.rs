//! Annotations, conditions, reasons, findings and printer columns.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use hypermirror::diagnosis::DiagnosisCode;
use hypermirror::mirrors::finding::FindingReason;
use hypermirror_api::{
    ConditionType, CoverageConditionType, CoverageReason, HostedClusterMirrors, Image, ImageBuilder,
    ImageBuilderConditionType, ImageBuilderReason, ImageConditionType, ImageReason, ImportConditionType, ImportReason,
    ImportRule, MirrorCoverage, NodeConditionType, NodeMirrorSet, NodeMirrorStatus, NodeReason, Reason, Registry,
    RegistryConditionType, RegistryReason, names,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt as _;

use super::page::{Page, codes};

/// What begins like an annotation of ours and is none: labels, versions, the name in events.
const NO_ANNOTATIONS: &[&str] = &[
    "hypermirror.dev/v1alpha1",
    names::MANAGED_LABEL,
    names::IMAGE_BUILDER_LABEL,
    names::EVENT_CONTROLLER,
    names::REGISTRY_EVENT_CONTROLLER,
];

fn set<'a>(names: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    names.into_iter().map(str::to_owned).collect()
}

#[test]
fn the_reference_has_every_annotation() {
    let page = Page::read("docs/reference.md");
    let section = page.section("Annotations");
    let mut in_code = BTreeSet::new();
    for (_, text) in sources() {
        let is_key = |text: &&str| text.starts_with("hypermirror.dev/") && !text.contains('{');
        in_code.extend(literals(&text).filter(is_key).map(str::to_owned));
    }
    for name in NO_ANNOTATIONS {
        in_code.remove(*name);
    }
    let whence = "the string literals in src and api/src (those that are no annotations: NO_ANNOTATIONS in tests/cli/reference/names.rs)";
    section.assert_names(&section.names("key"), &in_code, whence);
}

#[test]
fn the_reference_has_every_condition_and_reason() {
    let page = Page::read("docs/reference.md");
    let section = page.section("Conditions and reasons");
    let types = set(ConditionType::ALL.iter().map(|of| of.as_str()));
    section.assert_names(&section.names("condition"), &types, "ConditionType (api/src/conditions.rs)");
    let reasons = set(Reason::ALL.iter().map(|reason| reason.as_str()));
    section.assert_names(&section.names("reason"), &reasons, "Reason (api/src/conditions.rs)");
}

#[test]
fn the_reference_has_every_condition_and_reason_of_a_registry() {
    let page = Page::read("docs/reference.md");
    let section = page.section("Registry");
    let types = set(RegistryConditionType::ALL.iter().map(|of| of.as_str()));
    section.assert_names(&section.names("condition"), &types, "RegistryConditionType (api/src/registry_conditions.rs)");
    let reasons = set(RegistryReason::ALL.iter().map(|reason| reason.as_str()));
    section.assert_names(&section.names("reason"), &reasons, "RegistryReason (api/src/registry_conditions.rs)");
}

#[test]
fn the_reference_has_every_condition_and_reason_of_a_mirror_coverage() {
    let page = Page::read("docs/reference.md");
    let section = page.section("MirrorCoverage");
    let types = set(CoverageConditionType::ALL.iter().map(|of| of.as_str()));
    section.assert_names(&section.names("condition"), &types, "CoverageConditionType (api/src/coverage_conditions.rs)");
    let reasons = set(CoverageReason::ALL.iter().map(|reason| reason.as_str()));
    section.assert_names(&section.names("reason"), &reasons, "CoverageReason (api/src/coverage_conditions.rs)");
}

#[test]
fn the_reference_has_every_condition_and_reason_of_an_image() {
    let page = Page::read("docs/reference.md");
    let section = page.section("Image");
    let types = set(ImageConditionType::ALL.iter().map(|of| of.as_str()));
    section.assert_names(&section.names("condition"), &types, "ImageConditionType (api/src/image_conditions.rs)");
    let reasons = set(ImageReason::ALL.iter().map(|reason| reason.as_str()));
    section.assert_names(&section.names("reason"), &reasons, "ImageReason (api/src/image_conditions.rs)");
}

#[test]
fn the_reference_has_every_condition_and_reason_of_an_image_builder() {
    let page = Page::read("docs/reference.md");
    let section = page.section("ImageBuilder");
    let types = set(ImageBuilderConditionType::ALL.iter().map(|of| of.as_str()));
    let whence = "ImageBuilderConditionType (api/src/image_builder_conditions.rs)";
    section.assert_names(&section.names("condition"), &types, whence);
    let reasons = set(ImageBuilderReason::ALL.iter().map(|reason| reason.as_str()));
    let whence = "ImageBuilderReason (api/src/image_builder_conditions.rs)";
    section.assert_names(&section.names("reason"), &reasons, whence);
}

#[test]
fn the_reference_has_every_condition_and_reason_of_an_import_rule() {
    let page = Page::read("docs/reference.md");
    let section = page.section("ImportRule");
    let types = set(ImportConditionType::ALL.iter().map(|of| of.as_str()));
    section.assert_names(&section.names("condition"), &types, "ImportConditionType (api/src/import_conditions.rs)");
    let reasons = set(ImportReason::ALL.iter().map(|reason| reason.as_str()));
    section.assert_names(&section.names("reason"), &reasons, "ImportReason (api/src/import_conditions.rs)");
}

#[test]
fn the_page_about_the_agent_has_every_condition_and_reason() {
    let page = Page::read("docs/agent.md");
    let section = page.section("What it reports");
    let types = set(NodeConditionType::ALL.iter().map(|of| of.as_str()));
    section.assert_names(&section.names("condition"), &types, "NodeConditionType (api/src/node_conditions.rs)");
    let reasons = set(NodeReason::ALL.iter().map(|reason| reason.as_str()));
    section.assert_names(&section.names("reason"), &reasons, "NodeReason (api/src/node_conditions.rs)");
}

#[test]
fn the_reference_has_every_finding() {
    let page = Page::read("docs/reference.md");
    let section = page.section("Findings");
    let reasons = set(FindingReason::ALL.iter().map(|reason| reason.as_str()));
    section.assert_names(&section.names("reason"), &reasons, "FindingReason (src/mirrors/finding.rs)");
}

#[test]
fn the_page_about_check_has_every_finding_of_the_first_day() {
    let page = Page::read("docs/check.md");
    let section = page.section("Findings of the first day");
    let codes = set(DiagnosisCode::ALL.iter().map(|code| code.as_str()));
    section.assert_names(&section.names("reason"), &codes, "DiagnosisCode (src/diagnosis.rs)");
}

#[test]
fn the_reference_has_every_printer_column() {
    let reference = Page::read("docs/reference.md");
    let agent = Page::read("docs/agent.md");
    for (page, title, line, crd) in [
        (&reference, "HostedClusterMirrors", "Columns:", HostedClusterMirrors::crd()),
        (&reference, "Registry", "Columns:", Registry::crd()),
        (&reference, "MirrorCoverage", "Columns:", MirrorCoverage::crd()),
        (&reference, "Image", "Columns:", Image::crd()),
        (&reference, "ImageBuilder", "Columns:", ImageBuilder::crd()),
        (&reference, "ImportRule", "Columns:", ImportRule::crd()),
        (&agent, "What it reports", "Columns of a NodeMirrorStatus:", NodeMirrorStatus::crd()),
        (&agent, "What it reports", "Columns of a NodeMirrorSet:", NodeMirrorSet::crd()),
    ] {
        let section = page.section(title);
        let named = codes(section.line(line)).into_iter().filter(|name| !name.starts_with('-')).collect();
        section.assert_names(&named, &columns(&crd), "the printer columns in api/src");
    }
}

/// As kubectl prints them.
fn columns(crd: &CustomResourceDefinition) -> BTreeSet<String> {
    let columns = crd.spec.versions.iter().flat_map(|version| version.additional_printer_columns.iter().flatten());
    columns.map(|column| column.name.to_uppercase()).collect()
}

#[test]
fn every_reason_is_set_somewhere() {
    let sources: Vec<_> = sources().into_iter().filter(|(path, _)| !path.starts_with("api")).collect();
    let mut unused = Vec::new();
    for (set, reasons) in [
        ("ConditionType", ConditionType::ALL.iter().map(|of| of.as_str()).collect::<Vec<_>>()),
        ("Reason", Reason::ALL.iter().map(|reason| reason.as_str()).collect()),
        ("NodeConditionType", NodeConditionType::ALL.iter().map(|of| of.as_str()).collect()),
        ("NodeReason", NodeReason::ALL.iter().map(|reason| reason.as_str()).collect()),
        ("ImportReason", ImportReason::ALL.iter().map(|reason| reason.as_str()).collect()),
        ("CoverageReason", CoverageReason::ALL.iter().map(|reason| reason.as_str()).collect()),
        ("FindingReason", FindingReason::ALL.iter().map(|reason| reason.as_str()).collect()),
        ("DiagnosisCode", DiagnosisCode::ALL.iter().map(|code| code.as_str()).collect()),
    ] {
        for name in reasons {
            let path = format!("{set}::{name}");
            if !sources.iter().any(|(_, text)| has_path(text, &path)) {
                unused.push(path);
            }
        }
    }
    assert!(unused.is_empty(), "nothing in src uses these; remove them or set them: {unused:?}");
}

/// Whether a path is named that is not the beginning or the end of a longer one.
fn has_path(text: &str, path: &str) -> bool {
    let in_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.match_indices(path)
        .any(|(at, _)| !text[..at].ends_with(in_word) && !text[at + path.len()..].starts_with(in_word))
}

/// The product's sources without its unit tests, by path below the repository.
pub fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut directories = vec![root.join("src"), root.join("api/src")];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("tests") {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let product = text.split("\n#[cfg(test)]").next().unwrap_or_default().to_owned();
                found.push((path.strip_prefix(root).unwrap().to_owned(), product));
            }
        }
    }
    found
}

/// String literals on one line, comments apart.
fn literals(text: &str) -> impl Iterator<Item = &str> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.flat_map(|line| line.split('"').skip(1).step_by(2))
}
