//! All credentials of one holder: a user of the command line, or an object and its Secrets.

use std::sync::Arc;

use super::super::credentials::Credential;
use super::super::credentials::auth_file::AuthFile;
use super::super::credentials::ecr::EcrHost;
use super::super::error::Cause;
use super::super::name::Repository;
use super::ecr::Ecr;

/// Looks credentials up.
#[derive(Debug, Default)]
pub struct Keychain {
    /// For every repository, because somebody named it for this one.
    pub explicit: Option<Credential>,
    /// In the order in which they count.
    pub files: Vec<AuthFile>,
    /// For registries of ECR for which no file has a credential.
    pub ecr: Option<Arc<Ecr>>,
}

impl Keychain {
    /// The credential for a repository; anonymous, if there is none.
    ///
    /// # Errors
    /// AWS did not give one.
    pub async fn credential(&self, repository: &Repository) -> Result<Credential, Cause> {
        if let Some(explicit) = &self.explicit {
            return Ok(explicit.clone());
        }
        if let Some(found) = self.files.iter().find_map(|file| file.find(repository)) {
            return Ok(found.clone());
        }
        let host = repository.registry.base().host_str().and_then(EcrHost::parse);
        match (&self.ecr, host) {
            (Some(ecr), Some(host)) => ecr.credential(&host).await,
            _ => Ok(Credential::Anonymous),
        }
    }

    /// What was left out of the files, and why.
    pub fn warnings(&self) -> impl Iterator<Item = &str> {
        self.files.iter().flat_map(|file| &file.warnings).map(String::as_str)
    }
}
