//! A guest's kubeconfig, which is untrusted input: what it may say is listed here, and anything else is refused.
//!
//! The Secret lies in the control-plane namespace, where more people write than we trust. A kubeconfig can run programs
//! (`exec`, `auth-provider`), read files of this pod and send requests, with our credentials, anywhere.

use http::Uri;
use serde::Deserialize;
use serde_json::{Map, Value};
use thiserror::Error;

use crate::{documents, printable};

/// A kubeconfig larger than this is none.
const MAX_BYTES: usize = 256 * 1024;

const CLUSTER_FIELDS: [&str; 3] = ["server", "certificate-authority-data", "tls-server-name"];
const USER_FIELDS: [&str; 3] = ["client-certificate-data", "client-key-data", "token"];
const CONTEXT_FIELDS: [&str; 3] = ["cluster", "user", "namespace"];
/// Said by whoever wrote it, with no effect on the connection.
const IGNORED_FIELDS: [&str; 1] = ["extensions"];

/// What a kubeconfig comes to.
#[derive(Clone, PartialEq, Eq)]
pub struct GuestAccess {
    /// `https://host:port`.
    pub server: Uri,
    /// The certificate authority, PEM.
    pub authority: Vec<u8>,
    /// The name that the server's certificate has to have; none: the host of `server`.
    pub tls_server_name: Option<String>,
    /// Who we are.
    pub credentials: Credentials,
}

/// How we prove who we are.
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
    /// Never the credentials.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GuestAccess").field("server", &self.server).finish_non_exhaustive()
    }
}

/// Why a kubeconfig is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KubeconfigError {
    /// It is not a kubeconfig at all.
    #[error("not a kubeconfig: {0}")]
    Malformed(String),
    /// A field that may do something else than name a server and credentials.
    #[error("field {0} is not allowed")]
    Forbidden(String),
    /// Something that has to be there is not.
    #[error("field {0} is missing")]
    Missing(String),
    /// A value that is no value for its field.
    #[error("field {field}: {message}")]
    Invalid {
        /// The field.
        field: String,
        /// What is wrong with its value, without the value: it may be a secret.
        message: String,
    },
}

/// A mapping as it stands in the file.
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
    /// Reads a kubeconfig. A host without a dot is a Service in `namespace`, the control plane's.
    ///
    /// # Errors
    /// [`KubeconfigError`]; it names the field.
    pub fn parse(content: &[u8], namespace: &str) -> Result<Self, KubeconfigError> {
        if content.len() > MAX_BYTES {
            return Err(KubeconfigError::Malformed(format!("{} bytes are too many", content.len())));
        }
        let malformed = |error: &dyn std::fmt::Display| KubeconfigError::Malformed(one_line(&error.to_string()));
        let text = std::str::from_utf8(content).map_err(|error| malformed(&error))?;
        documents::check_cost(text).map_err(|error| malformed(&error))?;
        let document: Document = serde_yaml::from_str(text).map_err(|error| malformed(&error))?;
        let (cluster, user) = document.current()?;
        only(cluster, "clusters[].cluster", &CLUSTER_FIELDS)?;
        only(user, "users[].user", &USER_FIELDS)?;
        let server = required(cluster, "clusters[].cluster", "server")?;
        Ok(Self {
            server: server_uri(server, namespace)?,
            authority: pem(cluster, "clusters[].cluster", "certificate-authority-data")?
                .ok_or_else(|| KubeconfigError::Missing("clusters[].cluster.certificate-authority-data".to_owned()))?,
            tls_server_name: optional(cluster, "clusters[].cluster", "tls-server-name")?.map(str::to_owned),
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
                message: "names no context".to_owned(),
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

/// Refuses every field but those; one that is empty or false says nothing.
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

/// The PEM text that a field holds in base64.
fn pem(fields: &Fields, path: &str, name: &str) -> Result<Option<Vec<u8>>, KubeconfigError> {
    let invalid =
        |message: &str| KubeconfigError::Invalid { field: format!("{path}.{name}"), message: message.to_owned() };
    let Some(text) = optional(fields, path, name)? else { return Ok(None) };
    let bytes = base64(text).ok_or_else(|| invalid("is not base64"))?;
    if !bytes.starts_with(b"-----BEGIN ") {
        return Err(invalid("holds no PEM"));
    }
    Ok(Some(bytes))
}

/// The API's own decoder of base64: that of a `Secret`'s values.
fn base64(text: &str) -> Option<Vec<u8>> {
    let plain: String = text.split_whitespace().collect();
    serde_json::from_value::<k8s_openapi::ByteString>(Value::String(plain)).ok().map(|bytes| bytes.0)
}

fn credentials(user: &Fields) -> Result<Credentials, KubeconfigError> {
    let certificate = pem(user, "users[].user", "client-certificate-data")?;
    let key = pem(user, "users[].user", "client-key-data")?;
    let missing = |name: &str| KubeconfigError::Missing(format!("users[].user.{name}"));
    match (certificate, key, optional(user, "users[].user", "token")?) {
        (Some(certificate), Some(key), _) => Ok(Credentials::Certificate { certificate, key }),
        (Some(_), None, _) => Err(missing("client-key-data")),
        (None, None, Some(token)) => Ok(Credentials::Token(token.to_owned())),
        (None, _, _) => Err(missing("client-certificate-data")),
    }
}

/// HyperShift's own clients stand in the control-plane namespace and name the Service alone (`InClusterKASURL`); from
/// elsewhere it is `<service>.<namespace>.svc`, which the server's certificate has, too.
fn server_uri(server: &str, namespace: &str) -> Result<Uri, KubeconfigError> {
    let field = "clusters[].cluster.server";
    let invalid = |message: &str| KubeconfigError::Invalid { field: field.to_owned(), message: message.to_owned() };
    let uri: Uri = server.parse().map_err(|_| invalid("is no URL"))?;
    if uri.scheme_str() != Some("https") {
        return Err(invalid("is not https"));
    }
    let authority = uri.authority().ok_or_else(|| invalid("has no host"))?;
    if authority.as_str().contains('@') {
        return Err(invalid("has credentials in it"));
    }
    if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
        return Err(invalid("has a path"));
    }
    let host = authority.host();
    if host.is_empty() {
        return Err(invalid("has no host"));
    }
    let is_short = !host.contains('.') && !host.contains(':') && host != "localhost";
    let host = if is_short { format!("{host}.{namespace}.svc") } else { host.to_owned() };
    let port = authority.port_u16().map_or_else(String::new, |port| format!(":{port}"));
    format!("https://{host}{port}").parse().map_err(|_| invalid("is no URL"))
}

fn one_line(text: &str) -> String {
    text.chars().take(200).map(|letter| if printable::is_control(letter) { ' ' } else { letter }).collect()
}

#[cfg(test)]
mod tests;
