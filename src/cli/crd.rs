//! `crd`: prints hypermirror's CRDs, or a patch for HyperShift's CRD.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};
use hypermirror_api::{
    HostedClusterMirrors, Image, ImageBuilder, ImportRule, MirrorCoverage, NodeMirrorSet, NodeMirrorStatus, Registry,
};
use kube::CustomResourceExt as _;
use serde_json::{Value, json};

use super::{console, yaml};

/// The fields of `spec` in HyperShift's only version, `v1beta1`.
const SPEC_FIELDS: &str = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";

/// Flags of `crd`.
#[derive(Args, Debug)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:
  hypermirror crd | kubectl apply --server-side -f -
  kubectl patch crd hostedclusters.hypershift.openshift.io --type=json \\
    -p \"$(hypermirror crd hostedcluster-patch)\""
)]
pub struct CrdArgs {
    /// Print only the CRDs for the management cluster or for guest clusters
    #[arg(long = "for", value_enum, value_name = "SIDE")]
    side: Option<Side>,
    #[command(subcommand)]
    other: Option<Other>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Side {
    Management,
    Guest,
}

#[derive(Clone, Copy, Debug, Subcommand)]
enum Other {
    /// Print a JSON patch that adds spec.imageMirrorConfigRef to HyperShift's CRD
    HostedclusterPatch,
}

/// Prints the CRDs, or the patch.
pub fn run(args: &CrdArgs) -> Result<ExitCode> {
    match args.other {
        Some(Other::HostedclusterPatch) => {
            console::print_data(&hosted_cluster_patch(), console::DataFormat::Json)?;
        }
        None => {
            console::print(&yaml::print_documents(&crds(args.side)?)?)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The CRDs of the management cluster.
///
/// # Errors
/// None: every CRD is valid JSON.
pub fn management_crds() -> Result<Vec<Value>> {
    crds(Some(Side::Management))
}

fn crds(side: Option<Side>) -> Result<Vec<Value>> {
    let crds = [
        (Side::Management, HostedClusterMirrors::crd()),
        (Side::Management, MirrorCoverage::crd()),
        (Side::Management, Registry::crd()),
        (Side::Management, Image::crd()),
        (Side::Management, ImageBuilder::crd()),
        (Side::Management, ImportRule::crd()),
        (Side::Guest, NodeMirrorSet::crd()),
        (Side::Guest, NodeMirrorStatus::crd()),
    ];
    let wanted = crds.iter().filter(|(of, _)| side.is_none_or(|wanted| wanted == *of));
    let crds: Result<Vec<Value>, _> =
        wanted.map(|(_, crd)| serde_json::to_value(crd).map(with_unobserved_status)).collect();
    Ok(crds?)
}

/// Adds the status of an object that nobody has observed yet, to the kinds that people create. Without it, tools that follow kstatus,
/// such as Flux, take a new object for complete.
fn with_unobserved_status(mut crd: Value) -> Value {
    let versions = crd.pointer_mut("/spec/versions").and_then(Value::as_array_mut);
    for version in versions.into_iter().flatten() {
        let status = version.pointer_mut("/schema/openAPIV3Schema/properties/status").and_then(Value::as_object_mut);
        let Some(status) = status else { continue };
        let has_it = status.get("properties").and_then(|fields| fields.get("observedGeneration")).is_some();
        if has_it {
            status.insert("default".to_owned(), json!({"observedGeneration": -1}));
        }
    }
    crd
}

/// The `test` makes the patch fail for a CRD with other versions. Applying the patch twice has no effect.
fn hosted_cluster_patch() -> Value {
    let description = "imageMirrorConfigRef names a ConfigMap in the namespace of the HostedCluster, whose keys idms.yaml and \
                       itms.yaml hold an ImageDigestMirrorSet and an ImageTagMirrorSet for this cluster. hypermirror reads it.";
    let field = json!({
        "type": "object",
        "description": description,
        "required": ["name"],
        "properties": {
            "name": {"type": "string", "description": "The name of the ConfigMap.", "minLength": 1, "maxLength": 253}
        },
        "x-kubernetes-map-type": "atomic"
    });
    json!([
        {"op": "test", "path": "/spec/versions/0/name", "value": "v1beta1"},
        {"op": "add", "path": format!("{SPEC_FIELDS}/imageMirrorConfigRef"), "value": field}
    ])
}
