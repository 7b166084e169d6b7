//! Reads the OLM catalogs of a control plane, and writes them if stock HyperShift does not.

use hypermirror_api::names;
use k8s_openapi::api::apps::v1::Deployment;
use kube::Resource as _;
use kube::api::{GetParams, Patch, PatchParams};
use kube::core::Request;
use serde_json::Value;

use super::{WriteError, Writer};
use crate::hosted::catalogs::compare::{CatalogObject, CatalogObjects};
use crate::hosted::catalogs::requested::Wanted;
use crate::hosted::catalogs::{Catalog, IMAGE_STREAM};

/// The path of the kind of an object.
fn collection(namespace: &str, object: CatalogObject) -> String {
    match object {
        CatalogObject::Deployment(_) => Deployment::url_path(&(), Some(namespace)),
        CatalogObject::ImageStream => format!("/apis/image.openshift.io/v1/namespaces/{namespace}/imagestreams"),
    }
}

/// The request for one of the objects.
pub(crate) fn get(namespace: &str, object: CatalogObject) -> kube::Result<http::Request<Vec<u8>>> {
    let request = Request::new(collection(namespace, object)).get(object.name(), &GetParams::default());
    request.map_err(kube::Error::BuildRequest)
}

impl Writer {
    /// Reads the objects of the catalogs that are compared. Objects of kinds that are not served are absent.
    ///
    /// # Errors
    /// [`WriteError`]; never `Gone`.
    pub async fn read_catalogs(&self, namespace: &str, wanted: &Wanted) -> Result<CatalogObjects, WriteError> {
        let mut objects = CatalogObjects::default();
        for catalog in Catalog::ALL {
            let found = self.read_catalog(namespace, CatalogObject::Deployment(catalog)).await?;
            objects.deployments.extend(found.map(|found| (catalog, found)));
        }
        if matches!(wanted, Wanted::Registries(_) | Wanted::Proven(_)) {
            objects.image_stream = self.read_catalog(namespace, CatalogObject::ImageStream).await?;
        }
        Ok(objects)
    }

    async fn read_catalog(&self, namespace: &str, object: CatalogObject) -> Result<Option<Value>, WriteError> {
        let what = named(namespace, object);
        let request = get(namespace, object).map_err(|error| WriteError::of(&what, error))?;
        match self.timed(&what, self.client.request::<Value>(request)).await {
            // Also if the kind is not served: image streams exist on OpenShift only.
            Err(WriteError::Gone { .. }) => Ok(None),
            read => read.map(Some),
        }
    }

    /// Writes one of the objects.
    ///
    /// # Errors
    /// [`WriteError`]; `Conflict` if the object has changed since the patch was planned.
    pub async fn patch_catalog(
        &self,
        namespace: &str,
        object: CatalogObject,
        patch: &json_patch::Patch,
    ) -> Result<(), WriteError> {
        let what = named(namespace, object);
        let params = PatchParams { field_manager: Some(names::FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let body = Patch::Json::<()>(patch.clone());
        let request = Request::new(collection(namespace, object)).patch(object.name(), &params, &body);
        let request = request.map_err(|error| WriteError::of(&what, kube::Error::BuildRequest(error)))?;
        self.timed(&what, self.client.request::<Value>(request)).await.map(|_| ())
    }
}

fn named(namespace: &str, object: CatalogObject) -> String {
    match object {
        CatalogObject::Deployment(catalog) => format!("Deployment {namespace}/{}", catalog.deployment()),
        CatalogObject::ImageStream => format!("ImageStream {namespace}/{IMAGE_STREAM}"),
    }
}
