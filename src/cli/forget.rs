//! `forget`: removes the mirrors of a kind whose CRD was deleted.

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use hypermirror_api::names;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;

use super::console;
use super::input::Connection;
use crate::client::optional_kind::InstalledCrd;
use crate::management::lease::{LeaseMemory, record_kinds};
use crate::management::mirror_kind::MirrorKind;

/// Flags of `forget`.
#[derive(Args, Debug)]
#[command(after_help = "When the CRD of a mirror kind is deleted, the manager keeps the mirrors of that
kind, because the CRD may have been deleted by mistake. This command confirms
the deletion. The manager then removes these mirrors from all control planes.

Example:
  hypermirror forget icsp")]
pub struct ForgetArgs {
    /// Mirror kind: icsp, idms or itms, or its full name
    kind: MirrorKind,
    #[command(flatten)]
    connection: Connection,
    /// Namespace of the manager's Lease
    #[arg(long, value_name = "NAMESPACE", env = "POD_NAMESPACE", default_value = super::MANAGER_NAMESPACE)]
    namespace: String,
}

/// Removes the kind from the list on the manager's Lease.
pub async fn run(args: &ForgetArgs) -> Result<ExitCode> {
    let client = args.connection.connect().await?;
    let (kind, lease) = (args.kind.kind(), format!("Lease {}/{}", args.namespace, names::LEASE));
    let standing = InstalledCrd::read(&client, args.kind.crd()).await;
    if standing.with_context(|| format!("failed to read CRD {}", args.kind.crd()))?.is_some() {
        bail!("the CRD of {kind} is still installed; delete its objects or its CRD first");
    }
    let api: Api<Lease> = Api::namespaced(client.clone(), &args.namespace);
    let found = api.get_metadata_opt(names::LEASE).await.with_context(|| format!("failed to read {lease}"))?;
    let Some(found) = found else {
        bail!("{lease} does not exist; set --namespace to the namespace of the manager");
    };
    let mut kinds = LeaseMemory::of(&found).once_there;
    if !kinds.remove(&args.kind) {
        console::note(format!("{lease} does not list {kind}: nothing to do"));
        return Ok(ExitCode::SUCCESS);
    }
    record_kinds(&client, &args.namespace, &kinds).await.with_context(|| format!("failed to update {lease}"))?;
    console::note(format!(
        "requested: the manager removes the mirrors of {kind} from all control planes; hypermirror status shows the progress"
    ));
    Ok(ExitCode::SUCCESS)
}
