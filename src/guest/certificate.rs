//! Reads the expiry of the client certificate, because an API server responds with 401 to any problem of a certificate.

use jiff::Timestamp;

use super::kubeconfig::Credentials;

/// The expiry of the credentials, if they are a certificate.
pub fn expires(credentials: &Credentials) -> Option<Timestamp> {
    let Credentials::Certificate { certificate, .. } = credentials else { return None };
    let (_, block) = x509_parser::pem::parse_x509_pem(certificate).ok()?;
    let parsed = block.parse_x509().ok()?;
    Timestamp::from_second(parsed.validity().not_after.timestamp()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_has_an_expiry_and_a_token_has_none() {
        let mut params = rcgen::CertificateParams::default();
        params.not_after = rcgen::date_time_ymd(2031, 2, 3);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().pem().into_bytes();
        let credentials = Credentials::Certificate { certificate, key: Vec::new() };
        assert_eq!(expires(&credentials).unwrap().to_string(), "2031-02-03T00:00:00Z");
        assert_eq!(expires(&Credentials::Token("x".to_owned())), None);
    }
}
