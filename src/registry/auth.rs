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
use super::transport::{Answer, Request, Transport};
use super::wire::challenge;
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
}

impl Access<'_> {
    fn scopes(&self) -> Vec<String> {
        self.path.map(|path| format!("repository:{path}:pull")).into_iter().collect()
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
