//! Parses the kubeconfig of a guest cluster, which is untrusted input. All fields that are not listed here are rejected.
//!
//! The Secret is in the control-plane namespace, where untrusted users may have write access. A kubeconfig could run programs
//! (`exec`, `auth-provider`), read files of the manager's pod, and send requests with its credentials to any host.

use http::{HeaderValue, Uri};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde::Deserialize;
use serde_json::{Map, Value};
use thiserror::Error;

use crate::{documents, printable};

/// Maximum size. Real kubeconfigs have a few kilobytes.
const MAX_BYTES: usize = 256 * 1024;

const CLUSTER_FIELDS: [&str; 3] = ["server", "certificate-authority-data", "tls-server-name"];
const USER_FIELDS: [&str; 3] = ["client-certificate-data", "client-key-data", "token"];
const CONTEXT_FIELDS: [&str; 3] = ["cluster", "user", "namespace"];
/// Fields that are allowed and ignored, because they have no effect on the connection.
const IGNORED_FIELDS: [&str; 1] = ["extensions"];

const CLUSTER: &str = "clusters[].cluster";
const USER: &str = "users[].user";

/// The content of a kubeconfig.
#[derive(Clone, PartialEq, Eq)]
pub struct GuestAccess {
    /// `https://host:port`.
    pub server: Uri,
    /// The certificate authority, PEM.
    pub authority: Vec<u8>,
    /// The name that the server's certificate must have. The default is the host of `server`.
    pub tls_server_name: Option<String>,
    /// The credentials of the client.
    pub credentials: Credentials,
}

/// The credentials of the client.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A client certificate and its key, both PEM.
    Certificate {
        /// The certificate, with its chain.
        certificate: Vec<u8>,
        /// The key.
        key: Vec<u8>,
    },
    /// A bearer token.
    Token(String),
}

impl std::fmt::Debug for GuestAccess {
    /// Does not print the credentials.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GuestAccess").field("server", &self.server).finish_non_exhaustive()
    }
}

/// Why a kubeconfig is rejected.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KubeconfigError {
    /// The text is not a kubeconfig.
    #[error("not a kubeconfig: {0}")]
    Malformed(String),
    /// A field that is not on the list of allowed fields.
    #[error("field {0} is not allowed")]
    Forbidden(String),
    /// A required field is missing.
    #[error("field {0} is missing")]
    Missing(String),
    /// The value of a field is invalid.
    #[error("field {field}: {message}")]
    Invalid {
        /// The field.
        field: String,
        /// The error, without the value, which may be secret.
        message: String,
    },
}

/// A mapping of the file.
type Fields = Map<String, Value>;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Document {
    #[serde(default)]
    current_context: String,
    #[serde(default)]
    clusters: Vec<NamedCluster>,
    #[serde(default)]
    users: Vec<NamedUser>,
    #[serde(default)]
    contexts: Vec<NamedContext>,
}

#[derive(Deserialize)]
struct NamedCluster {
    name: String,
    #[serde(default)]
    cluster: Fields,
}

#[derive(Deserialize)]
struct NamedUser {
    name: String,
    #[serde(default)]
    user: Fields,
}

#[derive(Deserialize)]
struct NamedContext {
    name: String,
    #[serde(default)]
    context: Fields,
}

impl GuestAccess {
    /// Parses a kubeconfig. A host without a dot is a Service in `namespace`, the control-plane namespace.
    ///
    /// # Errors
    /// [`KubeconfigError`], which names the field.
    pub fn parse(content: &[u8], namespace: &str) -> Result<Self, KubeconfigError> {
        if content.len() > MAX_BYTES {
            return Err(KubeconfigError::Malformed(format!("{} bytes exceed the size limit", content.len())));
        }
        let malformed = |error: &dyn std::fmt::Display| KubeconfigError::Malformed(one_line(&error.to_string()));
        let text = std::str::from_utf8(content).map_err(|error| malformed(&error))?;
        documents::check_cost(text).map_err(|error| malformed(&error))?;
        let document: Document = serde_yaml::from_str(text).map_err(|error| undecodable(&error))?;
        let (cluster, user) = document.current()?;
        only(cluster, CLUSTER, &CLUSTER_FIELDS)?;
        only(user, USER, &USER_FIELDS)?;
        let server = required(cluster, CLUSTER, "server")?;
        Ok(Self {
            server: server_uri(server, namespace)?,
            authority: authority(cluster)?,
            tls_server_name: tls_server_name(cluster)?,
            credentials: credentials(user)?,
        })
    }
}

