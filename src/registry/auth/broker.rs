//! Tokens: one fetch for each registry, scope and credential, whoever asks, and a new one before the old one ends.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, StatusCode};
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::Instant;
use url::Url;

use super::super::credentials::{Credential, CredentialId};
use super::super::error::{Cause, Party};
use super::super::refusal::refusal;
use super::super::secret::Secret;
use super::super::transport::{Request, Transport, host_and_port};
use super::super::wire::challenge::Challenge;
use super::super::wire::location;
use super::token::{self, Token};
use super::{Access, basic, bearer};

/// Entries beyond this number are dropped with all that are not in use.
const MAX_ENTRIES: usize = 20_000;

/// What a registry asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Scheme {
    Basic,
    Bearer { realm: Url, service: Option<String> },
}

/// A registry as one holder of a credential sees it.
type Holder = (Url, CredentialId);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct TokenKey {
    holder: Holder,
    realm: Url,
    service: Option<String>,
    scopes: Vec<String>,
}

/// A token, or why there is none, and since when.
#[derive(Debug)]
struct Held {
    token: Result<Token, Cause>,
    since: Instant,
}

type Slot<T> = Arc<AsyncMutex<Option<T>>>;

/// Learns schemes and holds tokens.
#[derive(Debug)]
pub struct Broker {
    transport: Transport,
    schemes: Mutex<HashMap<Holder, Scheme>>,
    probes: Mutex<HashMap<Holder, Slot<()>>>,
    /// Scopes that a registry named, where they are not ours, by ours.
    scopes: Mutex<HashMap<(Holder, String), Vec<String>>>,
    tokens: Mutex<HashMap<TokenKey, Slot<Held>>>,
}

impl Broker {
    pub(super) fn new(transport: Transport) -> Self {
        Self {
            transport,
            schemes: Mutex::default(),
            probes: Mutex::default(),
            scopes: Mutex::default(),
            tokens: Mutex::default(),
        }
    }

    /// What to send; nothing as long as nothing is known.
    pub(super) async fn authorization(&self, access: Access<'_>) -> Result<Option<Secret>, Cause> {
        if let Credential::Bearer(token) = access.credential {
            return Ok(Some(bearer(token)));
        }
        let known = locked(&self.schemes).get(&holder(access)).cloned();
        match (known, access.credential) {
            (Some(Scheme::Basic), Credential::Basic { username, password }) => Ok(Some(basic(username, password))),
            (Some(Scheme::Bearer { realm, service }), credential) => {
                let scopes = locked(&self.scopes).get(&scope_key(access)).cloned().unwrap_or_else(|| access.scopes());
                let key = TokenKey { holder: holder(access), realm, service, scopes };
                self.token(access.registry.base(), key, credential).await.map(|token| Some(bearer(&token)))
            }
            _ => Ok(None),
        }
    }

    /// Asks the registry itself, below its path, for its challenge; once.
    pub(super) async fn probe(&self, access: Access<'_>) -> Result<(), Cause> {
        let slot = slot(&mut locked(&self.probes), &holder(access));
        let mut done = slot.lock().await;
        if done.is_some() || matches!(access.credential, Credential::Bearer(_)) {
            return Ok(());
        }
        let base = access.registry.base();
        let url = base.join("v2/").map_err(|_| location::LocationError::Invalid)?;
        let answer = self.transport.exchange(base, &Request::new(Method::GET, url)).await?;
        if answer.status == StatusCode::UNAUTHORIZED && answer.is_own {
            let challenges = super::challenge::parse(answer.all("www-authenticate"));
            self.learn(access, &challenges, None)?;
        }
        // Whatever else it answered: requests are sent, and their own challenges count.
        *done = Some(());
        Ok(())
    }

    /// Takes in the challenge of a registry; whether another request may fare better than the one with `sent`.
    pub(super) fn learn(
        &self,
        access: Access<'_>,
        challenges: &[Challenge],
        sent: Option<&Secret>,
    ) -> Result<bool, Cause> {
        let Some((scheme, challenge)) = chosen(access, challenges)? else { return Ok(false) };
        let has_credentials = !access.credential.is_anonymous();
        let known = locked(&self.schemes).insert(holder(access), scheme.clone());
        let is_new = known.as_ref() != Some(&scheme);
        let Scheme::Bearer { realm, service } = scheme else { return Ok(is_new && has_credentials) };
        let own = access.scopes();
        let mut wanted: Vec<String> = challenge.get("scope").map(str::to_owned).into_iter().collect();
        wanted.extend(own.iter().filter(|scope| !wanted.contains(scope)).cloned().collect::<Vec<_>>());
        let mut scopes = locked(&self.scopes);
        let before = scopes.get(&scope_key(access)).cloned().unwrap_or(own);
        if before == wanted && sent.is_some() && challenge.get("error") == Some("insufficient_scope") {
            // Its token server was asked for just that already, and gave less.
            return Ok(false);
        }
        if before != wanted {
            bounded(&mut scopes);
            scopes.insert(scope_key(access), wanted.clone());
        }
        drop(scopes);
        let key = TokenKey { holder: holder(access), realm, service, scopes: wanted };
        if let Some(sent) = sent {
            self.forget(&key, sent);
        }
        Ok(true)
    }

