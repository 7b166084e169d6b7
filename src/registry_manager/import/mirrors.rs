//! The mirrors in force on the nodes of this cluster, as its mirror objects declare them.

use hypermirror_api::mirror_sets::{ImageContentSourcePolicy, ImageDigestMirrorSet, ImageTagMirrorSet};
use kube::api::ListParams;
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;

use crate::client::cause::Cause;
use crate::client::deadline::answered;
use crate::client::pages::Pages;
use crate::mirrors::entry::of_object;
use crate::mirrors::{Layer, MirrorEntry};
use crate::registry::coverage::demand::NodeRules;

const PAGE: u32 = 50;

/// Where nodes pull images from. They are listed when a pod cannot pull, which is rare: nothing is watched for that.
///
/// # Errors
/// For people: a kind cannot be listed, or its objects do not fit together.
pub async fn in_force(client: &Client) -> Result<NodeRules, String> {
    let mut entries = Vec::new();
    let policies = all::<ImageContentSourcePolicy>(client).await?;
    entries.extend(policies.iter().flat_map(|set| of_object(&set.name_any(), &set.spec, Layer::Management)));
    let digests = all::<ImageDigestMirrorSet>(client).await?;
    entries.extend(digests.iter().flat_map(|set| of_object(&set.name_any(), &set.spec, Layer::Management)));
    let tags = all::<ImageTagMirrorSet>(client).await?;
    entries.extend(tags.iter().flat_map(|set| of_object(&set.name_any(), &set.spec, Layer::Management)));
    let entries: Vec<MirrorEntry> = entries;
    NodeRules::of_management(&entries).map_err(|error| error.to_string())
}

/// All objects of a kind; none where the kind is not installed.
async fn all<K>(client: &Client) -> Result<Vec<K>, String>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
{
    let api: Api<K> = Api::all(client.clone());
    let mut pages = Pages::of(ListParams::default(), PAGE);
    let mut found = Vec::new();
    while let Some(params) = pages.next() {
        match answered(api.list(params)).await {
            Ok(page) => {
                pages.read(&page.metadata);
                found.extend(page.items);
            }
            Err(kube::Error::Api(status)) if status.code == 404 => break,
            Err(error) => return Err(format!("failed to list objects of kind {}: {}", K::kind(&()), Cause(&error))),
        }
    }
    Ok(found)
}