impl Document {
    /// The cluster and the user of the current context, or the only ones.
    fn current(&self) -> Result<(&Fields, &Fields), KubeconfigError> {
        let context = self.contexts.iter().find(|context| context.name == self.current_context);
        let Some(context) = context else {
            return Err(KubeconfigError::Invalid {
                field: "current-context".to_owned(),
                message: "does not match a context".to_owned(),
            });
        };
        only(&context.context, "contexts[].context", &CONTEXT_FIELDS)?;
        let cluster = required(&context.context, "contexts[].context", "cluster")?;
        let user = required(&context.context, "contexts[].context", "user")?;
        let cluster = self.clusters.iter().find(|named| named.name == cluster).map(|named| &named.cluster);
        let user = self.users.iter().find(|named| named.name == user).map(|named| &named.user);
        let missing = |field: &str| KubeconfigError::Missing(field.to_owned());
        Ok((cluster.ok_or_else(|| missing("clusters[]"))?, user.ok_or_else(|| missing("users[]"))?))
    }
}

/// Rejects all fields that are not in the list, except empty ones and `false`.
fn only(fields: &Fields, path: &str, allowed: &[&str]) -> Result<(), KubeconfigError> {
    let says_nothing = |value: &Value| match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    };
    let known = |name: &str| allowed.contains(&name) || IGNORED_FIELDS.contains(&name);
    let mut refused = fields.iter().filter(|(name, value)| !known(name) && !says_nothing(value));
    match refused.next() {
        Some((name, _)) => Err(KubeconfigError::Forbidden(format!("{path}.{}", one_line(name)))),
        None => Ok(()),
    }
}

fn optional<'m>(fields: &'m Fields, path: &str, name: &str) -> Result<Option<&'m str>, KubeconfigError> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => {
            Err(KubeconfigError::Invalid { field: format!("{path}.{name}"), message: "is not a string".to_owned() })
        }
    }
}

fn required<'m>(fields: &'m Fields, path: &str, name: &str) -> Result<&'m str, KubeconfigError> {
    optional(fields, path, name)?.ok_or_else(|| KubeconfigError::Missing(format!("{path}.{name}")))
}

fn invalid(path: &str, name: &str, message: impl Into<String>) -> KubeconfigError {
    KubeconfigError::Invalid { field: format!("{path}.{name}"), message: message.into() }
}

/// The PEM text of a base64 field.
fn pem(fields: &Fields, path: &str, name: &str) -> Result<Option<Vec<u8>>, KubeconfigError> {
    let Some(text) = optional(fields, path, name)? else { return Ok(None) };
    let bytes = base64(text).ok_or_else(|| invalid(path, name, "is not base64"))?;
    if !bytes.trim_ascii_start().starts_with(b"-----BEGIN ") {
        return Err(invalid(path, name, "has no PEM data"));
    }
    Ok(Some(bytes))
}

/// The certificates of a PEM text, in order.
fn certificates(text: &[u8], path: &str, name: &str) -> Result<Vec<CertificateDer<'static>>, KubeconfigError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    match found {
        Ok(found) if found.is_empty() => Err(invalid(path, name, "has no certificate")),
        Ok(found) => Ok(found),
        Err(_) => Err(invalid(path, name, "has invalid PEM data")),
    }
}

fn authority(cluster: &Fields) -> Result<Vec<u8>, KubeconfigError> {
    let name = "certificate-authority-data";
    let text = pem(cluster, CLUSTER, name)?.ok_or_else(|| KubeconfigError::Missing(format!("{CLUSTER}.{name}")))?;
    let mut roots = rustls::RootCertStore::empty();
    for (place, certificate) in certificates(&text, CLUSTER, name)?.into_iter().enumerate() {
        let message = || format!("certificate {} is invalid", place + 1);
        roots.add(certificate).map_err(|_| invalid(CLUSTER, name, message()))?;
    }
    Ok(text)
}

fn tls_server_name(cluster: &Fields) -> Result<Option<String>, KubeconfigError> {
    let Some(name) = optional(cluster, CLUSTER, "tls-server-name")? else { return Ok(None) };
    match ServerName::try_from(name) {
        Ok(_) => Ok(Some(name.to_owned())),
        Err(_) => Err(invalid(CLUSTER, "tls-server-name", "is neither a DNS name nor an IP address")),
    }
}

/// Decodes base64 like the values of a Secret.
fn base64(text: &str) -> Option<Vec<u8>> {
    let plain: String = text.split_whitespace().collect();
    serde_json::from_value::<k8s_openapi::ByteString>(Value::String(plain)).ok().map(|bytes| bytes.0)
}

