//! The kinds that are read from manifests.

use anyhow::{Result, bail};
use hypermirror_api::names;

use crate::documents::Document;

/// A kind that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    HostedCluster,
    Icsp,
    Idms,
    Itms,
    ImageMirrorDigestSet,
    Deployment,
    /// Only the ImageStream of OLM catalogs is read.
    ImageStream,
    HostedClusterMirrors,
    MirrorCoverage,
    NodePool,
    HostedControlPlane,
    /// Only ConfigMaps that a HostedCluster or NodePool references are read.
    ConfigMap,
}

struct Row {
    kind: &'static str,
    group: &'static str,
    version: &'static str,
    read_as: Kind,
    /// Other API groups also have a kind of this name.
    is_common: bool,
}

const fn row(kind: &'static str, group: &'static str, version: &'static str, read_as: Kind, is_common: bool) -> Row {
    Row { kind, group, version, read_as, is_common }
}

const ROWS: [Row; 12] = [
    row("HostedCluster", "hypershift.openshift.io", "v1beta1", Kind::HostedCluster, false),
    row("ImageContentSourcePolicy", "operator.openshift.io", "v1alpha1", Kind::Icsp, false),
    row("ImageDigestMirrorSet", "config.openshift.io", "v1", Kind::Idms, false),
    row("ImageTagMirrorSet", "config.openshift.io", "v1", Kind::Itms, false),
    row("ImageMirrorDigestSet", "config.openshift.io", "v1alpha1", Kind::ImageMirrorDigestSet, false),
    row("Deployment", "apps", "v1", Kind::Deployment, true),
    row("ImageStream", "image.openshift.io", "v1", Kind::ImageStream, false),
    row("HostedClusterMirrors", names::GROUP, "v1alpha1", Kind::HostedClusterMirrors, false),
    row("MirrorCoverage", names::GROUP, "v1alpha1", Kind::MirrorCoverage, false),
    row("ConfigMap", "", "v1", Kind::ConfigMap, true),
    row("NodePool", "hypershift.openshift.io", "v1beta1", Kind::NodePool, true),
    row("HostedControlPlane", "hypershift.openshift.io", "v1beta1", Kind::HostedControlPlane, false),
];

/// The kind of a document, or `None` if documents of this kind are skipped.
///
/// A known kind in an unknown version is an error, because skipping it silently would lose mirrors.
pub fn kind_of(document: &Document) -> Result<Option<Kind>> {
    let kind = document.text_at("/kind");
    let Some((kind, row)) = kind.and_then(|kind| Some((kind, ROWS.iter().find(|row| row.kind == kind)?))) else {
        return Ok(None);
    };
    let api_version = document.text_at("/apiVersion").unwrap_or_default();
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    if group == row.group && version == row.version {
        return Ok(Some(row.read_as));
    }
    // These are used only if an object references them, and exist in one version only.
    let is_referable = matches!(row.read_as, Kind::ConfigMap | Kind::Deployment | Kind::ImageStream);
    if is_referable || row.is_common && group != row.group {
        return Ok(None);
    }
    let known = if row.group.is_empty() { row.version.to_owned() } else { format!("{}/{}", row.group, row.version) };
    if api_version.is_empty() {
        bail!("{}: {kind} has no apiVersion; add apiVersion: {known}", document.place);
    }
    bail!("{}: {kind} has the unsupported apiVersion {api_version}; change it to {known}", document.place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::documents::read;

    fn kind(api_version: &str, kind: &str) -> Result<Option<Kind>> {
        let text = format!("apiVersion: {api_version}\nkind: {kind}\n");
        kind_of(&read("f.yaml", &text).unwrap()[0])
    }

    #[test]
    fn each_kind_is_known_in_its_version() {
        for row in &ROWS {
            let api_version =
                if row.group.is_empty() { row.version.to_owned() } else { format!("{}/{}", row.group, row.version) };
            assert_eq!(kind(&api_version, row.kind).unwrap(), Some(row.read_as));
        }
    }

    #[test]
    fn a_known_kind_in_another_version_is_an_error_that_names_both() {
        let error = kind("operator.openshift.io/v1alpha1", "ImageDigestMirrorSet").unwrap_err().to_string();
        let expected = "f.yaml, document 1 (line 1): ImageDigestMirrorSet has the unsupported apiVersion operator.openshift.io/v1alpha1; \
                        change it to config.openshift.io/v1";
        assert_eq!(error, expected);
        assert_eq!(kind("apps/v1beta1", "Deployment").unwrap(), None);
        let error = kind("\"\"", "ImageTagMirrorSet").unwrap_err().to_string();
        assert!(
            error.ends_with("ImageTagMirrorSet has no apiVersion; add apiVersion: config.openshift.io/v1"),
            "{error}"
        );
        assert!(kind("hypershift.openshift.io/v1alpha1", "HostedCluster").is_err());
    }

    #[test]
    fn common_names_of_other_groups_are_other_kinds() {
        assert_eq!(kind("karpenter.sh/v1", "NodePool").unwrap(), None);
        assert_eq!(kind("example.com/v1", "Deployment").unwrap(), None);
        assert_eq!(kind("v1", "Service").unwrap(), None);
    }
}
