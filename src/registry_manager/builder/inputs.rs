//! What a build is given: its Dockerfile, the mirrors of the management cluster, authorities, and credentials.

use hypermirror_api::mirror_sets::{ImageContentSourcePolicy, ImageDigestMirrorSet, ImageTagMirrorSet};
use hypermirror_api::{ImageBuilderReason, ImageBuilderSpec};
use k8s_openapi::api::core::v1::Secret;
use kube::api::ListParams;
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;

use super::super::access::get;
use super::super::context::Context;
use super::super::image::sides::OpenEnd;
use super::super::secrets;
use super::auth::BuildAuth;
use super::failure::BuildFailure;
use super::mirrors::registries_conf;
use super::objects::{AUTHORITIES_KEY, MIRRORS_KEY, Mounted, SOURCE_KEY};
use super::settings::{Build, BuildRules, judge_certificates};
use crate::client::cause::Cause;
use crate::client::deadline::answered;
use crate::client::pages::Pages;
use crate::mirrors::Layer;
use crate::mirrors::entry::{MirrorEntry, MirrorSpec, of_object};

const PAGE: u32 = 500;

/// What the pods of a build mount.
pub struct Inputs {
    /// The ConfigMap, and whether there is a Secret.
    pub mounted: Mounted,
    /// The content of the Secret.
    pub auth: Option<String>,
}

impl Inputs {
    /// Reads the Secrets and the mirrors.
    ///
    /// # Errors
    /// One of them cannot be read.
    pub async fn read(
        ctx: &Context,
        rules: &BuildRules,
        build: &Build,
        spec: &ImageBuilderSpec,
        end: &OpenEnd,
    ) -> Result<Self, BuildFailure> {
        judge_certificates(end.certificates.identity.is_some())?;
        let mut auth = BuildAuth::default();
        let secrets: Api<Secret> = Api::namespaced(ctx.client.clone(), &build.owner.namespace);
        for reference in spec.pull_secrets.iter().flatten() {
            let secret = get(&secrets, &reference.name).await?;
            let file = secrets::docker(&reference.name, &secret)?.ok_or_else(|| {
                let message = format!("Secret {}: it is no docker configuration", reference.name);
                BuildFailure::new(ImageBuilderReason::SecretInvalid, message)
            })?;
            auth.add_file(&file);
        }
        auth.set(&build.end.repository, &end.credential);
        let auth = auth.render();
        let mirrors = registries_conf(&management_mirrors(&ctx.client).await?)?;
        let mut files = [(SOURCE_KEY, spec.source.clone()), (MIRRORS_KEY, mirrors)].into_iter().collect::<Files>();
        if let Some(authorities) = authorities(rules, end) {
            files.insert(AUTHORITIES_KEY, authorities);
        }
        Ok(Self { mounted: Mounted { files, has_credentials: auth.is_some() }, auth })
    }
}

type Files = std::collections::BTreeMap<&'static str, String>;

/// Those of the process, which are the administrator's, and those of the ImageBuilder.
fn authorities(rules: &BuildRules, end: &OpenEnd) -> Option<String> {
    let own = end.certificates.authorities.as_deref().map(String::from_utf8_lossy);
    let all: Vec<&str> = rules.authorities.as_deref().into_iter().chain(own.as_deref()).map(str::trim_end).collect();
    (!all.is_empty()).then(|| format!("{}\n", all.join("\n")))
}

/// The entries of all mirror objects. They are listed anew for each build: builds are rare.
async fn management_mirrors(client: &Client) -> Result<Vec<MirrorEntry>, BuildFailure> {
    let mut entries = listed(client, |name, object: &ImageContentSourcePolicy| of(name, &object.spec)).await?;
    entries.extend(listed(client, |name, object: &ImageDigestMirrorSet| of(name, &object.spec)).await?);
    entries.extend(listed(client, |name, object: &ImageTagMirrorSet| of(name, &object.spec)).await?);
    Ok(entries)
}

fn of<S: MirrorSpec>(name: &str, spec: &S) -> Vec<MirrorEntry> {
    of_object(name, spec, Layer::Management)
}

async fn listed<K>(
    client: &Client,
    entries: impl Fn(&str, &K) -> Vec<MirrorEntry>,
) -> Result<Vec<MirrorEntry>, BuildFailure>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
{
    let api: Api<K> = Api::all(client.clone());
    let mut found = Vec::new();
    let mut pages = Pages::of(ListParams::default(), PAGE);
    while let Some(params) = pages.next() {
        match answered(api.list(params)).await {
            Ok(page) => {
                pages.read(&page.metadata);
                found.extend(page.items.iter().flat_map(|object| entries(&object.name_any(), object)));
            }
            // The cluster has no such kind.
            Err(kube::Error::Api(status)) if status.code == 404 => break,
            Err(error) => {
                // Without its mirrors, a build could pull from where it must not.
                let message = format!("failed to list objects of kind {}: {}", K::kind(&()), Cause(&error));
                return Err(BuildFailure::new(ImageBuilderReason::ApiUnavailable, message));
            }
        }
    }
    Ok(found)
}
