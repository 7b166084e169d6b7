//! Whether hosted clusters can log in to their mirrors, and trust them.

use std::collections::BTreeMap;

use hypermirror_api::ClusterKey;

use super::{Diagnosis, DiagnosisCode};
use crate::mirrors::ImageReference;
use crate::mirrors::finding::Severity;
use crate::registry::Repository;
use crate::registry::credentials::auth_file::AuthFile;

/// The pull secret of one hosted cluster.
#[derive(Debug)]
pub enum PullSecret {
    /// Its credentials.
    Read(AuthFile),
    /// Why it is not usable. Not a value of it.
    Unusable(String),
    /// Why it could not be read.
    Unknown(String),
}

/// Diagnoses the pull secret of this name. `mirrors` are locations, `host[:port][/path]`.
pub fn diagnose<'m>(
    cluster: &ClusterKey,
    name: &str,
    secret: &PullSecret,
    mirrors: impl IntoIterator<Item = &'m str>,
) -> Vec<Diagnosis> {
    let object = format!("Secret/{}/{name}", cluster.namespace);
    let file = match secret {
        PullSecret::Read(file) => file,
        PullSecret::Unusable(why) => {
            let cure = "create the Secret that spec.pullSecret names, with the key .dockerconfigjson";
            let code = DiagnosisCode::PullSecretUnusable;
            return vec![Diagnosis::new(code, Severity::Error, object, why, cure).of(cluster)];
        }
        PullSecret::Unknown(why) => {
            let message = format!("the pull secret could not be read: {why}");
            let cure = "run check as a user that may get the Secret";
            return vec![Diagnosis::not_checked(object, message, cure).of(cluster)];
        }
    };
    // One row for each registry: people add a registry to a pull secret, not a path.
    let mut lacking: BTreeMap<String, String> = BTreeMap::new();
    for mirror in mirrors {
        // Without a path the location is a registry, and any repository stands for all of it.
        let image = if mirror.contains('/') { mirror.to_owned() } else { format!("{mirror}/any") };
        // Locations that nobody can pull from are reported as InvalidMirror.
        let parsed = ImageReference::parse(&image).ok().and_then(|image| Repository::of(&image).ok());
        let Some(repository) = parsed else { continue };
        if file.find(&repository).is_none() {
            lacking.entry(host(mirror).to_owned()).or_insert_with(|| mirror.to_owned());
        }
    }
    let row = |(host, mirror): (String, String)| {
        let message = format!("the pull secret has no credentials for mirror {mirror}");
        let cure = format!(
            "add {host} to the pull secret of the HostedCluster, unless everybody may pull from it without credentials"
        );
        let code = DiagnosisCode::PullSecretLacksMirror;
        Diagnosis::new(code, Severity::Warning, object.clone(), message, cure)
            .at("data[.dockerconfigjson].auths", host)
            .of(cluster)
    };
    lacking.into_iter().map(row).collect()
}

/// The registry of a location.
pub fn host(location: &str) -> &str {
    location.split('/').next().unwrap_or_default()
}

/// The result of a TLS handshake with a registry, with the authorities of a hosted cluster and those of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handshake {
    /// The certificate is trusted.
    Trusted,
    /// The certificate is signed by an unknown authority.
    UnknownAuthority,
    /// The certificate is invalid for another reason.
    Invalid(String),
    /// There was no handshake, so nothing is known.
    Unknown(String),
}

