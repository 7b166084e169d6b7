//! The two sides of a run: Secrets, credentials and clients.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use hypermirror_api::ImageReason;
use hypermirror_api::image::ImageEnd;

use super::super::access::{Access, References};
use super::super::agenda::ObjectKey;
use super::super::clients::Reader;
use super::super::context::Context;
use super::super::secrets::Certificates;
use super::failure::RunFailure;
use super::settings::{End, Identity, ecr_host};
use crate::registry::auth::ecr::Ecr;
use crate::registry::credentials::Credential;
use crate::registry::policy::PolicyOptions;
use crate::registry::transfer::{RegistrySide, Side};

/// Clients that Images use: as long as an object exists, its tokens and paces stay.
#[derive(Default)]
pub struct InUse(Mutex<HashMap<ObjectKey, Vec<Arc<Reader>>>>);

impl InUse {
    fn keep(&self, key: &ObjectKey, readers: Vec<Arc<Reader>>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone(), readers);
    }

    /// Drops those of an object.
    pub fn drop(&self, key: &ObjectKey) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

/// Where a run copies from and to.
pub struct Sides {
    /// From.
    pub source: Side,
    /// To.
    pub destination: Side,
    readers: Vec<Arc<Reader>>,
}

impl Sides {
    /// Reads the Secrets and obtains credentials.
    ///
    /// # Errors
    /// A Secret or credential is missing.
    pub async fn open(
        ctx: &Context,
        key: &ObjectKey,
        (source, source_spec): (&End, &ImageEnd),
        (destination, destination_spec): (&End, &ImageEnd),
    ) -> Result<Self, RunFailure> {
        let defaults = &ctx.images.rules.defaults;
        let of_source = defaults.source.credential.as_ref();
        let of_destination = defaults.destination.credential.as_ref();
        let opened = OpenEnd::open(ctx, key, source, source_spec, of_source).await;
        let source = opened.map_err(|failure| failure.at("source"))?;
        let opened = OpenEnd::open(ctx, key, destination, destination_spec, of_destination).await;
        let destination = opened.map_err(|failure| failure.at("destination"))?;
        let readers = vec![source.reader, destination.reader];
        ctx.images.in_use.keep(key, readers.clone());
        Ok(Self { source: source.side, destination: destination.side, readers })
    }

    /// Logs what registries want people to know.
    pub fn log_notices(&self, key: &ObjectKey) {
        for notice in self.readers.iter().flat_map(|reader| reader.client.take_notices()) {
            tracing::info!(image = %key, notice, "a registry announces something");
        }
    }
}

/// An end with its Secrets read.
pub struct OpenEnd {
    /// The repository.
    pub side: Side,
    /// The client for it.
    pub reader: Arc<Reader>,
    /// The credential for it.
    pub credential: Credential,
    /// The certificates for it.
    pub certificates: Certificates,
}

impl OpenEnd {
    /// Reads the Secrets of an object's end, and obtains its credential. `of_process` is the environment's.
    ///
    /// # Errors
    /// A Secret or credential is missing.
    pub async fn open(
        ctx: &Context,
        key: &ObjectKey,
        end: &End,
        spec: &ImageEnd,
        of_process: Option<&Credential>,
    ) -> Result<Self, RunFailure> {
        let named = References {
            credentials: spec.credentials_secret.as_ref(),
            certificates: spec.cert_secret_ref.as_ref().map(|reference| reference.name.as_str()),
            ..References::default()
        };
        let access = Access::read(&ctx.client, &key.namespace, named, ctx.clients.narrowest()).await?;
        let unavailable = |cause: crate::registry::Cause| {
            RunFailure::new(ImageReason::CredentialsUnavailable, format!("{}: {cause}", end.repository))
        };
        let credential = match end.identity {
            Identity::Own => access.keychain.credential(&end.repository).await.map_err(unavailable)?,
            Identity::Process => of_process.cloned().unwrap_or_default(),
            Identity::Aws => {
                let (ecr, host) = aws(ctx, end)?;
                ecr.credential(&host).await.map_err(unavailable)?
            }
        };
        let policy = PolicyOptions::default();
        let reader = ctx.clients.open(&key.namespace, &access, &credential, end.skips_verification, policy)?;
        let side = RegistrySide::new(reader.client.clone(), end.repository.clone(), credential.clone());
        let side = match end.identity {
            Identity::Aws => side.creating(aws(ctx, end)?.0.clone()),
            _ => side,
        };
        Ok(Self { side: Side::Registry(side), reader, credential, certificates: access.certificates })
    }
}

fn aws<'a>(
    ctx: &'a Context,
    end: &End,
) -> Result<(&'a Arc<Ecr>, crate::registry::credentials::ecr::EcrHost), RunFailure> {
    let missing = || {
        let message = "the registry-manager has no AWS identity: annotate its ServiceAccount with a role (IRSA), use Pod \
                       Identity, or set the environment variables of AWS";
        RunFailure::new(ImageReason::CredentialsUnavailable, message)
    };
    ctx.images.ecr.as_ref().zip(ecr_host(&end.repository)).ok_or_else(missing)
}
