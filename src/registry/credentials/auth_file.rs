//! Files of credentials: dockerconfigjson Secrets, `config.json` of docker, `auth.json` of podman (containers-auth.json(5)).

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;

use super::super::name::{DOCKER_HUB_NAMES, Repository};
use super::super::secret::Secret;
use super::Credential;

/// A Secret has at most 1 MiB.
const MAX_BYTES: usize = 1024 * 1024;
const DOCKER_HUB: &str = DOCKER_HUB_NAMES[0];
/// The user name with which docker says that the password is an identity token.
const TOKEN_USER: &str = "<token>";
/// Tools write `auth` with padding and without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Why a file holds no credentials at all. Never contains a part of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthFileError {
    /// Over 1 MiB.
    #[error("the credentials have more than 1 MiB")]
    TooLarge,
    /// No JSON, or not of this shape.
    #[error("the credentials are not JSON with the field \"auths\" (at line {line}, column {column})")]
    Json {
        /// Where reading ended.
        line: usize,
        /// Where reading ended.
        column: usize,
    },
}

/// The credentials of a file, looked up by registry and repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthFile {
    entries: BTreeMap<String, Credential>,
    /// What was left out and why: keys, never values.
    pub warnings: Vec<String>,
}

#[derive(Deserialize)]
struct RawFile {
    auths: Option<BTreeMap<String, RawEntry>>,
    #[serde(default, rename = "credsStore")]
    store: Option<String>,
    #[serde(default, rename = "credHelpers")]
    helpers: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize, Default)]
struct RawEntry {
    #[serde(default)]
    auth: Option<String>,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    password: Option<String>,
    #[serde(default, rename = "identitytoken")]
    identity_token: Option<String>,
    #[serde(default, rename = "registrytoken")]
    registry_token: Option<String>,
}

impl AuthFile {
    /// Reads a file: with `auths`, or in the form of `.dockercfg`, which has its content at the top.
    ///
    /// Programs that a file names (`credsStore`, `credHelpers`) are never run: whoever writes a Secret would choose what
    /// runs here. They are in [`Self::warnings`].
    ///
    /// # Errors
    /// [`AuthFileError`]. An entry that is wrong is left out with a warning, and the others count.
    pub fn parse(bytes: &[u8]) -> Result<Self, AuthFileError> {
        if bytes.len() > MAX_BYTES {
            return Err(AuthFileError::TooLarge);
        }
        let located = |error: &serde_json::Error| AuthFileError::Json { line: error.line(), column: error.column() };
        let raw: RawFile = serde_json::from_slice(bytes).map_err(|error| located(&error))?;
        let has_helpers = raw.store.is_some() || raw.helpers.is_some();
        let auths = match raw.auths {
            Some(auths) => auths,
            None if has_helpers => BTreeMap::new(),
            None => serde_json::from_slice(bytes).map_err(|error| located(&error))?,
        };
        let mut file = Self::default();
        file.warn_of_helpers(raw.store.as_deref(), &raw.helpers.unwrap_or_default());
        let mut ranks = BTreeMap::new();
        for (key, entry) in auths {
            file.add(&key, entry, &mut ranks);
        }
        Ok(file)
    }

    fn warn_of_helpers(&mut self, store: Option<&str>, helpers: &BTreeMap<String, String>) {
        if let Some(store) = store.filter(|store| !store.is_empty()) {
            self.warnings.push(format!("credsStore {store:?} is ignored: credential helpers are not run"));
        }
        for (key, helper) in helpers {
            self.warnings.push(format!("credHelpers {helper:?} for {key} is ignored: credential helpers are not run"));
        }
    }

    /// Of several spellings of one key the one that references use counts, whatever their order in the file.
    fn add(&mut self, key: &str, entry: RawEntry, ranks: &mut BTreeMap<String, u8>) {
        let Some((key_name, rank)) = normalised(key) else {
            self.warnings.push(format!("the entry {key:?} is ignored: its key names no registry"));
            return;
        };
        let credential = match entry.credential() {
            Ok(credential) => credential,
            Err(reason) => {
                self.warnings.push(format!("the entry {key:?} is ignored: {reason}"));
                return;
            }
        };
        if ranks.get(&key_name).is_none_or(|known| rank < *known) {
            ranks.insert(key_name.clone(), rank);
            self.entries.insert(key_name, credential);
        }
    }

