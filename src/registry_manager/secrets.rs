//! What Secrets mean for a scan. Pure. No message contains a value.

use hypermirror_api::RegistryReason;
use hypermirror_api::registry::CredentialsSecret;
use k8s_openapi::api::core::v1::Secret as KubeSecret;
use url::Url;

use super::status::ScanFailure;
use crate::registry::Credential;
use crate::registry::address::TrustClass;
use crate::registry::credentials::auth_file::AuthFile;
use crate::registry::proxy::Proxies;

/// Types of Secrets with a docker configuration, and the key of each.
const DOCKER: [(&str, &str); 2] =
    [("kubernetes.io/dockerconfigjson", ".dockerconfigjson"), ("kubernetes.io/dockercfg", ".dockercfg")];
/// Other types that a Registry may name. Whoever may create a Registry chooses where its credentials are sent: a token of a
/// ServiceAccount or the key of a server must not be among them.
const CREDENTIALS: [&str; 2] = ["Opaque", "kubernetes.io/basic-auth"];
const CERTIFICATES: [&str; 2] = ["Opaque", "kubernetes.io/tls"];

/// Credentials in a Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// For the registry that the object names.
    One(Credential),
    /// For the registries that it names itself.
    File(AuthFile),
}

/// Certificates in a Secret, as PEM.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Certificates {
    /// Authorities.
    pub authorities: Option<Vec<u8>>,
    /// A client certificate and its key.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
}

fn invalid(name: &str, message: impl std::fmt::Display) -> ScanFailure {
    ScanFailure::new(RegistryReason::SecretInvalid, format!("Secret {name}: {message}"))
}

fn has_type(name: &str, secret: &KubeSecret, allowed: &[&str]) -> Result<(), ScanFailure> {
    let own = secret.type_.as_deref().unwrap_or("Opaque");
    if allowed.contains(&own) {
        return Ok(());
    }
    Err(invalid(name, format!("its type is {own:?}; allowed here: {}", allowed.join(", "))))
}

fn bytes<'a>(secret: &'a KubeSecret, key: &str) -> Option<&'a [u8]> {
    secret.data.as_ref()?.get(key).map(|value| value.0.as_slice()).filter(|value| !value.is_empty())
}

/// A text without the line feed that editors put at its end.
fn text<'a>(name: &str, secret: &'a KubeSecret, key: &str) -> Result<Option<&'a str>, ScanFailure> {
    let Some(bytes) = bytes(secret, key) else { return Ok(None) };
    let text = std::str::from_utf8(bytes).map_err(|_| invalid(name, format!("the key {key:?} is not UTF-8")))?;
    Ok(Some(text.trim_end_matches(['\r', '\n'])).filter(|text| !text.is_empty()))
}

/// The credentials of the Secret that a Registry names.
///
/// # Errors
/// [`RegistryReason::SecretInvalid`].
pub fn credentials(reference: &CredentialsSecret, secret: &KubeSecret) -> Result<Found, ScanFailure> {
    let name = &reference.name;
    if let Some(file) = docker(name, secret)? {
        return Ok(Found::File(file));
    }
    has_type(name, secret, &CREDENTIALS)?;
    let one = |key: &str| {
        let found = text(name, secret, key)?;
        found.ok_or_else(|| invalid(name, format!("it has no key {key:?}, or the key is empty")))
    };
    Ok(Found::One(Credential::basic(one(&reference.username_key)?, one(&reference.password_key)?)))
}

/// The docker configuration of a Secret, if it has one.
///
/// # Errors
/// [`RegistryReason::SecretInvalid`].
pub fn docker(name: &str, secret: &KubeSecret) -> Result<Option<AuthFile>, ScanFailure> {
    let own = secret.type_.as_deref().unwrap_or("Opaque");
    let of_type = DOCKER.iter().find(|(kind, _)| *kind == own);
    // kubectl's --from-file gives the type Opaque.
    let by_key = DOCKER.iter().find(|(_, key)| own == "Opaque" && bytes(secret, key).is_some());
    let Some((_, key)) = of_type.or(by_key) else { return Ok(None) };
    let content = bytes(secret, key).ok_or_else(|| invalid(name, format!("it has no key {key:?}")))?;
    AuthFile::parse(content).map(Some).map_err(|error| invalid(name, format!("{key}: {error}")))
}

/// The certificates of a Secret.
///
/// # Errors
/// [`RegistryReason::SecretInvalid`], also if it has none.
pub fn certificates(name: &str, secret: &KubeSecret) -> Result<Certificates, ScanFailure> {
    has_type(name, secret, &CERTIFICATES)?;
    let get = |key: &str| bytes(secret, key).map(<[u8]>::to_vec);
    let identity = match (get("tls.crt"), get("tls.key")) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        _ => return Err(invalid(name, "it has one of tls.crt and tls.key, but not both")),
    };
    let found = Certificates { authorities: get("ca.crt"), identity };
    if found == Certificates::default() {
        return Err(invalid(name, "it has neither ca.crt nor tls.crt and tls.key"));
    }
    Ok(found)
}

