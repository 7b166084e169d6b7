//! What can go wrong with a registry: what was tried, where, why, and what to do.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use super::address::TrustClass;
use super::name::Repository;
use super::wire::digest::Digest;
use super::wire::location::LocationError;
use super::wire::manifest::ManifestError;

/// What a request is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// `host[:port]` as in references.
    pub registry: String,
    /// Empty for the registry itself.
    pub repository: String,
    /// A tag or digest.
    pub reference: Option<String>,
}

impl Place {
    /// A repository, or a content of it.
    pub fn of(repository: &Repository, reference: Option<String>) -> Self {
        Self { registry: repository.registry.name().to_owned(), repository: repository.path().to_owned(), reference }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.registry)?;
        if !self.repository.is_empty() {
            write!(f, "/{}", self.repository)?;
        }
        match &self.reference {
            Some(digest) if digest.contains(':') => write!(f, "@{digest}"),
            Some(tag) => write!(f, ":{tag}"),
            None => Ok(()),
        }
    }
}

/// A failed call: `failed to VERB PLACE: cause`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to {operation} {place}: {cause}")]
pub struct RegistryError {
    /// What was tried: `read the manifest`, `list the tags of`.
    pub operation: &'static str,
    /// With what.
    pub place: Place,
    /// Why it failed.
    pub cause: Cause,
}

impl RegistryError {
    /// The closed set that conditions and verdicts use.
    pub const fn reason(&self) -> Reason {
        self.cause.reason()
    }
}

/// Who answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Party {
    /// The registry itself.
    Registry,
    /// The host where it redirected to, mostly an object store.
    Storage(String),
    /// The host that gives tokens: what it does not know says nothing about images.
    TokenServer(String),
}

/// An answer that is a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Who answered.
    pub by: Party,
    /// The HTTP status.
    pub status: u16,
    /// The registry's own code, escaped.
    pub code: Option<String>,
    /// The registry's own message, escaped.
    pub message: Option<String>,
    /// What helps.
    pub hint: Option<&'static str>,
    /// When it wants to be asked again.
    pub retry_after: Option<Duration>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.by {
            Party::Registry => {}
            Party::Storage(host) => write!(f, "{host}, where it redirects to, answered ")?,
            Party::TokenServer(host) => write!(f, "the token server {host} answered ")?,
        }
        let name = http::StatusCode::from_u16(self.status).ok().and_then(|status| status.canonical_reason());
        write!(f, "{}", self.status)?;
        if let Some(name) = name {
            write!(f, " {name}")?;
        }
        for text in [&self.code, &self.message].into_iter().flatten() {
            write!(f, ": {text}")?;
        }
        self.hint.map_or(Ok(()), |hint| write!(f, " ({hint})"))
    }
}

