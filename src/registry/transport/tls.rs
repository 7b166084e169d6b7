//! TLS: the system's authorities and those of an object, client certificates, and no check at all where that is asked for.

use std::sync::{Arc, LazyLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

/// Read once and shared: the files have some hundred certificates and change with the image.
static SYSTEM: LazyLock<Arc<RootCertStore>> = LazyLock::new(|| {
    let mut roots = RootCertStore::empty();
    // The system's files hold old certificates that do not parse; they are nobody's.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    Arc::new(roots)
});

/// Why TLS cannot be set up. Never contains a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// Of an authority or client certificate.
    #[error("{0} is not a PEM certificate: {1}")]
    Certificate(&'static str, String),
    /// Of a client certificate.
    #[error("tls.key is not a PEM private key, or not that of tls.crt: {0}")]
    Key(String),
}

/// What a registry is believed by, and what it is shown.
#[derive(Debug, Default)]
pub struct TlsOptions {
    authorities: Vec<CertificateDer<'static>>,
    identity: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
    skips_verification: bool,
}

impl TlsOptions {
    /// Believes the authorities of a PEM file (`ca.crt`), too.
    ///
    /// # Errors
    /// [`TlsError::Certificate`], also if there is none in it.
    pub fn add_authorities(&mut self, pem: &[u8]) -> Result<(), TlsError> {
        self.authorities.extend(certificates(pem, "ca.crt")?);
        Ok(())
    }

    /// Shows the registry itself a client certificate (`tls.crt`, `tls.key`): no host that it leads to.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn set_identity(&mut self, certificate: &[u8], key: &[u8]) -> Result<(), TlsError> {
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| TlsError::Key(error.to_string()))?;
        self.identity = Some((certificates(certificate, "tls.crt")?, key));
        Ok(())
    }

    /// Believes every certificate.
    pub const fn skip_verification(&mut self) {
        self.skips_verification = true;
    }

    fn roots(&self) -> Result<Arc<RootCertStore>, TlsError> {
        if self.authorities.is_empty() {
            return Ok(SYSTEM.clone());
        }
        let mut roots = RootCertStore::clone(&SYSTEM);
        for authority in &self.authorities {
            let refused = |error: rustls::Error| TlsError::Certificate("ca.crt", error.to_string());
            roots.add(authority.clone()).map_err(refused)?;
        }
        Ok(Arc::new(roots))
    }

    /// The configuration for the registry itself, or for a host that it leads to.
    pub(super) fn config(&self, is_own: bool, protocols: &[&str]) -> Result<ClientConfig, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let no_versions = |error: rustls::Error| TlsError::Certificate("the provider", error.to_string());
        let versions = ClientConfig::builder_with_provider(provider.clone());
        let versions = versions.with_safe_default_protocol_versions().map_err(no_versions)?;
        let verified = if self.skips_verification {
            versions.dangerous().with_custom_certificate_verifier(Arc::new(NoVerification(provider)))
        } else {
            versions.with_root_certificates(self.roots()?)
        };
        let mut config = match &self.identity {
            Some((chain, key)) if is_own => verified
                .with_client_auth_cert(chain.clone(), key.clone_key())
                .map_err(|error| TlsError::Key(error.to_string()))?,
            _ => verified.with_no_client_auth(),
        };
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Ok(config)
    }
}

fn certificates(pem: &[u8], file: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let refused = |message: String| TlsError::Certificate(file, message);
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found.map_err(|error| refused(error.to_string()))? {
        found if found.is_empty() => Err(refused("it has none".to_owned())),
        found => Ok(found),
    }
}

/// For `insecureSkipVerify` and `--insecure-skip-tls-verify`. Signatures are checked: the connection is to one peer, whoever it is.
#[derive(Debug)]
struct NoVerification(Arc<CryptoProvider>);

impl ServerCertVerifier for NoVerification {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