    /// Drops a token that was refused; if another request has replaced it by now, that one stays.
    fn forget(&self, key: &TokenKey, sent: &Secret) {
        let slot = locked(&self.tokens).get(key).cloned();
        let Some(slot) = slot else { return };
        // Locked: somebody fetches a new one already.
        let Ok(mut held) = slot.try_lock() else { return };
        let is_sent = |held: &Held| held.token.as_ref().is_ok_and(|token| bearer(&token.value) == *sent);
        if held.as_ref().is_some_and(is_sent) {
            *held = None;
        }
    }

    /// A token for a host that the registry redirected to: anonymous, of its own token server.
    pub(super) async fn foreign(
        &self,
        access: Access<'_>,
        host: &str,
        challenges: &[Challenge],
    ) -> Result<Option<Secret>, Cause> {
        let base = access.registry.base();
        let Some(challenge) = challenges.iter().find(|it| it.scheme == "bearer" && it.get("realm").is_some()) else {
            return Ok(None);
        };
        let realm = location::resolve(base, challenge.get("realm"))?.url;
        let url = Url::parse(&format!("{}://{host}/", base.scheme())).map_err(|_| location::LocationError::Invalid)?;
        let key = TokenKey {
            holder: (url, Credential::Anonymous.id()),
            realm,
            service: challenge.get("service").map(str::to_owned),
            scopes: challenge.get("scope").map(str::to_owned).into_iter().collect(),
        };
        self.token(base, key, &Credential::Anonymous).await.map(|token| Some(bearer(&token)))
    }

    async fn token(&self, registry: &Url, key: TokenKey, credential: &Credential) -> Result<Secret, Cause> {
        let asked = Instant::now();
        let slot = slot(&mut locked(&self.tokens), &key);
        let mut held = slot.lock().await;
        match &*held {
            Some(Held { token: Ok(token), since }) if since.elapsed() < token.fresh_for => {
                return Ok(token.value.clone());
            }
            // It failed while this one waited for it: asking again at once would fail again.
            Some(Held { token: Err(cause), since }) if *since >= asked => return Err(cause.clone()),
            _ => {}
        }
        // From before the request: the token's life began at the latest when the server answered.
        let before = Instant::now();
        let token = self.fetch(registry, &key, credential).await;
        let value = token.as_ref().map(|token| token.value.clone()).map_err(Clone::clone);
        let since = if token.is_ok() { before } else { Instant::now() };
        *held = Some(Held { token, since });
        value
    }

    async fn fetch(&self, registry: &Url, key: &TokenKey, credential: &Credential) -> Result<Token, Cause> {
        let service = key.service.as_deref();
        let request = match credential {
            Credential::Identity(identity) => {
                let mut request = Request::new(Method::POST, key.realm.clone());
                let form = HeaderValue::from_static("application/x-www-form-urlencoded");
                request.headers.insert(CONTENT_TYPE, form);
                request.body = Some(Bytes::from(token::form(service, &key.scopes, identity)));
                request
            }
            Credential::Basic { username, password } => {
                let url = token::query(&key.realm, service, &key.scopes, Some(username));
                let mut request = Request::new(Method::GET, url);
                request.authorization = Some(basic(username, password));
                request
            }
            Credential::Anonymous | Credential::Bearer(_) => {
                Request::new(Method::GET, token::query(&key.realm, service, &key.scopes, None))
            }
        };
        let answer = self.transport.exchange(registry, &request).await?;
        let host = host_and_port(&key.realm);
        if !answer.status.is_success() {
            return Err(refusal(answer, Party::TokenServer(host), None).await);
        }
        let body = answer.body("token", token::MAX_BYTES).await?;
        let invalid = |message: &str| Cause::Invalid { what: "a token", message: format!("{host}: {message}") };
        token::parse(&body).map_err(invalid)
    }
}

/// The challenge to follow: Bearer before Basic, because its tokens are good for less than a password.
fn chosen<'a>(access: Access<'_>, challenges: &'a [Challenge]) -> Result<Option<(Scheme, &'a Challenge)>, Cause> {
    if let Some(challenge) = challenges.iter().find(|it| it.scheme == "bearer" && it.get("realm").is_some()) {
        let realm = location::resolve(access.registry.base(), challenge.get("realm"))?.url;
        let service = challenge.get("service").map(str::to_owned);
        return Ok(Some((Scheme::Bearer { realm, service }, challenge)));
    }
    if let Some(challenge) = challenges.iter().find(|it| it.scheme == "basic") {
        return Ok(Some((Scheme::Basic, challenge)));
    }
    if challenges.is_empty() {
        return Ok(None);
    }
    let schemes: Vec<&str> = challenges.iter().map(|challenge| challenge.scheme.as_str()).collect();
    Err(Cause::Challenge(super::super::wire::error_body::shown(&schemes.join(", ")).unwrap_or_default()))
}

fn holder(access: Access<'_>) -> Holder {
    (access.registry.base().clone(), access.credential.id())
}

fn scope_key(access: Access<'_>) -> (Holder, String) {
    (holder(access), access.scopes().join(" "))
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn slot<K: Clone + Eq + std::hash::Hash, T>(slots: &mut HashMap<K, Slot<T>>, key: &K) -> Slot<T> {
    if slots.len() >= MAX_ENTRIES {
        slots.retain(|_, slot| Arc::strong_count(slot) > 1);
    }
    slots.entry(key.clone()).or_default().clone()
}

fn bounded<K, V>(map: &mut HashMap<K, V>) {
    if map.len() >= MAX_ENTRIES {
        map.clear();
    }
}
