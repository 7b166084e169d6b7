//! What commands that ask registries have in common: how they are reached, and with which credentials.

use std::collections::BTreeSet;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;

use super::{Usage, console};
use crate::process::flags::parse_duration;
use crate::registry::auth::ecr::Ecr;
use crate::registry::auth::keychain::Keychain;
use crate::registry::coverage::asker::{Clients, Scheme};
use crate::registry::credentials::auth_file::AuthFile;
use crate::registry::credentials::ecr;
use crate::registry::credentials::files::{AuthFiles, auth_files};
use crate::registry::policy::PolicyOptions;
use crate::registry::proxy::Proxies;
use crate::registry::requests::RequestTally;
use crate::registry::transport::tls::TlsOptions;
use crate::registry::transport::{Transport, TransportOptions};
use crate::registry::{Client, Credential};

/// A password or token has fewer bytes.
const MAX_PASSWORD_BYTES: u64 = 64 * 1024;

/// How registries are reached.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Registries")]
pub struct ReachArgs {
    /// File with credentials, as podman and docker write it (default: their usual files)
    #[arg(long, value_name = "FILE")]
    authfile: Option<PathBuf>,
    /// PEM file with more certificate authorities; may be repeated
    #[arg(long, value_name = "FILE")]
    certificate_authority: Vec<PathBuf>,
    /// PEM file with a client certificate for the registry
    #[arg(long, value_name = "FILE", requires = "client_key")]
    client_certificate: Option<PathBuf>,
    /// PEM file with the private key of --client-certificate
    #[arg(long, value_name = "FILE", requires = "client_certificate")]
    client_key: Option<PathBuf>,
    /// Accept any certificate of the registry and of its token server
    #[arg(long)]
    insecure_skip_tls_verify: bool,
    /// Use HTTP instead of HTTPS: credentials are sent in the clear
    #[arg(long)]
    pub plain_http: bool,
    /// Host in a narrower network to which a registry may lead
    #[arg(long, value_name = "HOST")]
    trusted_host: Vec<String>,
    /// Longest time that a request waits because the registry limits requests
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = parse_duration)]
    max_wait: Duration,
}

/// How one registry is reached, and by whom.
#[derive(Args, Debug)]
#[command(next_help_heading = "Registries")]
pub struct RegistryArgs {
    #[command(flatten)]
    pub reach: ReachArgs,
    /// User of the registry; takes the password from standard input
    #[arg(long, value_name = "NAME", requires = "password_stdin")]
    username: Option<String>,
    /// Read the password of --username from standard input
    #[arg(long, requires = "username", conflicts_with = "authfile")]
    password_stdin: bool,
}

/// A client and what it shows registries.
pub struct Access {
    /// The client.
    pub client: Client,
    /// Its credentials.
    pub keychain: Keychain,
    /// What it sends.
    pub requests: RequestTally,
}

impl RegistryArgs {
    /// Reads files and environment, and sets up a client. Nothing is connected yet.
    pub fn access(&self) -> Result<Access> {
        self.reach.warn();
        let explicit = match &self.username {
            Some(username) => Some(Credential::basic(username, password()?)),
            None => None,
        };
        let keychain = Keychain { explicit, ..self.reach.keychain()? };
        Ok(Access { keychain, ..self.reach.access_without_keychain()? })
    }
}

impl ReachArgs {
    /// Whether a file with credentials was passed.
    pub fn names_credentials(&self) -> bool {
        self.authfile.is_some()
    }

    /// The connections of consumers that believe these authorities in PEM besides those of the system and of the flags.
    pub fn clients(&self, authorities: &[u8]) -> Result<Clients> {
        let verified = self.client(authorities, self.insecure_skip_tls_verify)?;
        Ok(Clients { verified, unverified: self.client(authorities, true)? })
    }

    /// The scheme for registries.
    pub fn scheme(&self) -> Scheme {
        if self.plain_http { Scheme::Http } else { Scheme::Https }
    }

