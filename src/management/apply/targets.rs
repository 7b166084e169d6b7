//! Reads of targets: one, the metadata of all, and all in pages.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ListMeta;
use kube::api::{GetParams, ListParams};
use kube::{Api, Resource as _};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{WriteError, Writer};
use crate::client::pages::Pages;
use crate::hosted::observed::ObservedTarget;
use crate::hosted::target::TargetSpec;
use crate::management::index::targets::TargetMeta;
use crate::management::index::targets::lists::ListedTarget;

/// Objects per page of a list of metadata. Small pages limit the peak memory.
const METADATA_PAGE: u32 = 100;
/// Objects per page of a list of Deployments, each of which has 20 to 60 kB.
const PAGE: u32 = 25;

/// A page of which each object is decoded alone. Decoded, it has several times the size of its text.
#[derive(Deserialize)]
struct Page<'p> {
    #[serde(default)]
    metadata: ListMeta,
    #[serde(borrow, default)]
    items: Vec<&'p RawValue>,
}

impl Writer {
    /// Reads one target.
    ///
    /// # Errors
    /// [`WriteError`]; `Gone` if there is none.
    pub async fn read_target(&self, namespace: &str, spec: &TargetSpec) -> Result<ObservedTarget, WriteError> {
        let what = format!("Deployment {namespace}/{}", spec.deployment);
        let url = Deployment::url_path(&(), Some(namespace));
        let request = kube::core::Request::new(url).get(&spec.deployment, &GetParams::default());
        let call = async { self.client.request::<Value>(request.map_err(kube::Error::BuildRequest)?).await };
        Ok(ObservedTarget::read(&self.timed(&what, call).await?, spec))
    }

    /// Lists the metadata of one target in all namespaces from the API server, because watches may be delayed.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn list_targets(&self, spec: &TargetSpec) -> Result<Vec<TargetMeta>, WriteError> {
        let api: Api<Deployment> = Api::all(self.client.clone());
        // All pages or none: a rollout in flight that is missing here would give its slot to another hosted cluster.
        let mut pages = Pages::of(named(spec), METADATA_PAGE);
        let mut targets = Vec::new();
        while let Some(params) = pages.next() {
            let page = self.timed(&format!("Deployments {}", spec.deployment), api.list_metadata(params)).await?;
            pages.read(&page.metadata);
            targets.extend(page.items.iter().map(TargetMeta::of));
        }
        Ok(targets)
    }

    /// The pages of one target in all namespaces, for [`Self::read_target_page`].
    pub fn target_pages(spec: &TargetSpec) -> Pages {
        Pages::of(named(spec), PAGE)
    }

    /// Reads the next page of one target in all namespaces. `None` after the last one.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn read_target_page(
        &self,
        spec: &TargetSpec,
        pages: &mut Pages,
    ) -> Result<Option<Vec<ListedTarget>>, WriteError> {
        let Some(params) = pages.next() else { return Ok(None) };
        let what = format!("Deployments {}", spec.deployment);
        let request = kube::core::Request::new(Deployment::url_path(&(), None)).list(params);
        let call = async { self.client.request_text(request.map_err(kube::Error::BuildRequest)?).await };
        let text = self.timed(&what, call).await?;
        let unreadable = |error| WriteError::Failed { what: what.clone(), source: kube::Error::SerdeError(error) };
        let page: Page<'_> = serde_json::from_str(&text).map_err(unreadable)?;
        pages.read(&page.metadata);
        // One object at a time: as values, all of a page would be the peak of the memory.
        let listed = page.items.into_iter().map(|item| {
            let deployment: Value = serde_json::from_str(item.get())?;
            let namespace = deployment["metadata"]["namespace"].as_str().unwrap_or_default().to_owned();
            Ok(ListedTarget { namespace, observed: ObservedTarget::read(&deployment, spec) })
        });
        listed.collect::<serde_json::Result<_>>().map(Some).map_err(unreadable)
    }
}

/// The Deployments of one target, which RBAC can restrict by `resourceNames`.
fn named(spec: &TargetSpec) -> ListParams {
    ListParams::default().fields(&format!("metadata.name={}", spec.deployment))
}
