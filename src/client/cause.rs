//! The cause of a failed request, in one line.

use std::error::Error as StdError;
use std::fmt;

/// Maximum number of nested errors that are examined.
const DEPTH: usize = 16;

/// Displays an error of a Kubernetes client without the names of the libraries that passed it on, and each text once: the message
/// of the API server if it responded, else the innermost cause.
#[derive(Clone, Copy, Debug)]
pub struct Cause<'e>(pub &'e kube::Error);

impl fmt::Display for Cause<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            kube::Error::Api(status) if status.message.is_empty() => {
                write!(formatter, "the API server responded with status {}", status.code)
            }
            kube::Error::Api(status) => formatter.write_str(&status.message),
            error => match chain(error).last() {
                Some(innermost) => innermost.fmt(formatter),
                None => error.fmt(formatter),
            },
        }
    }
}

/// An error and its sources, including those inside an `io::Error`, which `source` skips.
pub fn chain<'e>(error: &'e (dyn StdError + 'static)) -> Vec<&'e (dyn StdError + 'static)> {
    let mut chain: Vec<&'e (dyn StdError + 'static)> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next.filter(|_| chain.len() < DEPTH) {
        chain.push(error);
        let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = wrapped.map(|inner| inner as &(dyn StdError + 'static)).or_else(|| error.source());
    }
    chain
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    #[test]
    fn a_response_is_its_message_and_another_failure_its_innermost_cause() {
        let status = |message: &str| kube::Error::Api(Box::new(Status::failure(message, "Forbidden").with_code(403)));
        let cause = |error: &kube::Error| Cause(error).to_string();
        assert_eq!(cause(&status("deployments.apps \"a\" is forbidden")), "deployments.apps \"a\" is forbidden");
        assert_eq!(cause(&status("")), "the API server responded with status 403");
        let inner = std::io::Error::other("no route");
        let service = kube::Error::Service(std::io::Error::other(inner).into());
        assert_eq!(cause(&service), "no route");
    }
}