    /// A client with the credentials of the user. Nothing is connected yet.
    pub fn access(&self) -> Result<Access> {
        Ok(Access { keychain: self.keychain()?, ..self.access_without_keychain()? })
    }

    /// Access to registries of AWS by the identity of the environment, if there is one.
    fn ecr() -> Result<Option<Arc<Ecr>>> {
        let identity = ecr::of_environment(variable).map_err(anyhow::Error::msg)?;
        let proxies = Proxies::of_environment(variable)?;
        Ok(identity.map(|(identity, endpoints)| Ecr::new(identity, endpoints, proxies)).transpose()?.map(Arc::new))
    }

    /// Warns of flags that weaken connections.
    pub fn warn(&self) {
        if self.insecure_skip_tls_verify {
            console::warning("certificates are not verified: whoever answers sees the credentials");
        }
    }

    fn access_without_keychain(&self) -> Result<Access> {
        let requests = RequestTally::default();
        let client = self.counted_client(&[], self.insecure_skip_tls_verify, &requests)?;
        Ok(Access { client, keychain: Keychain::default(), requests })
    }

    fn client(&self, authorities: &[u8], skips_verification: bool) -> Result<Client> {
        self.counted_client(authorities, skips_verification, &RequestTally::default())
    }

    fn counted_client(&self, authorities: &[u8], skips_verification: bool, requests: &RequestTally) -> Result<Client> {
        let mut tls = TlsOptions::default();
        for file in &self.certificate_authority {
            let invalid = |_| Usage::error(format!("{}: it is no PEM file with certificates", file.display()));
            tls.add_authorities(&read(file)?).map_err(invalid)?;
        }
        if !authorities.is_empty() {
            tls.add_authorities(authorities)?;
        }
        if let (Some(certificate), Some(key)) = (&self.client_certificate, &self.client_key) {
            let set = tls.set_identity(&read(certificate)?, &read(key)?);
            set.with_context(|| format!("{} and {}", certificate.display(), key.display()))?;
        }
        if skips_verification {
            tls.skip_verification();
        }
        let proxies = Proxies::of_environment(variable)?;
        let trusted_hosts: BTreeSet<String> = self.trusted_host.iter().cloned().collect();
        let observer = Some(requests.observer());
        let transport =
            Transport::new(TransportOptions { tls, proxies, trusted_hosts, observer, ..TransportOptions::default() })?;
        let options = PolicyOptions { max_wait: self.max_wait, ..PolicyOptions::default() };
        Ok(Client::telling(transport, options, requests.on_limit()))
    }

    /// The credentials of the user. What is left out of files is warned of.
    pub fn keychain(&self) -> Result<Keychain> {
        let files = match auth_files(self.authfile.clone(), variable) {
            AuthFiles::Named(path) => vec![auth_file(&path, &read(&path)?)?],
            AuthFiles::Default(paths) => {
                let existing = paths.iter().filter_map(|path| Some((path, std::fs::read(path).ok()?)));
                existing.map(|(path, bytes)| auth_file(path, &bytes)).collect::<Result<_>>()?
            }
        };
        let keychain = Keychain { explicit: None, files, ecr: Self::ecr()? };
        for warning in keychain.warnings() {
            console::warning(warning);
        }
        Ok(keychain)
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn read(path: &Path) -> Result<Vec<u8>> {
    // Somebody named it.
    std::fs::read(path).map_err(|error| Usage::error(format!("failed to read {}: {error}", path.display())))
}

fn auth_file(path: &Path, bytes: &[u8]) -> Result<AuthFile> {
    AuthFile::parse(bytes).with_context(|| format!("failed to read {}", path.display()))
}

/// The first line of standard input; never an argument, which every user of the machine can list.
fn password() -> Result<String> {
    let mut text = String::new();
    io::stdin().take(MAX_PASSWORD_BYTES).read_to_string(&mut text).context("failed to read the password")?;
    let password = text.lines().next().unwrap_or_default();
    if password.is_empty() {
        return Err(Usage::error("--password-stdin: standard input has no password"));
    }
    Ok(password.to_owned())
}