    /// The credential for a repository: of the longest key that is its registry, or its registry and a part of its path.
    pub fn find(&self, repository: &Repository) -> Option<&Credential> {
        let registry = repository.registry.name();
        let mut name = format!("{registry}/{}", repository.path());
        loop {
            if let Some(credential) = self.entries.get(&name) {
                return Some(credential);
            }
            if name == registry {
                return self.find_by_pattern(registry);
            }
            name.truncate(name.rfind('/')?);
        }
    }

    /// Keys such as `*.corp.example`, as the kubelet reads them: a star is one label.
    fn find_by_pattern(&self, registry: &str) -> Option<&Credential> {
        let matches = |pattern: &str| {
            let (labels, asked) = (pattern.split('.'), registry.split('.'));
            labels.clone().count() == asked.clone().count()
                && labels.zip(asked).all(|(label, own)| label == "*" || label == own)
        };
        self.entries.iter().find(|(key, _)| key.contains('*') && matches(key)).map(|(_, credential)| credential)
    }

    /// All credentials by their keys: a registry, or a registry and a part of a path.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Credential)> {
        self.entries.iter().map(|(key, credential)| (key.as_str(), credential))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl RawEntry {
    fn credential(self) -> Result<Credential, &'static str> {
        let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
        if let Some(token) = filled(self.registry_token) {
            return Ok(Credential::Bearer(Secret::new(token)));
        }
        if let Some(token) = filled(self.identity_token) {
            return Ok(Credential::Identity(Secret::new(token)));
        }
        let (username, password) = match filled(self.auth) {
            Some(auth) => decoded(&auth)?,
            None => match (filled(self.username), filled(self.password)) {
                (Some(username), Some(password)) => (username, password),
                (None, None) => return Err("it is empty, as with a credential helper, and none is run"),
                _ => return Err("it has a username or a password, but not both"),
            },
        };
        if username == TOKEN_USER {
            return Ok(Credential::Identity(Secret::new(password)));
        }
        Ok(Credential::basic(username, password))
    }
}

fn decoded(auth: &str) -> Result<(String, String), &'static str> {
    let bytes = BASE64.decode(auth.trim()).map_err(|_| "its field auth is not base64")?;
    let text = String::from_utf8(bytes).map_err(|_| "its field auth is not UTF-8")?;
    // Old versions of docker pad the password with zeros.
    let (username, password) =
        text.trim_end_matches('\0').split_once(':').ok_or("its field auth is not USERNAME:PASSWORD")?;
    Ok((username.to_owned(), password.to_owned()))
}

/// A key as references have it, and how far from that it was written.
fn normalised(key: &str) -> Option<(String, u8)> {
    let (without_scheme, has_scheme) = match key.split_once("://") {
        Some(("http" | "https", rest)) => (rest, true),
        Some(_) => return None,
        None => (key, false),
    };
    let trimmed = without_scheme.trim_end_matches('/');
    let is_api = |name: &&str| ["/v1", "/v2"].contains(name);
    let path_start = trimmed.find('/').unwrap_or(trimmed.len());
    let (host, path) = trimmed.split_at(path_start);
    let path = if is_api(&path) { "" } else { path };
    let host = host.strip_suffix(":443").unwrap_or(host).to_ascii_lowercase();
    if host.is_empty() {
        return None;
    }
    let hub = DOCKER_HUB_NAMES.iter().position(|name| *name == host);
    let rank = u8::try_from(hub.unwrap_or_default()).unwrap_or(u8::MAX) * 2 + u8::from(has_scheme);
    let host = if hub.is_some() { DOCKER_HUB.to_owned() } else { host };
    Some((format!("{host}{path}"), rank))
}

#[cfg(test)]
mod tests;
