//! `forget`: drop what the objects of a vanished kind said.

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use hypermirror_api::names;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;

use super::console;
use super::input::Connection;
use crate::client::optional_kind::ask_standing;
use crate::management::lease::{LeaseMemory, remember_kinds};
use crate::management::mirror_kind::MirrorKind;

/// Forgets a kind.
#[derive(Args, Debug)]
#[command(after_help = "When the CRD of a mirror kind disappears, the manager keeps the mirrors of that kind:
the CRD may come back. This command declares it gone for good; the manager then
removes these mirrors from every control plane.

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

/// Takes the kind from those that the manager's Lease remembers.
pub async fn run(args: &ForgetArgs) -> Result<ExitCode> {
    let client = args.connection.connect().await?;
    let (kind, lease) = (args.kind.kind(), format!("Lease {}/{}", args.namespace, names::LEASE));
    let standing = ask_standing(&client, args.kind.crd()).await;
    if standing.with_context(|| format!("cannot read CRD {}", args.kind.crd()))?.is_some() {
        bail!("{kind} is there, so that there is nothing to forget; delete its objects, or its CRD first");
    }
    let api: Api<Lease> = Api::namespaced(client.clone(), &args.namespace);
    let found = api.get_metadata_opt(names::LEASE).await.with_context(|| format!("cannot read {lease}"))?;
    let Some(found) = found else {
        bail!("there is no {lease}; name the manager's namespace with --namespace");
    };
    let mut kinds = LeaseMemory::of(&found).once_there;
    if !kinds.remove(&args.kind) {
        console::note(format!("{lease} does not remember {kind}: nothing to do"));
        return Ok(ExitCode::SUCCESS);
    }
    remember_kinds(&client, &args.namespace, &kinds).await.with_context(|| format!("cannot write {lease}"))?;
    console::note(format!(
        "{kind} is forgotten: the manager takes what its objects said from the control planes now; `hypermirror status` \
         shows how far it is"
    ));
    Ok(ExitCode::SUCCESS)
}
