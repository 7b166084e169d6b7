//! What the consumers of a hosted cluster show registries and believe: one GET for its pull secret and one for its authorities.

use hypermirror_api::CoverageReason;
use hypermirror_api::hypershift::HostedCluster;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, Client, ResourceExt as _};

use super::super::access::get;
use super::super::secrets;
use crate::registry::auth::keychain::Keychain;

const TRUST_BUNDLE_KEY: &str = "ca-bundle.crt";

/// What was read, or why it could not be.
pub struct Access {
    /// Credentials.
    pub keychain: Result<Keychain, String>,
    /// Authorities in PEM; empty if the HostedCluster names none.
    pub authorities: Result<Vec<u8>, String>,
}

impl Access {
    /// Reads what a HostedCluster names, in its own namespace.
    pub async fn read(client: &Client, cluster: &HostedCluster) -> Self {
        let namespace = cluster.namespace().unwrap_or_default();
        Self {
            keychain: keychain(client, &namespace, cluster).await,
            authorities: authorities(client, &namespace, cluster).await,
        }
    }

    /// The reason why consumers of this hosted cluster cannot be imitated.
    pub fn trouble(&self) -> Option<(CoverageReason, &str)> {
        let keychain = self.keychain.as_ref().err().map(|why| (CoverageReason::CredentialsNotReadable, why.as_str()));
        let authorities = self.authorities.as_ref().err();
        keychain.or_else(|| authorities.map(|why| (CoverageReason::AuthoritiesNotReadable, why.as_str())))
    }
}

async fn keychain(client: &Client, namespace: &str, cluster: &HostedCluster) -> Result<Keychain, String> {
    let Some(reference) = &cluster.spec.pull_secret else { return Ok(Keychain::default()) };
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let secret = get(&api, &reference.name).await.map_err(|failure| failure.message)?;
    let file = secrets::docker(&reference.name, &secret).map_err(|failure| failure.message)?;
    let file = file.ok_or_else(|| format!("Secret {} has no key .dockerconfigjson", reference.name))?;
    Ok(Keychain { files: vec![file], ..Keychain::default() })
}

async fn authorities(client: &Client, namespace: &str, cluster: &HostedCluster) -> Result<Vec<u8>, String> {
    let Some(reference) = &cluster.spec.additional_trust_bundle else { return Ok(Vec::new()) };
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let map = get(&api, &reference.name).await.map_err(|failure| failure.message)?;
    let bundle = map.data.and_then(|mut data| data.remove(TRUST_BUNDLE_KEY));
    let bundle = bundle.ok_or_else(|| format!("ConfigMap {} has no key {TRUST_BUNDLE_KEY}", reference.name))?;
    Ok(bundle.into_bytes())
}

#[cfg(test)]
mod tests {
    use http::Method;
    use serde_json::{Value, json};

    use super::*;
    use crate::client::testing::{ApiServer, Step};

    const SECRET: &str = "/api/v1/namespaces/clusters/secrets/pull";
    const BUNDLE: &str = "/api/v1/namespaces/clusters/configmaps/trust";

    fn cluster() -> HostedCluster {
        let object = json!({
            "apiVersion": "hypershift.openshift.io/v1beta1", "kind": "HostedCluster",
            "metadata": {"name": "west", "namespace": "clusters"},
            "spec": {"pullSecret": {"name": "pull"}, "additionalTrustBundle": {"name": "trust"}},
        });
        serde_json::from_value(object).unwrap()
    }

    fn secret(kind: &str) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "pull"}, "type": kind,
            "data": {".dockerconfigjson": "eyJhdXRocyI6IHt9fQ=="},
        })
    }

    fn bundle(key: &str) -> Value {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "trust"}, "data": {key: "PEM"}})
    }

    async fn read(steps: [Step; 2]) -> Access {
        let (client, server) = ApiServer::new(steps);
        let access = Access::read(&client, &cluster()).await;
        server.end().await;
        access
    }

    #[tokio::test(start_paused = true)]
    async fn a_pull_secret_and_authorities_are_one_get_each() {
        let secret = Step::new(Method::GET, SECRET, 200, &secret("kubernetes.io/dockerconfigjson"));
        let access = read([secret, Step::new(Method::GET, BUNDLE, 200, &bundle(TRUST_BUNDLE_KEY))]).await;
        assert!(access.trouble().is_none());
        assert_eq!(access.authorities.unwrap(), b"PEM");
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_read_has_a_reason_that_names_it() {
        let good_secret = || Step::new(Method::GET, SECRET, 200, &secret("kubernetes.io/dockerconfigjson"));
        let good_bundle = || Step::new(Method::GET, BUNDLE, 200, &bundle(TRUST_BUNDLE_KEY));
        for (steps, expected) in [
            (
                [Step::refused(Method::GET, SECRET, 403), good_bundle()],
                (CoverageReason::CredentialsNotReadable, "may not read Secret pull"),
            ),
            (
                [Step::new(Method::GET, SECRET, 200, &secret("kubernetes.io/service-account-token")), good_bundle()],
                (CoverageReason::CredentialsNotReadable, "Secret pull has no key"),
            ),
            (
                [good_secret(), Step::refused(Method::GET, BUNDLE, 404)],
                (CoverageReason::AuthoritiesNotReadable, "ConfigMap trust does not exist"),
            ),
            (
                [good_secret(), Step::new(Method::GET, BUNDLE, 200, &bundle("other"))],
                (CoverageReason::AuthoritiesNotReadable, "has no key ca-bundle.crt"),
            ),
        ] {
            let access = read(steps).await;
            let (reason, why) = access.trouble().unwrap();
            assert!(reason == expected.0 && why.contains(expected.1), "{reason:?} {why}");
        }
    }
}
