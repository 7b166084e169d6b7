//! The webhook's certificate: made, judged, replaced in time. Each has an authority of its own, whose key is forgotten at
//! once: nobody can sign another one with it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use thiserror::Error;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::time::ASN1Time;

use crate::kube::admission::KeptCertificate;

/// Clocks differ: a certificate is valid a little before it was made.
const BACKDATED: Duration = Duration::from_mins(5);
/// The part of its life after which the authority before it is forgotten: a day of 90.
const OVERLAP: u32 = 90;

/// Why there is no certificate.
#[derive(Debug, Error)]
pub enum CertificateError {
    /// It could not be made.
    #[error("cannot make a certificate for {names:?}")]
    Make {
        /// For whom.
        names: BTreeSet<String>,
        /// Why.
        #[source]
        source: rcgen::Error,
    },
    /// Its time is none.
    #[error("a certificate cannot be valid until {seconds} s after 1970")]
    Time {
        /// Until when.
        seconds: i64,
    },
    /// What is there is no certificate.
    #[error("{what} is not PEM of the kind that is expected there")]
    Pem {
        /// `tls.crt` or `tls.key`.
        what: &'static str,
        /// Why.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// The certificate and its key cannot be served.
    #[error("tls.crt and tls.key cannot be served")]
    Serve(#[source] rustls::Error),
}

/// Makes a certificate for a server with these names (host names and addresses), and its authority.
///
/// # Errors
/// [`CertificateError`] if a name is none, or the time is out of reach.
pub fn make(names: &BTreeSet<String>, now: Timestamp, lifetime: Duration) -> Result<KeptCertificate, CertificateError> {
    let wrong = |source| CertificateError::Make { names: names.clone(), source };
    let time = |offset: i64| {
        let seconds = now.as_second().saturating_add(offset);
        let time = ASN1Time::from_timestamp(seconds).map_err(|_| CertificateError::Time { seconds })?;
        Ok::<_, CertificateError>(time.to_datetime())
    };
    let seconds = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    let (not_before, not_after) = (time(-seconds(BACKDATED))?, time(seconds(lifetime))?);
    let mut authority = CertificateParams::default();
    // Two authorities of one name would be taken for each other while both are trusted.
    let name = format!("hypermirror webhook {}", now.as_nanosecond());
    authority.distinguished_name.push(DnType::CommonName, name);
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    (authority.not_before, authority.not_after) = (not_before, not_after);
    let key = KeyPair::generate().map_err(wrong)?;
    let authority = CertifiedIssuer::self_signed(authority, key).map_err(wrong)?;
    let mut server = CertificateParams::new(names.iter().cloned().collect::<Vec<_>>()).map_err(wrong)?;
    server.distinguished_name.push(DnType::CommonName, "hypermirror webhook");
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    server.use_authority_key_identifier_extension = true;
    (server.not_before, server.not_after) = (not_before, not_after);
    let key = KeyPair::generate().map_err(wrong)?;
    let certificate = server.signed_by(&key, &authority).map_err(wrong)?;
    Ok(KeptCertificate { authorities: authority.pem(), certificate: certificate.pem(), key: key.serialize_pem() })
}

/// What is to be done about the certificate that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    Keep,
    /// Make another one.
    Replace,
    /// Every replica serves the present one: the authorities before it are trusted no more.
    ForgetOlder,
}

/// Decides it, for a server that is reached under these names.
pub fn next_step(kept: Option<&KeptCertificate>, names: &BTreeSet<String>, now: Timestamp) -> Step {
    let Some((kept, facts)) = kept.and_then(|kept| Some((kept, facts(&kept.certificate)?))) else {
        return Step::Replace;
    };
    let made = facts.not_before + BACKDATED;
    let life = facts.not_after.duration_since(made);
    if !names.is_subset(&facts.names) || facts.not_after.duration_since(now) < life / 3 {
        return Step::Replace;
    }
    let several = certificates(&kept.authorities).nth(1).is_some();
    let settled = now.duration_since(made) > facts.not_after.duration_since(facts.not_before) / OVERLAP.cast_signed();
    if several && settled { Step::ForgetOlder } else { Step::Keep }
}

/// The newest authority alone.
pub fn newest(authorities: &str) -> String {
    let lines = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    certificates(authorities).next().map(|block| pem::encode_config(&block, lines)).unwrap_or_default()
}

/// The certificates of a PEM text; other blocks are skipped.
fn certificates(text: &str) -> impl Iterator<Item = pem::Pem> {
    pem::parse_many(text).unwrap_or_default().into_iter().filter(|block| block.tag() == "CERTIFICATE")
}

/// What a certificate says about itself.
struct Facts {
    not_before: Timestamp,
    not_after: Timestamp,
    names: BTreeSet<String>,
}

fn facts(certificate: &str) -> Option<Facts> {
    let block = certificates(certificate).next()?;
    let (_, parsed) = X509Certificate::from_der(block.contents()).ok()?;
    let validity = parsed.validity();
    let names = parsed.subject_alternative_name().ok()??.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => address(bytes),
        _ => None,
    });
    Some(Facts {
        names: names.collect(),
        not_before: Timestamp::from_second(validity.not_before.timestamp()).ok()?,
        not_after: Timestamp::from_second(validity.not_after.timestamp()).ok()?,
    })
}

