//! What a client identifies itself with, and where that is found.

pub mod auth_file;
pub mod ecr;
pub mod files;
pub mod sigv4;

use std::fmt;

use super::secret::Secret;
use super::wire::digest::{Algorithm, Digest, Hasher};

/// What a client shows a registry.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Credential {
    /// Nothing.
    #[default]
    Anonymous,
    /// A name and its password.
    Basic {
        /// The name.
        username: String,
        /// Its password.
        password: Secret,
    },
    /// A refresh token that a token server exchanges (`identitytoken`, ACR).
    Identity(Secret),
    /// A bearer token that is sent as it is (`registrytoken`).
    Bearer(Secret),
}

impl Credential {
    /// A name and its password.
    pub fn basic(username: impl Into<String>, password: impl Into<String>) -> Self {
        Self::Basic { username: username.into(), password: Secret::new(password) }
    }

    /// What separates caches. Two holders of the same credential may see the same; nobody else may.
    pub fn id(&self) -> CredentialId {
        let (kind, name, secret) = match self {
            Self::Anonymous => ("anonymous", "", ""),
            Self::Basic { username, password } => ("basic", username.as_str(), password.reveal()),
            Self::Identity(token) => ("identity", "", token.reveal()),
            Self::Bearer(token) => ("bearer", "", token.reveal()),
        };
        let mut hasher = Hasher::new(Algorithm::Sha256);
        // With their lengths: no two credentials run together to the same bytes.
        for part in [kind, name, secret] {
            hasher.update(&(part.len() as u64).to_be_bytes());
            hasher.update(part.as_bytes());
        }
        CredentialId(hasher.finish())
    }

    /// Whether it is nothing.
    pub const fn is_anonymous(&self) -> bool {
        matches!(self, Self::Anonymous)
    }
}

/// Identifies a credential in a cache. Prints nothing: a hash of a weak password tells it to whoever tries passwords.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CredentialId(Digest);

impl fmt::Debug for CredentialId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CredentialId")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_credential_has_its_own_cache() {
        let all = [
            Credential::Anonymous,
            Credential::basic("a", "bc"),
            Credential::basic("ab", "c"),
            Credential::basic("", "abc"),
            Credential::Identity(Secret::new("abc")),
            Credential::Bearer(Secret::new("abc")),
        ];
        for (place, one) in all.iter().enumerate() {
            for (other_place, other) in all.iter().enumerate() {
                assert_eq!(one.id() == other.id(), place == other_place, "{one:?} {other:?}");
            }
        }
        assert_eq!(format!("{:?}", Credential::basic("a", "canary").id()), "CredentialId");
    }
}
