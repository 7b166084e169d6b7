//! The credentials that a build may read, as one file of `containers-auth.json(5)`. Pure.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::registry::credentials::auth_file::AuthFile;
use crate::registry::{Credential, Repository};

/// The user name that stands for an identity token.
const TOKEN_USER: &str = "00000000-0000-0000-0000-000000000000";

/// Entries of the file, by registry, or by registry and path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BuildAuth(BTreeMap<String, Credential>);

impl BuildAuth {
    /// Adds those of a Secret for base images. Of two for the same key, the first stays.
    pub fn add_file(&mut self, file: &AuthFile) {
        for (key, credential) in file.entries() {
            self.0.entry(key.to_owned()).or_insert_with(|| credential.clone());
        }
    }

    /// Sets the one for the image itself. It is sent for no other repository.
    pub fn set(&mut self, repository: &Repository, credential: &Credential) {
        if !credential.is_anonymous() {
            self.0.insert(format!("{}/{}", repository.registry.name(), repository.path()), credential.clone());
        }
    }

    /// The file; nothing if it would be empty.
    pub fn render(&self) -> Option<String> {
        let entries = self.0.iter().filter_map(|(key, credential)| Some((key.clone(), entry(credential)?)));
        let auths: BTreeMap<String, Value> = entries.collect();
        (!auths.is_empty()).then(|| json!({"auths": auths}).to_string())
    }
}

fn entry(credential: &Credential) -> Option<Value> {
    let encoded = |user: &str, password: &str| STANDARD.encode(format!("{user}:{password}"));
    match credential {
        Credential::Basic { username, password } => Some(json!({"auth": encoded(username, password.reveal())})),
        Credential::Identity(token) => Some(json!({"auth": encoded(TOKEN_USER, ""), "identitytoken": token.reveal()})),
        // Buildah reads no bearer tokens from a file.
        Credential::Bearer(_) | Credential::Anonymous => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::{RegistryAddress, Secret};

    #[test]
    fn the_image_s_own_credential_is_for_its_repository_alone() {
        let repository = Repository::new(RegistryAddress::parse("r.example:5000").unwrap(), "team/app").unwrap();
        let mut auth = BuildAuth::default();
        assert_eq!(auth.render(), None);
        auth.set(&repository, &Credential::Anonymous);
        assert_eq!(auth.render(), None);
        let file = br#"{"auths": {"r.example:5000/team/app": {"auth": "eDp5"}, "quay.io": {"auth": "YTpi"}}, "credsStore": "x"}"#;
        auth.add_file(&AuthFile::parse(file).unwrap());
        auth.set(&repository, &Credential::basic("u", "p"));
        let text = auth.render().unwrap();
        assert_eq!(text, r#"{"auths":{"quay.io":{"auth":"YTpi"},"r.example:5000/team/app":{"auth":"dTpw"}}}"#);
        let read = AuthFile::parse(text.as_bytes()).unwrap();
        assert_eq!(read.find(&repository), Some(&Credential::basic("u", "p")));
    }

    #[test]
    fn tokens_are_written_as_buildah_reads_them() {
        let identity = entry(&Credential::Identity(Secret::new("t"))).unwrap();
        assert_eq!(identity["identitytoken"], "t");
        assert_eq!(entry(&Credential::Bearer(Secret::new("t"))), None);
    }
}