fn address(bytes: &[u8]) -> Option<String> {
    if let Ok(bytes) = <[u8; 4]>::try_from(bytes) {
        return Some(std::net::Ipv4Addr::from(bytes).to_string());
    }
    <[u8; 16]>::try_from(bytes).ok().map(|bytes| std::net::Ipv6Addr::from(bytes).to_string())
}

/// Until when a certificate is valid.
pub fn expires(certificate: &str) -> Option<Timestamp> {
    facts(certificate).map(|facts| facts.not_after)
}

/// A certificate with its key, ready to be served.
///
/// # Errors
/// [`CertificateError`] if it is none, or the key is another one's.
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

    const LIFETIME: Duration = Duration::from_hours(2160);

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    fn now() -> Timestamp {
        "2026-11-21T00:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_certificate_is_replaced_in_time_and_for_new_names() {
        let both = names(&["w.n.svc", "127.0.0.1", "::1"]);
        let kept = make(&both, now(), LIFETIME).unwrap();
        let in_days = |days: i64| now() + jiff::SignedDuration::from_hours(24 * days);
        for (what, names, at, expected) in [
            ("just made", &both, now(), Step::Keep),
            ("fewer names", &names(&["w.n.svc"]), now(), Step::Keep),
            ("another name", &names(&["x.n.svc"]), now(), Step::Replace),
            ("after 59 days", &both, in_days(59), Step::Keep),
            ("after 61 days", &both, in_days(61), Step::Replace),
            ("after its end", &both, in_days(91), Step::Replace),
        ] {
            assert_eq!(next_step(Some(&kept), names, at), expected, "{what}");
        }
        assert_eq!(next_step(None, &both, now()), Step::Replace);
        let broken = KeptCertificate { certificate: "no".to_owned(), ..kept.clone() };
        assert_eq!(next_step(Some(&broken), &both, now()), Step::Replace);
        assert_eq!(expires(&kept.certificate), Some(in_days(90)));
    }

    #[test]
    fn the_authority_before_is_trusted_until_every_replica_serves_the_new_certificate() {
        let name = names(&["w.n.svc"]);
        let old = make(&name, now(), LIFETIME).unwrap();
        let new = make(&name, now() + jiff::SignedDuration::from_hours(1), LIFETIME).unwrap();
        let kept = KeptCertificate { authorities: format!("{}{}", new.authorities, old.authorities), ..new.clone() };
        assert_eq!(next_step(Some(&kept), &name, now() + jiff::SignedDuration::from_hours(2)), Step::Keep);
        let later = now() + jiff::SignedDuration::from_hours(27);
        assert_eq!(next_step(Some(&kept), &name, later), Step::ForgetOlder);
        let forgotten = KeptCertificate { authorities: newest(&kept.authorities), ..kept };
        assert_eq!(forgotten.authorities, new.authorities);
        assert_eq!(next_step(Some(&forgotten), &name, later), Step::Keep);
    }

    #[test]
    fn a_certificate_is_served_with_its_own_key_only() {
        let name = names(&["w.n.svc"]);
        let (one, two) = (make(&name, now(), LIFETIME).unwrap(), make(&name, now(), LIFETIME).unwrap());
        assert!(servable(&one.certificate, &one.key).is_ok());
        assert!(matches!(servable(&one.certificate, &two.key), Err(CertificateError::Serve(_))));
        assert!(matches!(servable(&one.certificate, "x"), Err(CertificateError::Pem { what: "tls.key", .. })));
        assert!(servable("", &one.key).is_err());
    }
}
