//! Parses the certificate of the webhook.

use std::sync::Arc;

use jiff::Timestamp;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use thiserror::Error;

/// Why a certificate is not usable.
#[derive(Debug, Error)]
pub enum CertificateError {
    /// The file has no certificate or no key.
    #[error("{what} does not contain PEM data of the expected type")]
    Pem {
        /// `tls.crt` or `tls.key`.
        what: &'static str,
        /// The error.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// The certificate and the key do not match or are not supported.
    #[error("tls.crt and tls.key cannot be used")]
    Serve(#[source] rustls::Error),
}

/// The expiry of a certificate.
pub fn expires(certificate: &str) -> Option<Timestamp> {
    let (_, block) = x509_parser::pem::parse_x509_pem(certificate.as_bytes()).ok()?;
    let parsed = block.parse_x509().ok()?;
    Timestamp::from_second(parsed.validity().not_after.timestamp()).ok()
}

/// Parses a certificate and its key.
///
/// # Errors
/// [`CertificateError`] if one of them is invalid, or if they do not match.
pub fn servable(certificate: &str, key: &str) -> Result<Arc<CertifiedKey>, CertificateError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate.as_bytes()).collect();
    let chain = chain.map_err(|source| CertificateError::Pem { what: "tls.crt", source })?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes());
    let key = key.map_err(|source| CertificateError::Pem { what: "tls.key", source })?;
    let provider = ring::default_provider();
    CertifiedKey::from_der(chain, key, &provider).map(Arc::new).map_err(CertificateError::Serve)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made() -> (String, String) {
        let mut params = rcgen::CertificateParams::new(vec!["w.n.svc".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(2031, 2, 3);
        let key = rcgen::KeyPair::generate().unwrap();
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    #[test]
    fn a_certificate_is_served_with_its_own_key_only() {
        let (one, two) = (made(), made());
        assert!(servable(&one.0, &one.1).is_ok());
        assert!(matches!(servable(&one.0, &two.1), Err(CertificateError::Serve(_))));
        assert!(matches!(servable(&one.0, "x"), Err(CertificateError::Pem { what: "tls.key", .. })));
        assert!(servable("", &one.1).is_err());
    }

    #[test]
    fn a_certificate_says_when_it_ends() {
        assert_eq!(expires(&made().0).unwrap().to_string(), "2031-02-03T00:00:00Z");
        assert_eq!(expires("x"), None);
    }
}
