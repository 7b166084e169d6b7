//! Why a call to a guest did not succeed: what a guest answers is untrusted, and cut before it reaches a status.

use std::error::Error as StdError;

use hypermirror_api::Reason;
use thiserror::Error;

use crate::printable;

/// How much of a guest's own words is passed on.
const MAX_WORDS: usize = 512;

/// One failed call.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum GuestError {
    /// No connection, no answer in time, or an answer that says to come again.
    #[error("{what}: {message}")]
    Down {
        /// The call.
        what: String,
        /// Why, as far as known.
        message: String,
    },
    /// The server's certificate is not signed by the authority that the kubeconfig names.
    #[error("the API server's certificate is not of the authority in the kubeconfig: {0}")]
    Authority(String),
    /// The API server does not know us.
    #[error("the API server refuses the kubeconfig's credentials: {0}")]
    Unauthorized(String),
    /// An admission policy or webhook of the guest denied the request.
    #[error("{what} was denied: {message}")]
    Denied {
        /// The call.
        what: String,
        /// The guest's message.
        message: String,
    },
    /// The guest's RBAC does not allow the request.
    #[error("{what} is forbidden: {message}")]
    Forbidden {
        /// The call.
        what: String,
        /// The guest's message.
        message: String,
    },
    /// More objects or bytes than are read.
    #[error("{what}: the answer is too large")]
    TooLarge {
        /// The call.
        what: String,
    },
    /// The object is not what it was a moment ago.
    #[error("{what} changed meanwhile")]
    Conflict {
        /// The call.
        what: String,
    },
    /// There is no such object or kind.
    #[error("{what} is not there")]
    Gone {
        /// The call.
        what: String,
    },
    /// The look at the guest had to end before this call did.
    #[error("{what}: the look at the guest took too long")]
    Unfinished {
        /// The call.
        what: String,
    },
    /// This instance leads no longer, and may not write.
    #[error("another instance may lead by now")]
    Stopped,
    /// The object was written in a later term of leadership than this instance has.
    #[error("{what} was written by a later leader (term {term})")]
    Newer {
        /// The object.
        what: String,
        /// That term.
        term: i64,
    },
    /// Anything else.
    #[error("{what}: {message}")]
    Failed {
        /// The call.
        what: String,
        /// Why.
        message: String,
    },
}

impl GuestError {
    /// The reason in the condition `GuestSynced`.
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

    /// Tells what an error of the client means.
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

    /// An answer that is not what was asked for.
    pub(super) fn unreadable(what: &str, error: &serde_json::Error) -> Self {
        Self::Failed { what: what.to_owned(), message: words(&format!("the answer cannot be read: {error}")) }
    }

    /// Tells what a refusal means.
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

/// A `ValidatingAdmissionPolicy` denies with 422 (measured), a webhook with the code it likes; both say so.
fn is_denial(message: &str) -> bool {
    message.contains(" denied request") || message.contains(" denied the request")
}

/// An error and all that it hides: an `io::Error` shows what it wraps only when asked.
fn chain<'e>(error: &'e (dyn StdError + 'static)) -> Vec<&'e (dyn StdError + 'static)> {
    let mut chain: Vec<&'e (dyn StdError + 'static)> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next.filter(|_| chain.len() < 16) {
        chain.push(error);
        let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = wrapped.map(|inner| inner as &(dyn StdError + 'static)).or_else(|| error.source());
    }
    chain
}

fn root_cause(chain: &[&(dyn StdError + 'static)]) -> String {
    words(&chain.last().map(ToString::to_string).unwrap_or_default())
}

/// What a guest says, fit for a status: one line, and not long. What is cut is the middle: a cause stands at the end.
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
    fn an_answer_tells_who_refused() {
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
