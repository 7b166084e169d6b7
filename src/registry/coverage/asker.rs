//! Asks the questions of many consumers: each with its own credential and authorities, and what they share once.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::LocalBoxFuture;
use tokio::sync::OnceCell;

use super::super::client::Client;
use super::super::credentials::{Credential, CredentialId};
use super::super::distribution::Target;
use super::super::error::{Cause, Failure, Reason};
use super::super::name::{Reference, RegistryAddress, Repository};
use super::super::secret::Secret;
use super::super::wire::digest::{Algorithm, Digest};
use super::check::{Ask, Checker, Progress, prove};
use super::matrix::{Demand, Finding, Findings, Question, TrustId};
use super::payload::PayloadImage;
use super::payloads::Payloads;
use super::release::ReleaseError;
use super::sample::Sample;
use crate::mirrors::ImageReference;

/// The connections of consumers that believe the same authorities.
#[derive(Clone, Debug)]
pub struct Clients {
    /// Certificates are verified.
    pub verified: Client,
    /// They are not: for places that a node's files mark `insecure`.
    pub unverified: Client,
}

/// Which scheme registries are asked with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scheme {
    /// HTTPS; HTTP only at insecure places that refuse HTTPS, as nodes do it.
    #[default]
    Https,
    /// HTTP alone, because somebody asked for it.
    Http,
}

/// Asks, for one round: what it was told it remembers. Hosted clusters that are checked together share one, so that each place
/// is asked once for everybody who asks with the same credential and authorities.
pub struct Asker {
    scheme: Scheme,
    sample: Sample,
    checkers: Mutex<HashMap<TrustId, Arc<Checkers>>>,
    credentials: Mutex<HashMap<CredentialId, Result<Arc<Credential>, String>>>,
    answers: Mutex<HashMap<Question, Arc<OnceCell<Finding>>>>,
    /// Insecure registries, and whether they refuse HTTPS.
    refuse_https: Mutex<HashMap<(TrustId, String), RefusesHttps>>,
    payloads: Arc<Payloads>,
}

/// Asked once for each registry, whoever needs it.
type RefusesHttps = Arc<OnceCell<bool>>;

struct Checkers {
    clients: Clients,
    verified: Checker,
    unverified: Checker,
}

impl fmt::Debug for Asker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asker").finish_non_exhaustive()
    }
}

impl TrustId {
    /// That of authorities in PEM; none: that of the system's alone.
    pub fn of(authorities: &[u8]) -> Self {
        if authorities.is_empty() {
            return Self::default();
        }
        Self(Digest::of(Algorithm::Sha256, authorities).hex().into())
    }
}

/// A question in the terms of the client.
struct Asked {
    repository: Repository,
    reference: Reference,
    credential: Arc<Credential>,
    checkers: Arc<Checkers>,
    is_insecure: bool,
}

impl Asked {
    fn target(&self) -> Target<'_> {
        Target { repository: &self.repository, credential: &self.credential }
    }

    fn client(&self) -> &Client {
        self.checkers.client(self.is_insecure)
    }

    fn checker(&self) -> &Checker {
        if self.is_insecure { &self.checkers.unverified } else { &self.checkers.verified }
    }
}