fn credentials(user: &Fields) -> Result<Credentials, KubeconfigError> {
    let (certificate, key) = ("client-certificate-data", "client-key-data");
    let missing = |name: &str| KubeconfigError::Missing(format!("{USER}.{name}"));
    match (pem(user, USER, certificate)?, pem(user, USER, key)?, optional(user, USER, "token")?) {
        (Some(chain), Some(private), _) => {
            expect_pair(&chain, &private)?;
            Ok(Credentials::Certificate { certificate: chain, key: private })
        }
        (Some(_), None, _) => Err(missing(key)),
        (None, None, Some(token)) => {
            expect_header_value(token)?;
            Ok(Credentials::Token(token.to_owned()))
        }
        (None, _, _) => Err(missing(certificate)),
    }
}

/// Validates the client certificate and its key. Otherwise the first connection would fail without naming the field.
fn expect_pair(certificate: &[u8], key: &[u8]) -> Result<(), KubeconfigError> {
    let (of_certificate, of_key) = ("client-certificate-data", "client-key-data");
    let chain = certificates(certificate, USER, of_certificate)?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| invalid(USER, of_key, "has no private key"))?;
    let provider = rustls::crypto::ring::default_provider();
    match rustls::sign::CertifiedKey::from_der(chain, key, &provider) {
        Ok(_) => Ok(()),
        Err(rustls::Error::InconsistentKeys(_)) => {
            Err(invalid(USER, of_key, format!("does not match {of_certificate}")))
        }
        Err(rustls::Error::InvalidCertificate(_)) => Err(invalid(USER, of_certificate, "is invalid")),
        Err(_) => Err(invalid(USER, of_key, "has an unsupported type")),
    }
}

/// Validates a token, because it becomes the value of an HTTP header.
fn expect_header_value(token: &str) -> Result<(), KubeconfigError> {
    let message = if token.trim_ascii() != token {
        "starts or ends with white space; remove it (editors add a line feed at the end of a file)"
    } else if HeaderValue::from_str(token).is_err() || !token.is_ascii() {
        "has a character that is not allowed in an HTTP header, such as a line feed"
    } else {
        return Ok(());
    };
    Err(invalid(USER, "token", message))
}

/// The URL of the API server. HyperShift's own clients run in the control-plane namespace and use only the Service's name
/// (`InClusterKASURL`). Other namespaces need `<service>.<namespace>.svc`, which is also in the server's certificate.
fn server_uri(server: &str, namespace: &str) -> Result<Uri, KubeconfigError> {
    let field = "clusters[].cluster.server";
    let invalid = |message: &str| KubeconfigError::Invalid { field: field.to_owned(), message: message.to_owned() };
    let uri: Uri = server.parse().map_err(|_| invalid("is not a valid URL"))?;
    if uri.scheme_str() != Some("https") {
        return Err(invalid("is not https"));
    }
    let authority = uri.authority().ok_or_else(|| invalid("has no host"))?;
    if authority.as_str().contains('@') {
        return Err(invalid("contains credentials, which are not allowed"));
    }
    if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
        return Err(invalid("has a path, which is not allowed"));
    }
    let host = authority.host();
    if ServerName::try_from(host.trim_start_matches('[').trim_end_matches(']')).is_err() {
        return Err(invalid("has a host that is neither a DNS name nor an IP address"));
    }
    // An invalid port would otherwise be treated as absent, and the default 443 would apply.
    let port = authority.as_str().strip_prefix(host).unwrap_or_default();
    if !port.is_empty() && authority.port_u16().is_none_or(|port| port == 0) {
        return Err(invalid("has a port that is not a number from 1 to 65535"));
    }
    let is_short = !host.contains('.') && !host.contains(':') && host != "localhost";
    let host = if is_short { format!("{host}.{namespace}.svc") } else { host.to_owned() };
    format!("https://{host}{port}").parse().map_err(|_| invalid("is not a valid URL"))
}

/// The position of a syntax error, without the text, which may be secret.
fn undecodable(error: &serde_yaml::Error) -> KubeconfigError {
    let place = error.location();
    let place = place.map(|place| format!(" at line {} column {}", place.line(), place.column())).unwrap_or_default();
    KubeconfigError::Malformed(format!("invalid YAML{place}"))
}

fn one_line(text: &str) -> String {
    text.chars().take(200).map(|letter| if printable::is_control(letter) { ' ' } else { letter }).collect()
}

#[cfg(test)]
mod tests;
