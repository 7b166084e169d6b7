//! `forget`: drop what the objects of a vanished kind said.

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use hypermirror_api::names;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;

use super::console;
use super::input::Connection;
use crate::kube::kinds::{MirrorKind, ask_standing};
use crate::kube::lease::{LeaseMemory, remember_kinds};

/// Forgets a kind.
#[derive(Args, Debug)]
#[command(
    after_help = "While a mirror kind is gone that was once there, the manager removes nothing: its CRD may be on the \
way back.\nThis says that it is gone for good; what its objects said is then removed from every control plane.\n\n\
Example:\n  hypermirror forget icsp"
)]
pub struct ForgetArgs {
    /// The kind, in short or in full: icsp, idms, itms
    kind: MirrorKind,
    #[command(flatten)]
    connection: Connection,
    /// The manager's namespace, where its Lease is
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
