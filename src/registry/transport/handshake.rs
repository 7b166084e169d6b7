//! A TLS handshake with a registry and nothing else: no request is sent, and no credentials.

use std::sync::Arc;
use std::time::Duration;

use rustls::CertificateError;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::tls::{TlsError, TlsOptions};

/// Name resolution, connection and handshake. A registry that can be reached needs some ten milliseconds for all of them.
const LIMIT: Duration = Duration::from_secs(5);
const DEFAULT_PORT: u16 = 443;

/// Why there is no trusted connection.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The authorities cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The certificate is signed by an unknown authority.
    #[error("the certificate is signed by an unknown authority")]
    UnknownAuthority,
    /// The certificate is invalid for another reason.
    #[error("{0}")]
    Certificate(rustls::Error),
    /// There was no handshake.
    #[error("{0}")]
    Connection(String),
}

/// Connects to `host[:port]` and verifies its certificate.
///
/// # Errors
/// [`HandshakeError`].
pub async fn handshake(tls: &TlsOptions, registry: &str) -> Result<(), HandshakeError> {
    let config = tls.config(true, &[])?;
    let (host, port) = split(registry);
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| HandshakeError::Connection(format!("{host} is not the name of a host")))?;
    let connected = async {
        let stream = TcpStream::connect((host, port)).await?;
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    };
    match tokio::time::timeout(LIMIT, connected).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(classified(&error)),
        Err(_) => Err(HandshakeError::Connection(format!("no response within {} s", LIMIT.as_secs()))),
    }
}

/// Host and port of a registry's name.
fn split(registry: &str) -> (&str, u16) {
    let (host, port) = match registry.rsplit_once(':') {
        Some((host, port)) => port.parse().map_or((registry, DEFAULT_PORT), |port| (host, port)),
        None => (registry, DEFAULT_PORT),
    };
    (host.trim_matches(['[', ']']), port)
}

fn classified(error: &std::io::Error) -> HandshakeError {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)) => HandshakeError::UnknownAuthority,
        Some(error @ rustls::Error::InvalidCertificate(_)) => HandshakeError::Certificate(error.clone()),
        Some(error) => HandshakeError::Connection(error.to_string()),
        None => HandshakeError::Connection(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_of_a_registry_is_that_of_https_unless_it_is_named() {
        for (registry, expected) in [
            ("m.example", ("m.example", 443)),
            ("m.example:5000", ("m.example", 5000)),
            ("[fd00::1]:5000", ("fd00::1", 5000)),
            ("[fd00::1]", ("fd00::1", 443)),
        ] {
            assert_eq!(split(registry), expected, "{registry}");
        }
    }

    #[test]
    fn only_an_unknown_issuer_is_an_unknown_authority() {
        let of = |error: rustls::Error| classified(&std::io::Error::other(error));
        let unknown = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        assert!(matches!(of(unknown), HandshakeError::UnknownAuthority));
        let expired = rustls::Error::InvalidCertificate(CertificateError::Expired);
        assert!(matches!(of(expired), HandshakeError::Certificate(_)));
        assert!(matches!(of(rustls::Error::DecryptError), HandshakeError::Connection(_)));
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        assert!(matches!(classified(&refused), HandshakeError::Connection(_)));
    }
}
