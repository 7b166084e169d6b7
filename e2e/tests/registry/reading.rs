//! Our client against the mock: what it must do for each way in which registries answer.

mod authentication;
mod content;
mod listing;
mod recording;

use anyhow::Result;
use hypermirror::registry::policy::PolicyOptions;
use hypermirror::registry::transport::tls::TlsOptions;
use hypermirror::registry::transport::{Transport, TransportOptions};
use hypermirror::registry::{Client, Credential, RegistryAddress, Repository, Target};
use hypermirror_e2e::MockRegistry;
use hypermirror_e2e::mock::digest::Digest;
use hypermirror_e2e::pki::Authority;
use serde_json::json;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";

/// A client that believes the system's authorities and this one.
pub fn client(authority: Option<&Authority>) -> Result<Client> {
    let mut tls = TlsOptions::default();
    if let Some(authority) = authority {
        tls.add_authorities(authority.certificate().as_bytes())?;
    }
    let transport = Transport::new(TransportOptions { tls, ..TransportOptions::default() })?;
    Ok(Client::new(transport, PolicyOptions::default()))
}

fn repository(registry: &MockRegistry, path: &str) -> Result<Repository> {
    Ok(Repository::new(RegistryAddress::parse(&registry.url())?, path)?)
}

const fn anonymous(repository: &Repository) -> Target<'_> {
    Target { repository, credential: &Credential::Anonymous }
}

/// An image of one layer in a repository of the mock.
fn add_image(registry: &MockRegistry, repository: &str, text: &str) -> Digest {
    let mut store = registry.store();
    let config = store.add_blob(repository, "{}");
    let layer = store.add_blob(repository, text.to_owned());
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": IMAGE,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": &*config, "size": 2},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": &*layer, "size": text.len()}],
    });
    store.add_manifest(repository, IMAGE, manifest.to_string())
}
