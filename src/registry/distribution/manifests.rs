//! Manifests: whether they are there, what they say, and how they get there.

use bytes::Bytes;
use http::Method;
use http::header::{ACCEPT, CONTENT_TYPE};

use super::super::error::{Cause, RegistryError};
use super::super::name::Reference;
use super::super::transport::{Answer, Request};
use super::super::wire::digest::{Algorithm, Digest};
use super::super::wire::is_object;
use super::super::wire::manifest::{MAX_MANIFEST_BYTES, Manifest};
use super::super::wire::media_type::{ACCEPT_MANIFESTS, ManifestType};
use super::content::{checked, decoded, is_gzip};
use super::{Api, Target, address, error};

const OPERATION: &str = "read the manifest";
const BODY: &str = "manifest";

/// What a registry says of a manifest without sending it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its digest.
    pub digest: Digest,
    /// What it is, if its header says.
    pub kind: Option<ManifestType>,
}

/// A manifest whose bytes match its digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// The digest of its bytes.
    pub digest: Digest,
    /// As they are stored.
    pub bytes: Bytes,
    /// What they say.
    pub manifest: Manifest,
}

/// A manifest was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// Whether the registry lists it with the referrers of its subject by itself.
    pub lists_referrers: bool,
}

impl Api {
    /// Asks for the digest of a manifest. Registries that refuse HEAD, or send no digest, are asked for the manifest itself.
    ///
    /// # Errors
    /// It is not there, or not what was asked for.
    pub async fn head_manifest(&self, target: Target<'_>, reference: &Reference) -> Result<Head, RegistryError> {
        let failed = |cause| error(OPERATION, target, Some(reference), cause);
        let answer = self.ask_manifest(target, reference, Method::HEAD).await.map_err(failed)?;
        if matches!(answer.status.as_u16(), 405 | 501) {
            return self.head_by_get(target, reference).await;
        }
        if !answer.status.is_success() {
            return Err(failed(self.refused(&target.repository.registry, answer).await));
        }
        let kind = answer.header("content-type").and_then(ManifestType::named);
        // HEAD and GET of one manifest have different lengths on some registries: its length does not count.
        match (reference, digest_header(&answer)) {
            (Reference::Digest(asked), Some(said)) if asked.algorithm() == said.algorithm() && *asked != said => {
                Err(failed(Cause::Digest { expected: asked.clone(), actual: said }))
            }
            // Proxies and gateways answer 200 to everything: only what is announced as a manifest is one.
            (Reference::Digest(_), None) if kind.is_none() => self.head_by_get(target, reference).await,
            (Reference::Digest(asked), _) => Ok(Head { digest: asked.clone(), kind }),
            (Reference::Tag(_), Some(said)) => Ok(Head { digest: said, kind }),
            (Reference::Tag(_), None) => self.head_by_get(target, reference).await,
        }
    }

    async fn head_by_get(&self, target: Target<'_>, reference: &Reference) -> Result<Head, RegistryError> {
        let fetched = self.manifest(target, reference).await?;
        Ok(Head { digest: fetched.digest, kind: Some(fetched.manifest.kind) })
    }

    /// Reads a manifest, of at most 4 MiB, and checks its bytes.
    ///
    /// # Errors
    /// It is not there, is not what its digest says, or is no manifest.
    pub async fn manifest(&self, target: Target<'_>, reference: &Reference) -> Result<Fetched, RegistryError> {
        let failed = |cause| error(OPERATION, target, Some(reference), cause);
        let answer = self.ask_manifest(target, reference, Method::GET).await.map_err(failed)?;
        if !answer.status.is_success() {
            return Err(failed(self.refused(&target.repository.registry, answer).await));
        }
        read(answer, reference).await.map_err(failed)
    }

    /// Writes a manifest as its bytes are. `reference` is its digest, or a tag that then names it.
    ///
    /// # Errors
    /// The registry refuses, or has another digest for it.
    pub async fn put_manifest(
        &self,
        target: Target<'_>,
        reference: &Reference,
        manifest: &Fetched,
    ) -> Result<Pushed, RegistryError> {
        let failed = |cause| error("write the manifest", target, Some(reference), cause);
        let below = format!("{}/manifests/{reference}", target.repository.path());
        let url = address(&target.repository.registry, &below).map_err(failed)?;
        let mut request = Request::new(Method::PUT, url).with(CONTENT_TYPE, manifest.manifest.kind.name());
        request.body = Some(manifest.bytes.clone());
        let answer = self.push(target, None, request).await.map_err(failed)?;
        if !answer.status.is_success() {
            return Err(failed(self.refused(&target.repository.registry, answer).await));
        }
        let is_other = |said: &Digest| Digest::of(said.algorithm(), &manifest.bytes) != *said;
        if let Some(actual) = digest_header(&answer).filter(is_other) {
            return Err(failed(Cause::Digest { expected: manifest.digest.clone(), actual }));
        }
        Ok(Pushed { lists_referrers: answer.header("oci-subject").is_some() })
    }

    async fn ask_manifest(&self, target: Target<'_>, reference: &Reference, method: Method) -> Result<Answer, Cause> {
        let below = format!("{}/manifests/{reference}", target.repository.path());
        let url = address(&target.repository.registry, &below)?;
        self.ask(target, Request::new(method, url).with(ACCEPT, ACCEPT_MANIFESTS)).await
    }
}

/// A digest that cannot be checked counts as none.
fn digest_header(answer: &Answer) -> Option<Digest> {
    Digest::parse(answer.header("docker-content-digest")?.trim()).ok()
}

async fn read(answer: Answer, reference: &Reference) -> Result<Fetched, Cause> {
    let said = digest_header(&answer);
    let text = |name| answer.header(name).map(str::to_owned);
    let (content_type, encoding) = (text("content-type"), text("content-encoding"));
    let body = answer.body(BODY, MAX_MANIFEST_BYTES).await?;
    let encoding = encoding.as_deref();
    let (digest, bytes) = match (reference, &said) {
        (Reference::Digest(digest), _) | (Reference::Tag(_), Some(digest)) => {
            (digest.clone(), checked(body, digest, encoding, BODY, MAX_MANIFEST_BYTES)?)
        }
        (Reference::Tag(_), None) => unnamed(body, encoding)?,
    };
    if let Some(said) = said.filter(|said| Digest::of(said.algorithm(), &bytes) != *said) {
        return Err(Cause::Digest { expected: said, actual: digest });
    }
    let manifest = Manifest::parse(&bytes, content_type.as_deref())?;
    Ok(Fetched { digest, bytes, manifest })
}

/// Bytes that nothing names: only their form shows whether a header lies about their encoding.
fn unnamed(body: Bytes, encoding: Option<&str>) -> Result<(Digest, Bytes), Cause> {
    let decoded = if is_gzip(encoding) && !is_object(&body) { decoded(&body, BODY, MAX_MANIFEST_BYTES)? } else { None };
    let bytes = decoded.unwrap_or(body);
    Ok((Digest::of(Algorithm::Sha256, &bytes), bytes))
}