/// How a connection failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The name does not resolve.
    Dns,
    /// No connection.
    Connect,
    /// TLS.
    Tls,
    /// The registry, or the network, was silent for too long.
    Timeout,
    /// The connection ended in the middle.
    Interrupted,
    /// The registry asked for fewer requests by ending an HTTP/2 connection.
    TooManyStreams,
}

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// The registry answered, and refused.
    #[error("{0}")]
    Refused(Refusal),
    /// The registry wants to be asked again later than anybody waits.
    #[error("throttled until {until}; use credentials with a higher limit, or try again then")]
    Throttled {
        /// By this machine's clock.
        until: Timestamp,
    },
    /// No answer. Contains the causes, without addresses that have secrets in them.
    #[error("{host}: {message}")]
    Unreachable {
        /// Who was asked.
        host: String,
        /// How it failed.
        failure: Failure,
        /// The causes.
        message: String,
    },
    /// The registry leads to an address in a narrower network.
    #[error(
        "the registry leads to {host}, an address of class {class}, which a registry of class {registry} may not; \
         list the host as trusted if that is right"
    )]
    Address {
        /// Where to.
        host: String,
        /// Its class.
        class: &'static str,
        /// The registry's class.
        registry: &'static str,
    },
    /// A redirect, or the address of a token server, that is not followed.
    #[error("{0}")]
    Location(#[from] LocationError),
    /// A redirect to a redirect, and so on.
    #[error("more than {0} redirects")]
    Redirects(usize),
    /// The challenge has nothing that this client can do.
    #[error("the registry asks for authentication in a way that is not supported: {0}")]
    Challenge(String),
    /// The bytes are others than they are named.
    #[error("the content has the digest {actual}, not {expected}: the registry, or something before it, changed it")]
    Digest {
        /// As asked for, or as its header says.
        expected: Digest,
        /// Of the bytes.
        actual: Digest,
    },
    /// The registry announces another size than the descriptor has.
    #[error("the registry has {actual} bytes of it, and the manifest names {expected}")]
    Size {
        /// Of the descriptor.
        expected: u64,
        /// Of the answer.
        actual: u64,
    },
    /// More bytes than anything of its kind has.
    #[error("the {what} has more than {limit} bytes")]
    TooLarge {
        /// Which body.
        what: &'static str,
        /// Its limit.
        limit: usize,
    },
    /// Not what it should be.
    #[error("{0}")]
    Manifest(#[from] ManifestError),
    /// Not what it should be. Names the part.
    #[error("the answer is not {what}: {message}")]
    Invalid {
        /// What was expected.
        what: &'static str,
        /// Why it is not that.
        message: String,
    },
    /// A tag that the registry keeps for another manifest.
    #[error("the tag is immutable: it names {held}, and {wanted} is to be copied")]
    TagImmutable {
        /// What the tag names.
        held: Digest,
        /// What it should name.
        wanted: Digest,
    },
    /// An index of which only a part is to be written.
    #[error("the destination takes an index only with all its children, and {lacking} are not copied")]
    DemandsChildren {
        /// How many children are left out.
        lacking: usize,
    },
    /// What was written is not there when it is read back.
    #[error("{0}")]
    Unconfirmed(String),
    /// Files of an OCI layout.
    #[error("{message}")]
    Layout {
        /// Whether a file is not there.
        is_missing: bool,
        /// The file, and what is wrong.
        message: String,
    },
    /// Credentials could not be had.
    #[error("{0}")]
    Credentials(String),
}

/// A closed set of reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, schemars::JsonSchema)]
pub enum Reason {
    /// The registry says that it is not there.
    NotFound,
    /// Credentials are missing or wrong.
    Unauthorized,
    /// Credentials do not suffice.
    Forbidden,
    /// Too many requests.
    Throttled,
    /// The registry is broken.
    ServerError,
    /// No connection.
    Unreachable,
    /// No answer in time.
    Timeout,
    /// The registry does not support what was asked.
    Unsupported,
    /// A rule of this client was broken: an address, a redirect, a limit.
    Refused,
    /// The content is damaged or is not what it should be.
    Invalid,
    /// Credentials could not be had.
    CredentialsUnavailable,
}

impl Cause {
    /// The closed set that conditions and verdicts use.
    pub const fn reason(&self) -> Reason {
        match self {
            Self::Refused(refusal) => match refusal.status {
                404 | 410 if matches!(refusal.by, Party::TokenServer(_)) => Reason::CredentialsUnavailable,
                404 | 410 => Reason::NotFound,
                401 => Reason::Unauthorized,
                403 => Reason::Forbidden,
                429 => Reason::Throttled,
                408 | 504 => Reason::Timeout,
                405 | 415 | 501 => Reason::Unsupported,
                500.. => Reason::ServerError,
                _ => Reason::Invalid,
            },
            Self::Throttled { .. } | Self::Unreachable { failure: Failure::TooManyStreams, .. } => Reason::Throttled,
            Self::Unreachable { failure: Failure::Timeout, .. } => Reason::Timeout,
            Self::Unreachable { .. } => Reason::Unreachable,
            Self::Address { .. }
            | Self::Location(_)
            | Self::Redirects(_)
            | Self::TooLarge { .. }
            | Self::TagImmutable { .. }
            | Self::DemandsChildren { .. } => Reason::Refused,
            Self::Layout { is_missing: true, .. } => Reason::NotFound,
            Self::Challenge(_) => Reason::Unauthorized,
            Self::Unconfirmed(_)
            | Self::Layout { .. }
            | Self::Digest { .. }
            | Self::Size { .. }
            | Self::Manifest(_)
            | Self::Invalid { .. } => Reason::Invalid,
            Self::Credentials(_) => Reason::CredentialsUnavailable,
        }
    }

    /// Whether the same request may be answered better a moment later.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Refused(refusal) => matches!(refusal.status, 408 | 429 | 500 | 502 | 503 | 504),
            // Not TLS: a certificate does not change in seconds.
            Self::Unreachable { failure, .. } => !matches!(failure, Failure::Tls),
            _ => false,
        }
    }

    /// Whether the registry asks for fewer requests.
    pub const fn is_throttling(&self) -> bool {
        matches!(self.reason(), Reason::Throttled)
    }

    /// Of an address that is refused.
    pub(super) fn address(host: impl Into<String>, class: TrustClass, registry: TrustClass) -> Self {
        Self::Address { host: host.into(), class: class.name(), registry: registry.name() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::RegistryAddress;

    #[test]
    fn an_error_names_what_where_why_and_what_helps() {
        let repository = Repository::new(RegistryAddress::parse("docker.io").unwrap(), "a/b").unwrap();
        let refusal = Refusal {
            by: Party::Registry,
            status: 429,
            code: Some("TOOMANYREQUESTS".to_owned()),
            message: Some("slow down".to_owned()),
            hint: Some("give credentials"),
            retry_after: None,
        };
        let error = RegistryError {
            operation: "read the manifest",
            place: Place::of(&repository, Some("v1".to_owned())),
            cause: Cause::Refused(refusal),
        };
        assert_eq!(
            error.to_string(),
            "failed to read the manifest docker.io/a/b:v1: 429 Too Many Requests: TOOMANYREQUESTS: slow down (give credentials)"
        );
        assert!(error.cause.is_retryable() && error.cause.is_throttling());
        let of_digest = Place::of(&repository, Some("sha256:00".to_owned()));
        assert_eq!(of_digest.to_string(), "docker.io/a/b@sha256:00");
    }

    #[test]
    fn b03_what_a_token_server_does_not_know_is_no_missing_image() {
        let refusal = |by| Refusal { by, status: 404, code: None, message: None, hint: None, retry_after: None };
        assert_eq!(Cause::Refused(refusal(Party::Registry)).reason(), Reason::NotFound);
        let by_token_server = Cause::Refused(refusal(Party::TokenServer("auth.example".to_owned())));
        assert_eq!(by_token_server.reason(), Reason::CredentialsUnavailable);
        assert_eq!(by_token_server.to_string(), "the token server auth.example answered 404 Not Found");
    }

    #[test]
    fn only_what_may_change_is_tried_again() {
        let status = |status| {
            let refusal =
                Refusal { by: Party::Registry, status, code: None, message: None, hint: None, retry_after: None };
            Cause::Refused(refusal).is_retryable()
        };
        let retried: Vec<u16> = (400..600).filter(|code| status(*code)).collect();
        assert_eq!(retried, [408, 429, 500, 502, 503, 504]);
        let failure =
            |failure| Cause::Unreachable { host: String::new(), failure, message: String::new() }.is_retryable();
        assert!(failure(Failure::Interrupted) && failure(Failure::Connect) && failure(Failure::Timeout));
        assert!(!failure(Failure::Tls));
    }
}
