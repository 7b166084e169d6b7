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
    let failure = if facts.is_calm {
        Failure::TooManyStreams
    } else if facts.is_tls {
        Failure::Tls
    } else if error.is_timeout() || facts.is_timeout {
        Failure::Timeout
    } else if error.is_dns() {
        Failure::Dns
    } else if error.is_connect() {
        Failure::Connect
    } else {
        Failure::Interrupted
    };
    Cause::Unreachable { host: host.to_owned(), failure, message: message(&error) }
}

#[derive(Default)]
struct Facts {
    refused: Option<AddressRefused>,
    is_tls: bool,
    is_timeout: bool,
    is_calm: bool,
}

impl Facts {
    fn look_at(&mut self, error: &(dyn Error + 'static)) {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(refused) = error.downcast_ref::<AddressRefused>() {
                self.refused = Some(refused.clone());
            }
            self.is_tls |= error.is::<rustls::Error>();
            let h2 = error.downcast_ref::<h2::Error>();
            self.is_calm |= h2.is_some_and(|error| error.reason() == Some(h2::Reason::ENHANCE_YOUR_CALM));
            next = error.source();
            if let Some(error) = error.downcast_ref::<io::Error>() {
                self.is_timeout |= error.kind() == io::ErrorKind::TimedOut;
                // `source` of an I/O error is that of the error in it, and not that error.
                if let Some(inner) = error.get_ref() {
                    next = Some(inner);
                }
            }
        }
    }
}

/// The causes, each once: libraries repeat that of another in their own.
fn message(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let own = error.to_string();
        if text.is_empty() {
            text = own;
        } else if !text.contains(&own) {
            text = format!("{text}: {own}");
        }
        next = error.source();
    }
    let cut: String = text.chars().take(MAX_MESSAGE).collect();
    printable::line(&cut).into_owned()
}
