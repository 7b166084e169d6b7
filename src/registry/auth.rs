//! Authentication: learns from challenges, fetches tokens once for everybody who needs them, sends requests again with them.

mod broker;
pub mod ecr;
pub mod keychain;
pub mod token;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::credentials::Credential;
use super::error::Cause;
use super::name::RegistryAddress;
use super::secret::Secret;
use super::transport::{Answer, Outgoing, Request, SendFailure, Transport};
use super::wire::challenge;
use super::wire::location::is_same_host;
pub use broker::Broker;

/// The first request, one with what its challenge asked for, and one with a fresh token if that was not enough.
const ATTEMPTS: usize = 3;

/// Who asks for what.
#[derive(Clone, Copy, Debug)]
pub struct Access<'a> {
    /// The registry.
    pub registry: &'a RegistryAddress,
    /// What it is shown.
    pub credential: &'a Credential,
    /// The path of the repository; nothing for the registry itself.
    pub path: Option<&'a str>,
    action: Action,
    from: Option<&'a str>,
}

/// What is done with a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Pull,
    Push,
}

impl<'a> Access<'a> {
    /// To read.
    pub const fn pull(registry: &'a RegistryAddress, credential: &'a Credential, path: Option<&'a str>) -> Self {
        Self { registry, credential, path, action: Action::Pull, from: None }
    }

    /// To write; a mount also reads the repository `from`.
    pub const fn push(
        registry: &'a RegistryAddress,
        credential: &'a Credential,
        path: &'a str,
        from: Option<&'a str>,
    ) -> Self {
        Self { registry, credential, path: Some(path), action: Action::Push, from }
    }

    fn scopes(&self) -> Vec<String> {
        let actions = if self.action == Action::Push { "pull,push" } else { "pull" };
        let own = self.path.map(|path| format!("repository:{path}:{actions}"));
        own.into_iter().chain(self.from.map(|from| format!("repository:{from}:pull"))).collect()
    }
}

/// Sends requests with what the registry asks for.
#[derive(Debug)]
pub struct Auth {
    transport: Transport,
    broker: Broker,
}

impl Auth {
    /// Over these connections.
    pub fn new(transport: Transport) -> Self {
        Self { broker: Broker::new(transport.clone()), transport }
    }

    /// Sends a request; if the registry answers 401, once more with what it asks for.
    ///
    /// # Errors
    /// No answer, or no token. An answer 401 is one that authentication did not help.
    pub async fn exchange(&self, access: Access<'_>, mut request: Request) -> Result<Answer, Cause> {
        let base = access.registry.base();
        if !is_same_host(base, &request.url) {
            // Where a registry sends an upload on: another host gets nothing of ours.
            return self.transport.exchange(base, &request).await;
        }
        self.probe(access).await?;
        for attempt in 1..=ATTEMPTS {
            request.authorization = self.broker.authorization(access).await?;
            let answer = self.transport.exchange(base, &request).await?;
            if answer.status != http::StatusCode::UNAUTHORIZED || attempt == ATTEMPTS {
                return Ok(answer);
            }
            let challenges = challenge::parse(answer.all("www-authenticate"));
            let goes_on = if answer.is_own {
                self.broker.learn(access, &challenges, request.authorization.as_ref())?
            } else if request.foreign_authorization.is_none() {
                // An object store or a token server of somebody else: it gets a token of its own, never ours.
                let token = self.broker.foreign(access, &answer.host, &challenges).await?;
                request.foreign_authorization = token.map(|token| (answer.host.clone(), token));
                request.foreign_authorization.is_some()
            } else {
                false
            };
            if !goes_on {
                return Ok(answer);
            }
        }
        Err(Cause::Challenge("it asks again and again".to_owned()))
    }

    /// Sends a request whose body cannot be sent a second time. If the registry answers 401, takes in what it asks for, and says
    /// whether the caller may fare better with the same body once more.
    ///
    /// # Errors
    /// No answer, no token, or the body ended.
    pub async fn send_stream(
        &self,
        access: Access<'_>,
        mut request: Request,
        outgoing: Outgoing,
    ) -> Result<(Answer, bool), SendFailure> {
        let base = access.registry.base();
        if !is_same_host(base, &request.url) {
            return Ok((self.transport.send_stream(base, &request, outgoing).await?, false));
        }
        self.probe(access).await?;
        request.authorization = self.broker.authorization(access).await?;
        let answer = self.transport.send_stream(base, &request, outgoing).await?;
        if answer.status != http::StatusCode::UNAUTHORIZED {
            return Ok((answer, false));
        }
        let challenges = challenge::parse(answer.all("www-authenticate"));
        let goes_on = self.broker.learn(access, &challenges, request.authorization.as_ref())?;
        Ok((answer, goes_on))
    }

    /// Some registries answer anonymous requests for private repositories with 404. So with credentials they are asked first
    /// what they want, once for each credential.
    async fn probe(&self, access: Access<'_>) -> Result<(), Cause> {
        if access.credential.is_anonymous() {
            return Ok(());
        }
        self.broker.probe(access).await
    }
}

/// `Basic`, as RFC 7617 encodes it.
fn basic(username: &str, password: &Secret) -> Secret {
    Secret::new(format!("Basic {}", BASE64_STANDARD.encode(format!("{username}:{}", password.reveal()))))
}

fn bearer(token: &Secret) -> Secret {
    Secret::new(format!("Bearer {}", token.reveal()))
}

#[cfg(test)]
mod tests;