/// The proxy of a Secret, which may be in no narrower network than a registry.
///
/// # Errors
/// [`RegistryReason::SecretInvalid`].
pub fn proxy(name: &str, secret: &KubeSecret, narrowest: TrustClass) -> Result<Proxies, ScanFailure> {
    has_type(name, secret, &CREDENTIALS)?;
    let address = text(name, secret, "address")?.ok_or_else(|| invalid(name, "it has no key \"address\""))?;
    let wrong = || invalid(name, "its address is not http://HOST:PORT or https://HOST:PORT");
    let mut url = Url::parse(address).map_err(|_| wrong())?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(wrong());
    }
    if let Some(class) = TrustClass::of_literal(&url).filter(|class| !narrowest.may_lead_to(*class)) {
        return Err(invalid(name, format!("its address is one of class {}, which is not allowed", class.name())));
    }
    if let Some(username) = text(name, secret, "username")? {
        url.set_username(username).map_err(|()| wrong())?;
        url.set_password(text(name, secret, "password")?).map_err(|()| wrong())?;
    }
    let exceptions = text(name, secret, "noProxy")?.unwrap_or_default();
    Proxies::one(url.as_str(), exceptions).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use k8s_openapi::ByteString;

    use super::*;
    use crate::registry::{RegistryAddress, Repository};

    fn secret(kind: &str, data: &[(&str, &str)]) -> KubeSecret {
        let data: BTreeMap<String, ByteString> =
            data.iter().map(|(key, value)| ((*key).to_owned(), ByteString(value.as_bytes().to_vec()))).collect();
        KubeSecret { type_: Some(kind.to_owned()), data: Some(data), ..KubeSecret::default() }
    }

    fn reference() -> CredentialsSecret {
        let key = |text: &str| text.to_owned();
        CredentialsSecret { name: key("creds"), username_key: key("username"), password_key: key("password") }
    }

    #[test]
    fn a_user_and_password_are_read_from_the_named_keys() {
        let of = |kind, data: &[(&str, &str)]| credentials(&reference(), &secret(kind, data));
        let both = [("username", "u"), ("password", "canary\n"), ("user", "v"), ("pass", "w")];
        for kind in CREDENTIALS {
            assert_eq!(of(kind, &both).unwrap(), Found::One(Credential::basic("u", "canary")));
        }
        let other =
            CredentialsSecret { username_key: "user".to_owned(), password_key: "pass".to_owned(), ..reference() };
        assert_eq!(credentials(&other, &secret("Opaque", &both)).unwrap(), Found::One(Credential::basic("v", "w")));
        let error = of("Opaque", &[("password", "canary")]).unwrap_err();
        assert_eq!(error.message, "Secret creds: it has no key \"username\", or the key is empty");
        assert!(of("Opaque", &[("username", "u"), ("password", "\n")]).is_err());
    }

    #[test]
    fn tokens_and_keys_of_others_are_never_credentials() {
        for kind in [
            "kubernetes.io/service-account-token",
            "kubernetes.io/tls",
            "bootstrap.kubernetes.io/token",
            "helm.sh/release.v1",
        ] {
            let error =
                credentials(&reference(), &secret(kind, &[("username", "u"), ("password", "canary")])).unwrap_err();
            assert!(error.message.contains(kind) && !error.message.contains("canary"), "{error:?}");
            assert!(proxy("p", &secret(kind, &[("address", "http://p:1")]), TrustClass::Private).is_err());
        }
    }

    #[test]
    fn a_docker_configuration_is_found_by_type_or_key() {
        let json = r#"{"auths": {"r.example": {"auth": "dTpw"}}}"#;
        let repository = Repository::new(RegistryAddress::parse("r.example").unwrap(), "a").unwrap();
        for kind in ["kubernetes.io/dockerconfigjson", "Opaque"] {
            let Found::File(file) = credentials(&reference(), &secret(kind, &[(".dockerconfigjson", json)])).unwrap()
            else {
                panic!("{kind}")
            };
            assert_eq!(file.find(&repository), Some(&Credential::basic("u", "p")));
        }
        let broken = credentials(&reference(), &secret(DOCKER[0].0, &[(".dockerconfigjson", "canary")])).unwrap_err();
        assert!(broken.message.starts_with("Secret creds: .dockerconfigjson: ") && !broken.message.contains("canary"));
        assert!(credentials(&reference(), &secret(DOCKER[0].0, &[])).is_err());
    }

    #[test]
    fn certificates_are_authorities_a_pair_or_both() {
        let of = |data: &[(&str, &str)]| certificates("c", &secret("kubernetes.io/tls", data));
        assert!(of(&[("ca.crt", "a")]).unwrap().identity.is_none());
        assert!(of(&[("tls.crt", "a"), ("tls.key", "b")]).unwrap().identity.is_some());
        for data in [&[][..], &[("tls.crt", "a")], &[("ca.crt", "a"), ("tls.key", "canary")]] {
            assert!(!of(data).err().unwrap().message.contains("canary"));
        }
    }

    #[test]
    fn a_proxy_is_where_registries_may_be_and_its_password_in_no_message() {
        let of = |address: &str| {
            let data = [("address", address), ("username", "u"), ("password", "canary"), ("noProxy", ".svc")];
            proxy("p", &secret("Opaque", &data), TrustClass::Private)
        };
        let found = of("http://10.0.0.1:3128").unwrap();
        let url = found.of(&Url::parse("https://r.example").unwrap()).unwrap();
        assert_eq!((url.host_str(), url.username(), url.password()), (Some("10.0.0.1"), "u", Some("canary")));
        assert!(found.of(&Url::parse("https://a.svc").unwrap()).is_none());
        for address in ["http://169.254.169.254", "http://127.0.0.1:1", "socks5://p:1", "p", "http://"] {
            assert!(!of(address).unwrap_err().message.contains("canary"), "{address}");
        }
    }
}
