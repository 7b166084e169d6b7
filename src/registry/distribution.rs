//! Typed calls of the distribution API. Nothing is ever deleted. Each call is made once: retries and pacing are above.

mod blobs;
mod catalog;
mod content;
mod manifests;
mod notices;
mod referrers;
pub mod tags;
mod uploads;

use std::fmt;
use std::sync::Arc;

use http::Method;
use url::Url;

use super::auth::{Access, Auth};
use super::credentials::Credential;
use super::error::{Cause, Party, Place, RegistryError};
use super::name::{RegistryAddress, Repository};
use super::quirks::Quirks;
use super::refusal::refusal;
use super::transport::{Answer, Outgoing, Request, SendFailure, Transport};
use super::wire::location::LocationError;
use super::wire::rate_limit::{self, RateLimit};
pub use blobs::{BlobStream, BlobTail};
pub use catalog::CatalogPaging;
pub use manifests::{Fetched, Head, Pushed};
use notices::Notices;
pub use referrers::Referrers;
pub use uploads::{Begun, Part, Posted, Sent, Session};

/// A repository and what its registry is shown.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The repository.
    pub repository: &'a Repository,
    /// The credential for it, of whoever asks.
    pub credential: &'a Credential,
}

/// Called with each budget that a registry announces.
pub type OnRateLimit = Arc<dyn Fn(&RegistryAddress, &Credential, RateLimit) + Send + Sync>;

/// The calls.
pub struct Api {
    auth: Auth,
    notices: Notices,
    on_rate_limit: OnRateLimit,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("auth", &self.auth).finish_non_exhaustive()
    }
}

impl Api {
    /// Over these connections.
    pub fn new(transport: Transport, on_rate_limit: OnRateLimit) -> Self {
        Self { auth: Auth::new(transport), notices: Notices::default(), on_rate_limit }
    }

    /// What registries want people to know (`Warning` headers), each once, since the last call.
    pub fn take_notices(&self) -> Vec<String> {
        self.notices.take()
    }

    /// Asks whether the registry speaks the API and takes the credential.
    ///
    /// # Errors
    /// It does not.
    pub async fn ping(&self, registry: &RegistryAddress, credential: &Credential) -> Result<(), RegistryError> {
        let failed = |cause| {
            let place = Place { registry: registry.name().to_owned(), repository: String::new(), reference: None };
            RegistryError { operation: "reach the registry", place, cause }
        };
        let url = address(registry, "").map_err(failed)?;
        let access = Access::pull(registry, credential, None);
        let answer = self.exchange(access, Request::new(Method::GET, url)).await.map_err(failed)?;
        if answer.status.is_success() { Ok(()) } else { Err(failed(self.refused(registry, answer).await)) }
    }

    /// One request with authentication. Answers that refuse are answers.
    async fn exchange(&self, access: Access<'_>, request: Request) -> Result<Answer, Cause> {
        let answer = self.auth.exchange(access, request).await?;
        self.take_in(access, &answer);
        Ok(answer)
    }

    /// What a registry says besides.
    fn take_in(&self, access: Access<'_>, answer: &Answer) {
        if answer.is_own {
            self.notices.note(access.registry.name(), answer.all("warning"));
            if let Some(limit) = rate_limit::parse(|name| answer.header(name)) {
                (self.on_rate_limit)(access.registry, access.credential, limit);
            }
        }
    }

    /// The same for something below a repository.
    async fn ask(&self, target: Target<'_>, request: Request) -> Result<Answer, Cause> {
        let Target { repository, credential } = target;
        self.exchange(Access::pull(&repository.registry, credential, Some(repository.path())), request).await
    }

    /// The same to write; a mount also reads `from`.
    async fn push(&self, target: Target<'_>, from: Option<&str>, request: Request) -> Result<Answer, Cause> {
        let Target { repository, credential } = target;
        self.exchange(Access::push(&repository.registry, credential, repository.path(), from), request).await
    }

    /// The same with a body that cannot be sent a second time; whether it may fare better once more.
    async fn push_stream(
        &self,
        target: Target<'_>,
        request: Request,
        outgoing: Outgoing,
    ) -> Result<(Answer, bool), SendFailure> {
        let Target { repository, credential } = target;
        let access = Access::push(&repository.registry, credential, repository.path(), None);
        let answered = self.auth.send_stream(access, request, outgoing).await?;
        self.take_in(access, &answered.0);
        Ok(answered)
    }

    async fn refused(&self, registry: &RegistryAddress, answer: Answer) -> Cause {
        let by = if answer.is_own { Party::Registry } else { Party::Storage(answer.host.clone()) };
        let quirks = Quirks::of_answer(registry, |name| answer.header(name));
        refusal(answer, by, Some(quirks)).await
    }
}

/// The address of something below `v2/`.
fn address(registry: &RegistryAddress, below: &str) -> Result<Url, Cause> {
    Ok(registry.base().join(&format!("v2/{below}")).map_err(|_| LocationError::Invalid)?)
}

fn error(
    operation: &'static str,
    target: Target<'_>,
    reference: Option<&dyn fmt::Display>,
    cause: Cause,
) -> RegistryError {
    RegistryError { operation, place: Place::of(target.repository, reference.map(ToString::to_string)), cause }
}

#[cfg(test)]
mod tests;
