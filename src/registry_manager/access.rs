//! Reads the Secrets that an object names: one GET for each name at each job, so that a rotated Secret works at once.

use hypermirror_api::registry::CredentialsSecret;
use hypermirror_api::{RegistryReason, RegistrySpec};
use k8s_openapi::api::core::v1::{Secret as KubeSecret, ServiceAccount};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;

use super::secrets::{self, Certificates, Found};
use super::status::ScanFailure;
use crate::client::cause::Cause;
use crate::client::deadline::answered;
use crate::registry::address::TrustClass;
use crate::registry::auth::keychain::Keychain;
use crate::registry::proxy::Proxies;

/// Secrets of one ServiceAccount that are read.
const MAX_PULL_SECRETS: usize = 10;
/// The longest name of an object.
const MAX_NAME: usize = 253;

/// The Secrets that an object names.
#[derive(Clone, Copy, Debug, Default)]
pub struct References<'a> {
    /// Credentials.
    pub credentials: Option<&'a CredentialsSecret>,
    /// A `ServiceAccount` whose pull secrets are used.
    pub service_account: Option<&'a str>,
    /// Certificates.
    pub certificates: Option<&'a str>,
    /// A proxy.
    pub proxy: Option<&'a str>,
}

impl<'a> From<&'a RegistrySpec> for References<'a> {
    fn from(spec: &'a RegistrySpec) -> Self {
        Self {
            credentials: spec.credentials_secret.as_ref(),
            service_account: spec.service_account_name.as_deref(),
            certificates: spec.cert_secret_ref.as_ref().map(|reference| reference.name.as_str()),
            proxy: spec.proxy_secret_ref.as_ref().map(|reference| reference.name.as_str()),
        }
    }
}

/// What an object's Secrets say.
#[derive(Default)]
pub struct Access {
    /// Credentials.
    pub keychain: Keychain,
    /// Certificates.
    pub certificates: Certificates,
    /// A proxy of its own.
    pub proxies: Option<Proxies>,
}

impl Access {
    /// Reads the Secrets, all of them in the namespace of its object.
    ///
    /// # Errors
    /// One is missing, invalid, or must not be read.
    pub async fn read(
        client: &Client,
        namespace: &str,
        named: References<'_>,
        narrowest: TrustClass,
    ) -> Result<Self, ScanFailure> {
        let all: Api<KubeSecret> = Api::namespaced(client.clone(), namespace);
        let mut access = Self::default();
        if let Some(reference) = named.credentials {
            let of_field = |failure: ScanFailure| failure.of("credentialsSecret");
            let secret = get(&all, &reference.name).await.map_err(of_field)?;
            match secrets::credentials(reference, &secret).map_err(of_field)? {
                Found::One(credential) => access.keychain.explicit = Some(credential),
                Found::File(file) => access.keychain.files.push(file),
            }
        }
        if let Some(account) = named.service_account {
            let added = access.add_pull_secrets(client, &all, namespace, account).await;
            added.map_err(|failure| failure.of("serviceAccountName"))?;
        }
        if let Some(name) = named.certificates {
            let of_field = |failure: ScanFailure| failure.of("certSecretRef");
            let secret = get(&all, name).await.map_err(of_field)?;
            access.certificates = secrets::certificates(name, &secret).map_err(of_field)?;
        }
        if let Some(name) = named.proxy {
            let of_field = |failure: ScanFailure| failure.of("proxySecretRef");
            let secret = get(&all, name).await.map_err(of_field)?;
            access.proxies = Some(secrets::proxy(name, &secret, narrowest).map_err(of_field)?);
        }
        Ok(access)
    }

    async fn add_pull_secrets(
        &mut self,
        client: &Client,
        all: &Api<KubeSecret>,
        namespace: &str,
        account: &str,
    ) -> Result<(), ScanFailure> {
        let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
        let account = get(&accounts, account).await?;
        for reference in account.image_pull_secrets.unwrap_or_default().into_iter().take(MAX_PULL_SECRETS) {
            match get(all, &reference.name).await {
                Ok(secret) => self.keychain.files.extend(secrets::docker(&reference.name, &secret)?),
                // The kubelet ignores those that do not exist, too.
                Err(failure) if failure.reason == RegistryReason::SecretMissing => {}
                Err(failure) => return Err(failure),
            }
        }
        Ok(())
    }
}

