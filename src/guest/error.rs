//! Errors of calls to guest clusters. Their messages are untrusted and are truncated before they reach a status.

use std::error::Error as StdError;

use hypermirror_api::Reason;
use thiserror::Error;

use crate::client::cause::chain;
use crate::printable;

/// Maximum number of characters of a guest cluster's message, so that it fits into a condition.
const MAX_WORDS: usize = 512;

/// One failed call.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum GuestError {
    /// No connection, no response in time, or a response that asks to try again later.
    #[error("{what}: {message}")]
    Down {
        /// The call.
        what: String,
        /// The cause.
        message: String,
    },
    /// The server's certificate is not signed by the certificate authority in the kubeconfig.
    #[error("the certificate of the API server is not signed by the certificate authority in the kubeconfig: {0}")]
    Authority(String),
    /// The API server rejects the credentials.
    #[error("the API server rejects the credentials in the kubeconfig: {0}")]
    Unauthorized(String),
    /// An admission policy or webhook in the guest cluster denied the request.
    #[error("{what} was denied by an admission policy or webhook in the guest cluster: {message}")]
    Denied {
        /// The call.
        what: String,
        /// The guest's message.
        message: String,
    },
    /// RBAC in the guest cluster does not allow the request.
    #[error("{what} is forbidden by RBAC in the guest cluster: {message}")]
    Forbidden {
        /// The call.
        what: String,
        /// The guest's message.
        message: String,
    },
    /// The response exceeds a limit.
    #[error("{what}: the response exceeds the size limit")]
    TooLarge {
        /// The call.
        what: String,
    },
    /// Another client changed the object.
    #[error("{what}: another client changed the object at the same time")]
    Conflict {
        /// The call.
        what: String,
    },
    /// The object or its kind does not exist.
    #[error("{what}: not found")]
    Gone {
        /// The call.
        what: String,
    },
    /// The reconcile reached its time limit during the call.
    #[error("{what}: the reconcile of the guest cluster exceeded its time limit")]
    Unfinished {
        /// The call.
        what: String,
    },
    /// This replica is no longer the leader and must not write.
    #[error("stopped: this replica is no longer the leader")]
    Stopped,
    /// The object was written in a later term of leadership than that of this replica.
    #[error("{what} was written by a newer leader (term {term})")]
    Newer {
        /// The object.
        what: String,
        /// The term.
        term: i64,
    },
    /// Any other error.
    #[error("{what}: {message}")]
    Failed {
        /// The call.
        what: String,
        /// The cause.
        message: String,
    },
}

impl GuestError {
    /// The reason of the condition `GuestSynced`.
    pub const fn reason(&self) -> Reason {
        match self {
            Self::Down { .. } | Self::Unfinished { .. } => Reason::ConnectionDown,
            Self::Authority(_) => Reason::AuthorityUnknown,
            Self::Unauthorized(_) => Reason::CredentialsRejected,
            Self::Denied { .. } => Reason::DeniedByGuest,
            Self::Forbidden { .. } => Reason::ForbiddenByGuest,
            Self::TooLarge { .. } => Reason::AnswerTooLarge,
            Self::Conflict { .. } | Self::Gone { .. } | Self::Stopped | Self::Newer { .. } | Self::Failed { .. } => {
                Reason::PushFailed
            }
        }
    }

    /// Classifies an error of the client.
    pub(super) fn of(what: &str, error: &kube::Error) -> Self {
        let what = what.to_owned();
        match error {
            kube::Error::Api(status) => Self::of_status(&what, status.code, &status.message),
            error => {
                let chain = chain(error);
                match chain.iter().find_map(|error| error.downcast_ref::<rustls::Error>()) {
                    Some(rustls::Error::InvalidCertificate(why)) => Self::Authority(words(&format!("{why:?}"))),
                    Some(rustls::Error::AlertReceived(alert)) => Self::Unauthorized(words(&format!("{alert:?}"))),
                    _ => Self::Down { what, message: root_cause(&chain) },
                }
            }
        }
    }

    /// The error for a response that cannot be decoded.
    pub(super) fn unreadable(what: &str, error: &serde_json::Error) -> Self {
        Self::Failed { what: what.to_owned(), message: words(&format!("failed to decode the response: {error}")) }
    }

    /// Classifies an error response.
    pub(super) fn of_status(what: &str, code: u16, message: &str) -> Self {
        let (what, is_denial) = (what.to_owned(), is_denial(message));
        let message = words(message);
        match code {
            401 => Self::Unauthorized(message),
            403 | 422 if is_denial => Self::Denied { what, message },
            403 => Self::Forbidden { what, message },
            404 => Self::Gone { what },
            409 => Self::Conflict { what },
            429 | 500..=599 => Self::Down { what, message: format!("{code} {message}") },
            _ => Self::Failed { what, message: format!("{code} {message}") },
        }
    }
}

/// Whether an admission denied the request. A `ValidatingAdmissionPolicy` denies with 422 (measured) and a webhook with any
/// code, so only the message identifies them.
fn is_denial(message: &str) -> bool {
    message.contains(" denied request") || message.contains(" denied the request")
}

fn root_cause(chain: &[&(dyn StdError + 'static)]) -> String {
    words(&chain.last().map(ToString::to_string).unwrap_or_default())
}

/// A message of a guest cluster for a status: on one line and truncated in the middle, because the cause is at the end.
pub(super) fn words(text: &str) -> String {
    let letters: Vec<char> =
        text.chars().map(|letter| if printable::is_control(letter) { ' ' } else { letter }).collect();
    if letters.len() <= MAX_WORDS {
        return letters.into_iter().collect();
    }
    let (begin, end) = (MAX_WORDS / 2, MAX_WORDS - MAX_WORDS / 2);
    letters[..begin].iter().chain(&['…']).chain(&letters[letters.len() - end..]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: u16, message: &str) -> GuestError {
        GuestError::of_status("PATCH x", code, message)
    }

    #[test]
    fn the_reason_names_who_refused() {
        let policy = "imagedigestmirrorsets \"x\" is forbidden: ValidatingAdmissionPolicy 'mirror' with binding \
                      'mirror-binding' denied request: This resource cannot be created, updated, or deleted.";
        assert_eq!(of(422, policy).reason(), Reason::DeniedByGuest);
        assert_eq!(of(403, "admission webhook \"a\" denied the request: no").reason(), Reason::DeniedByGuest);
        assert_eq!(of(403, "User \"x\" cannot patch resource").reason(), Reason::ForbiddenByGuest);
        assert_eq!(of(401, "Unauthorized").reason(), Reason::CredentialsRejected);
        assert_eq!(of(503, "later").reason(), Reason::ConnectionDown);
        assert_eq!(of(422, "spec.x: Required value").reason(), Reason::PushFailed);
    }

    #[test]
    fn what_a_guest_says_is_one_line_and_not_long() {
        let error = of(422, &format!("a\nb{}", "x".repeat(10_000)));
        let text = error.to_string();
        assert!(text.contains("a b") && text.chars().count() < MAX_WORDS + 50, "{text}");
        assert_eq!(words("short"), "short");
        assert_eq!(words("a\u{1b}[2J\u{9b}\u{202e}b\u{2028}c"), "a [2J  b c");
        let cut = words(&format!("pulling {}: connection refused", "x".repeat(10_000)));
        assert!(cut.starts_with("pulling x") && cut.ends_with("x: connection refused"), "{cut}");
        assert_eq!(cut.chars().count(), MAX_WORDS + 1);
    }
}