/// Diagnoses the certificate of a mirror. `bundle` is the ConfigMap of `spec.additionalTrustBundle`, if there is one.
pub fn diagnose_trust(
    cluster: &ClusterKey,
    bundle: Option<&str>,
    registry: &str,
    handshake: &Handshake,
) -> Option<Diagnosis> {
    let object = format!("HostedCluster/{cluster}");
    let field = "spec.additionalTrustBundle";
    let code = DiagnosisCode::AuthorityMissing;
    let found = match handshake {
        Handshake::Trusted => return None,
        Handshake::UnknownAuthority => {
            let place = match bundle {
                Some(name) => format!("neither ConfigMap {name} nor this machine has its authority"),
                None => {
                    "spec.additionalTrustBundle is not set, and this machine does not have its authority".to_owned()
                }
            };
            let message = format!("the certificate of mirror {registry} is signed by an unknown authority: {place}");
            let cure = format!(
                "add the authority of {registry} to key ca-bundle.crt of the ConfigMap that spec.additionalTrustBundle names"
            );
            Diagnosis::new(code, Severity::Error, object, message, cure)
        }
        Handshake::Invalid(why) => {
            let message = format!("the certificate of mirror {registry} is invalid: {why}");
            Diagnosis::new(code, Severity::Error, object, message, format!("correct the certificate of {registry}"))
        }
        Handshake::Unknown(why) => {
            let message = format!("the certificate of mirror {registry} could not be checked from this machine: {why}");
            let cure = "run check where the mirror can be reached, for example in a pod of the management cluster";
            Diagnosis::not_checked(object, message, cure)
        }
    };
    Some(found.at(field, registry).of(cluster))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> ClusterKey {
        "clusters/west".parse().unwrap()
    }

    fn secret(hosts: &[&str]) -> PullSecret {
        let auths: serde_json::Map<_, _> =
            hosts.iter().map(|host| ((*host).to_owned(), serde_json::json!({"auth": "YTpi"}))).collect();
        PullSecret::Read(AuthFile::parse(serde_json::json!({"auths": auths}).to_string().as_bytes()).unwrap())
    }

    fn lacking(hosts: &[&str], mirrors: &[&str]) -> Vec<String> {
        diagnose(&key(), "pull-secret", &secret(hosts), mirrors.iter().copied())
            .into_iter()
            .map(|it| it.value)
            .collect()
    }

    #[test]
    fn each_registry_without_credentials_is_one_finding() {
        let mirrors = ["m.example/a", "m.example/b", "n.example:5000", "o.example/x/y"];
        for (hosts, expected) in [
            (&["m.example", "n.example:5000", "o.example"][..], &[][..]),
            (&["m.example", "n.example:5000"], &["o.example"]),
            (&["m.example/a", "o.example/x"], &["m.example", "n.example:5000"]),
            (&["n.example"], &["m.example", "n.example:5000", "o.example"]),
            (&[], &["m.example", "n.example:5000", "o.example"]),
        ] {
            assert_eq!(lacking(hosts, &mirrors), expected, "{hosts:?}");
        }
        assert_eq!(lacking(&[], &["not a place"]), Vec::<String>::new());
    }

    #[test]
    fn a_secret_that_is_not_usable_is_an_error_and_one_that_is_not_readable_is_not_checked() {
        for (secret, code, severity) in [
            (PullSecret::Unusable("it does not exist".into()), DiagnosisCode::PullSecretUnusable, Severity::Error),
            (PullSecret::Unknown("forbidden".into()), DiagnosisCode::NotChecked, Severity::Info),
        ] {
            let [found] = diagnose(&key(), "s", &secret, ["m.example/a"]).try_into().ok().unwrap();
            assert_eq!((found.code, found.severity, &*found.object), (code, severity, "Secret/clusters/s"));
            assert!(!found.cure.is_empty());
        }
    }

    #[test]
    fn an_unknown_authority_is_an_error_and_an_unreachable_mirror_is_not_checked() {
        for (handshake, expected) in [
            (Handshake::Trusted, None),
            (Handshake::UnknownAuthority, Some((DiagnosisCode::AuthorityMissing, Severity::Error))),
            (Handshake::Invalid("expired".into()), Some((DiagnosisCode::AuthorityMissing, Severity::Error))),
            (Handshake::Unknown("no route".into()), Some((DiagnosisCode::NotChecked, Severity::Info))),
        ] {
            let found = diagnose_trust(&key(), Some("ca"), "m.example", &handshake);
            assert_eq!(found.as_ref().map(|found| (found.code, found.severity)), expected, "{handshake:?}");
            assert!(found.is_none_or(|found| found.value == "m.example" && !found.cure.is_empty()));
        }
    }
}