impl Checkers {
    const fn client(&self, is_insecure: bool) -> &Client {
        if is_insecure { &self.clients.unverified } else { &self.clients.verified }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Asker {
    /// Nobody is known yet. `payloads` may outlive it: the payload of a release never changes.
    pub fn new(scheme: Scheme, sample: Sample, payloads: Arc<Payloads>) -> Self {
        Self {
            scheme,
            sample,
            checkers: Mutex::default(),
            credentials: Mutex::default(),
            answers: Mutex::default(),
            refuse_https: Mutex::default(),
            payloads,
        }
    }

    /// Consumers that believe these authorities are asked for with these connections. The first ones stay.
    pub fn trust(&self, trust: TrustId, clients: &Clients) {
        let checker = |client| Checker::sampling(client, self.sample);
        let checkers = || {
            Arc::new(Checkers {
                verified: checker(&clients.verified),
                unverified: checker(&clients.unverified),
                clients: clients.clone(),
            })
        };
        locked(&self.checkers).entry(trust).or_insert_with(checkers);
    }

    /// A credential that questions may name.
    pub fn credential(&self, credential: Credential) -> CredentialId {
        let id = credential.id();
        locked(&self.credentials).insert(id.clone(), Ok(Arc::new(credential)));
        id
    }

    /// A credential that nobody has: whoever asks with it is told why.
    pub fn no_credential(&self, why: &str) -> CredentialId {
        let id = Credential::Bearer(Secret::new(format!("\0{why}"))).id();
        locked(&self.credentials).insert(id.clone(), Err(why.to_owned()));
        id
    }

    /// How many blobs were read whole.
    pub fn hashed(&self) -> usize {
        let checkers = locked(&self.checkers);
        checkers.values().map(|checkers| checkers.verified.hashed() + checkers.unverified.hashed()).sum()
    }

    /// What registries want people to know, each once.
    pub fn take_notices(&self) -> Vec<String> {
        let checkers = locked(&self.checkers);
        let clients = checkers.values().flat_map(|it| [&it.clients.verified, &it.clients.unverified]);
        clients.flat_map(Client::take_notices).collect()
    }

    /// Asks until nothing is open.
    pub async fn prove(&self, demands: &[Demand], on_progress: impl Fn(Progress)) -> Findings {
        prove(demands, self, on_progress).await
    }

    /// The payload of a release from the first place that gives it.
    ///
    /// # Errors
    /// Why none of them does, in their order.
    pub async fn payload(&self, places: &[Question]) -> Result<Arc<[PayloadImage]>, Vec<String>> {
        let mut errors = Vec::new();
        for place in places {
            match self.prepare(place).await {
                Ok(asked) => match self.payloads.read(asked.client(), asked.target(), &asked.reference).await {
                    Ok(images) => return Ok(images),
                    // The next place has the same image: another answer would be of another one.
                    Err(error @ ReleaseError::NoRelease(_)) => return Err(vec![error.to_string()]),
                    Err(error) => errors.push(error.to_string()),
                },
                Err(Finding::Unknown(_, message)) => errors.push(message),
                Err(_) => {}
            }
        }
        Err(errors)
    }

    async fn prepare(&self, question: &Question) -> Result<Asked, Finding> {
        let invalid = |error: &dyn fmt::Display| Finding::Unknown(Reason::Invalid, error.to_string());
        let unavailable = |why: &str| {
            let message = format!("no credentials for {}: {why}", question.reference);
            Finding::Unknown(Reason::CredentialsUnavailable, message)
        };
        let image = ImageReference::parse(&question.reference).map_err(|error| invalid(&error))?;
        let reference = Reference::of(&image).map_err(|error| invalid(&error))?;
        let mut repository = Repository::of(&image).map_err(|error| invalid(&error))?;
        let known = locked(&self.credentials).get(&question.credential).cloned();
        let credential = match known {
            Some(Ok(credential)) => credential,
            Some(Err(why)) => return Err(unavailable(&why)),
            None => return Err(unavailable("they are not known")),
        };
        let checkers = locked(&self.checkers).get(&question.trust).cloned();
        let checkers = checkers.ok_or_else(|| invalid(&"unknown authorities"))?;
        let client = checkers.client(question.is_insecure);
        let is_plain = self.scheme == Scheme::Http
            || question.is_insecure && self.refuses_https(question, client, &repository.registry, &credential).await;
        if is_plain {
            repository.registry = repository.registry.over_http();
        }
        Ok(Asked { repository, reference, credential, checkers, is_insecure: question.is_insecure })
    }

    async fn answer(&self, question: &Question) -> Finding {
        match self.prepare(question).await {
            Ok(asked) => asked.checker().check(asked.target(), &asked.reference, question.level).await,
            Err(finding) => finding,
        }
    }

    /// Whether nothing at a registry speaks TLS. A time-out is no refusal: whoever drops packets must not get to see
    /// credentials.
    async fn refuses_https(
        &self,
        question: &Question,
        client: &Client,
        registry: &RegistryAddress,
        credential: &Credential,
    ) -> bool {
        let key = (question.trust.clone(), registry.name().to_owned());
        let known = locked(&self.refuse_https).entry(key).or_default().clone();
        let ping = async || {
            let answer = client.as_probe().ping(registry, credential).await;
            let failure = answer.err().map(|error| error.cause);
            matches!(failure, Some(Cause::Unreachable { failure: Failure::Connect | Failure::Tls, .. }))
        };
        *known.get_or_init(ping).await
    }
}

impl Ask for Asker {
    fn ask<'a>(&'a self, question: &'a Question) -> LocalBoxFuture<'a, Finding> {
        let slot = locked(&self.answers).entry(question.clone()).or_default().clone();
        Box::pin(async move { slot.get_or_init(|| self.answer(question)).await.clone() })
    }
}

#[cfg(test)]
mod tests;
