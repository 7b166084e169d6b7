//! What a failed request of the HTTP library means.

use std::error::Error;
use std::io;

use super::super::error::{Cause, Failure};
use super::resolver::AddressRefused;
use crate::printable;

/// Texts of causes are for people: longer ones say nothing more.
const MAX_MESSAGE: usize = 400;

/// The cause of a failure. `reqwest` prints the URL, which may be signed: it is left out.
pub(super) fn cause(error: reqwest::Error, host: &str) -> Cause {
    let error = error.without_url();
    let mut facts = Facts::default();
    facts.look_at(&error);
    if let Some(refused) = facts.refused {
        return Cause::address(refused.host, refused.class, refused.floor);
    }
    let by_library = || {
        if error.is_timeout() {
            Failure::Timeout
        } else if error.is_dns() {
            Failure::Dns
        } else if error.is_connect() {
            Failure::Connect
        } else {
            Failure::Interrupted
        }
    };
    let failure = facts.failure.unwrap_or_else(by_library);
    Cause::Unreachable { host: host.to_owned(), failure, message: message(failure, &facts) }
}

#[derive(Default)]
struct Facts {
    refused: Option<AddressRefused>,
    /// The failure, where the library cannot tell it from others.
    failure: Option<Failure>,
    /// The server responds with something else than TLS.
    is_not_tls: bool,
    /// The text of the innermost error. Those around it only say which library passed it on.
    innermost: String,
}

impl Facts {
    fn look_at(&mut self, error: &(dyn Error + 'static)) {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(refused) = error.downcast_ref::<AddressRefused>() {
                self.refused = Some(refused.clone());
            }
            if error.is::<rustls::Error>() {
                self.failure = Some(Failure::Tls);
            }
            self.is_not_tls |= matches!(error.downcast_ref(), Some(rustls::Error::InvalidMessage(_)));
            self.innermost = error.to_string();
            let h2 = error.downcast_ref::<h2::Error>();
            if h2.is_some_and(|error| error.reason() == Some(h2::Reason::ENHANCE_YOUR_CALM)) {
                self.failure = Some(Failure::TooManyStreams);
            }
            next = error.source();
            if let Some(error) = error.downcast_ref::<io::Error>() {
                if error.kind() == io::ErrorKind::TimedOut {
                    self.failure.get_or_insert(Failure::Timeout);
                }
                // `source` of an I/O error is that of the error in it, and not that error.
                if let Some(inner) = error.get_ref() {
                    next = Some(inner);
                }
            }
        }
    }
}

fn message(failure: Failure, facts: &Facts) -> String {
    let what = match failure {
        Failure::Tls if facts.is_not_tls => "the server does not use TLS; --plain-http connects without it",
        Failure::Dns => "failed to resolve the name",
        Failure::Connect => "failed to connect",
        Failure::Tls => "TLS failed",
        Failure::Timeout => "timed out",
        Failure::Interrupted => "the connection was lost",
        Failure::TooManyStreams => "the server closed the connection because of too many requests",
    };
    let cut: String = facts.innermost.chars().take(MAX_MESSAGE).collect();
    format!("{what} ({})", printable::line(&cut))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(failure: Failure, error: &(dyn Error + 'static)) -> String {
        let mut facts = Facts::default();
        facts.look_at(error);
        message(failure, &facts)
    }

    #[test]
    fn a_failure_is_named_with_its_innermost_cause_alone() {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        let wrapped = io::Error::other(refused);
        assert_eq!(shown(Failure::Connect, &wrapped), "failed to connect (connection refused)");
        let plain = rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType);
        let wrapped = io::Error::new(io::ErrorKind::InvalidData, plain);
        let message = shown(Failure::Tls, &wrapped);
        assert!(message.starts_with("the server does not use TLS; --plain-http"), "{message}");
        let unknown = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        assert_eq!(shown(Failure::Tls, &unknown), "TLS failed (invalid peer certificate: UnknownIssuer)");
    }
}
