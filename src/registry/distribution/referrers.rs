//! Referrers: what is attached to a manifest, by the API or by the tag that stands in for it.

use std::collections::HashSet;

use http::Method;
use http::header::ACCEPT;

use super::super::error::{Cause, Reason, RegistryError};
use super::super::name::Reference;
use super::super::transport::Request;
use super::super::wire::digest::Digest;
use super::super::wire::link::next_query;
use super::super::wire::manifest::{Descriptor, MAX_MANIFEST_BYTES, Manifest};
use super::super::wire::media_type::{ManifestType, OCI_INDEX};
use super::{Api, Target, address, error};

const OPERATION: &str = "list the referrers of";
/// Of one manifest: a list that goes on longer is taken for an endless one.
const MAX_PAGES: usize = 100;

/// What is attached to a manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Referrers {
    /// In the order of the registry.
    pub manifests: Vec<Descriptor>,
    /// Whether they come from the tag of the referrers tag schema.
    pub is_by_tag: bool,
}

impl Api {
    /// Lists the referrers of a manifest. Registries without the API (404, HTML, an error of their own) keep them under a tag.
    ///
    /// # Errors
    /// Nobody can say. A tag that is not there means that there are none, unless the API is there and broken.
    pub async fn referrers(&self, target: Target<'_>, subject: &Digest) -> Result<Referrers, RegistryError> {
        let failed = |cause| error(OPERATION, target, Some(subject), cause);
        let by_api = match self.referrers_by_api(target, subject).await {
            Ok(manifests) => return Ok(Referrers { manifests, is_by_tag: false }),
            Err(cause) => cause,
        };
        let is_broken = match by_api.reason() {
            Reason::NotFound | Reason::Unsupported | Reason::Invalid => false,
            Reason::ServerError => true,
            _ => return Err(failed(by_api)),
        };
        match self.manifest(target, &Reference::Tag(subject.referrers_tag())).await {
            Ok(fetched) => Ok(Referrers { manifests: fetched.manifest.children, is_by_tag: true }),
            Err(error) if error.reason() == Reason::NotFound && !is_broken => {
                Ok(Referrers { manifests: Vec::new(), is_by_tag: true })
            }
            Err(error) if error.reason() == Reason::NotFound => Err(failed(by_api)),
            Err(error) => Err(failed(error.cause)),
        }
    }

    async fn referrers_by_api(&self, target: Target<'_>, subject: &Digest) -> Result<Vec<Descriptor>, Cause> {
        let registry = &target.repository.registry;
        let url = address(registry, &format!("{}/referrers/{subject}", target.repository.path()))?;
        let mut found = Vec::new();
        let mut seen = HashSet::new();
        let mut query: Option<String> = None;
        loop {
            let mut page_url = url.clone();
            page_url.set_query(query.as_deref());
            let answer = self.ask(target, Request::new(Method::GET, page_url).with(ACCEPT, OCI_INDEX)).await?;
            if !answer.status.is_success() {
                return Err(self.refused(registry, answer).await);
            }
            let next = next_query(answer.all("link"));
            let body = answer.body("list of referrers", MAX_MANIFEST_BYTES).await?;
            let invalid = |message: String| Cause::Invalid { what: "a list of referrers", message };
            let page = Manifest::parse(&body, None).map_err(|error| invalid(error.to_string()))?;
            if page.kind != ManifestType::OciIndex {
                return Err(invalid(format!("it is {}", page.kind.name())));
            }
            found.extend(page.children);
            match next {
                Some(next) if seen.insert(next.clone()) && seen.len() < MAX_PAGES => query = Some(next),
                Some(_) if seen.len() >= MAX_PAGES => return Err(invalid(format!("more than {MAX_PAGES} pages"))),
                _ => return Ok(found),
            }
        }
    }
}