/// An object by its name.
///
/// # Errors
/// It is missing, or must not be read.
pub(super) async fn get<K>(api: &Api<K>, name: &str) -> Result<K, ScanFailure>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
{
    let what = format!("{} {name}", K::kind(&()));
    // The name becomes a part of a path: `../` would lead to another namespace.
    if !is_object_name(name) {
        return Err(ScanFailure::new(RegistryReason::InvalidSpec, format!("{name:?} is no name of an object")));
    }
    match answered(api.get(name)).await {
        Ok(found) => Ok(found),
        Err(kube::Error::Api(status)) if status.code == 404 => {
            Err(ScanFailure::new(RegistryReason::SecretMissing, format!("{what} does not exist in this namespace")))
        }
        Err(kube::Error::Api(status)) if status.code == 403 => {
            let message = format!("the registry-manager may not read {what}: bind its ClusterRole in this namespace");
            Err(ScanFailure::new(RegistryReason::SecretForbidden, message))
        }
        Err(error) => {
            let message = format!("failed to read {what}: {}", Cause(&error));
            Err(ScanFailure::new(RegistryReason::SecretUnreadable, message))
        }
    }
}

/// Whether a text is a DNS subdomain, as the name of each Secret and `ServiceAccount` is.
fn is_object_name(name: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_label = |label: &str| {
        let bytes = label.as_bytes();
        let ends = [bytes.first(), bytes.last()];
        ends.iter().all(|end| end.is_some_and(|byte| is_inner(*byte)))
            && bytes.iter().all(|byte| is_inner(*byte) || *byte == b'-')
    };
    name.len() <= MAX_NAME && name.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use http::Method;
    use serde_json::json;

    use super::*;
    use crate::client::testing::{ApiServer, Step};

    #[test]
    fn names_that_would_lead_elsewhere_are_none() {
        for name in ["a", "registry-creds", "a.b-c.1"] {
            assert!(is_object_name(name), "{name}");
        }
        let long = "a".repeat(MAX_NAME + 1);
        for name in ["", ".", "..", "../../b/secrets/x", "a/b", "a?watch=true", "a%2fb", "-a", "a-", "a..b", "A", &long]
        {
            assert!(!is_object_name(name), "{name}");
        }
    }

    fn spec() -> RegistrySpec {
        let spec = json!({"url": "https://r", "repository": "a", "credentialsSecret": {"name": "one"}, "serviceAccountName": "sa"});
        serde_json::from_value(spec).unwrap()
    }

    const ONE: &str = "/api/v1/namespaces/ns/secrets/one";
    const ACCOUNT: &str = "/api/v1/namespaces/ns/serviceaccounts/sa";

    fn secret(kind: &str, data: &serde_json::Value) -> serde_json::Value {
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"}, "type": kind, "data": data})
    }

    #[tokio::test(start_paused = true)]
    async fn each_secret_is_one_get_of_its_name() {
        let account = json!({
            "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "sa"},
            "imagePullSecrets": [{"name": "gone"}, {"name": "pull"}],
        });
        let config = json!({".dockerconfigjson": "eyJhdXRocyI6IHt9fQ=="});
        let (client, server) = ApiServer::new([
            Step::new(Method::GET, ONE, 200, &secret("Opaque", &json!({"username": "dQ==", "password": "cA=="}))),
            Step::new(Method::GET, ACCOUNT, 200, &account),
            Step::refused(Method::GET, "/api/v1/namespaces/ns/secrets/gone", 404),
            Step::new(
                Method::GET,
                "/api/v1/namespaces/ns/secrets/pull",
                200,
                &secret("kubernetes.io/dockerconfigjson", &config),
            ),
        ]);
        let access = Access::read(&client, "ns", (&spec()).into(), TrustClass::Private).await.unwrap();
        assert!(access.keychain.explicit.is_some() && access.keychain.files.len() == 1 && access.proxies.is_none());
        server.end().await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_read_has_a_reason() {
        for (code, reason) in [
            (404, RegistryReason::SecretMissing),
            (403, RegistryReason::SecretForbidden),
            (500, RegistryReason::SecretUnreadable),
        ] {
            let (client, server) = ApiServer::new([Step::refused(Method::GET, ONE, code)]);
            let failure = Access::read(&client, "ns", (&spec()).into(), TrustClass::Private).await.err().unwrap();
            assert_eq!(failure.reason, reason);
            assert!(failure.message.starts_with("credentialsSecret: "), "{}", failure.message);
            server.end().await;
        }
    }
}
