//! Tokens: who gets which, how long they live, and what the answer of the token endpoint looks like.
//!
//! Real registries accept them, too: they are signed, and carry the certificate that signs them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::desk::locked;
use super::user::{Scope, User};
use crate::pki::Authority;

/// The `iss` of tokens.
pub const ISSUER: &str = "mock-tokens";

/// The `service` that tokens are for.
pub const SERVICE: &str = "mock-registry";

/// How long real registries (distribution, since 2015) accept a token after its end. Taken off here, so that tokens end
/// there when they end in the mock.
const LEEWAY: Duration = Duration::from_mins(1);

/// What a token endpoint answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenForm {
    /// How long tokens live.
    pub lifetime: Duration,
    /// Whether the answer has a `token`.
    pub has_token: bool,
    /// Whether it has an `access_token`.
    pub has_access_token: bool,
    /// What it says about the lifetime.
    pub expiry: Expiry,
    /// Whether only the first scope that was asked for is looked at.
    pub first_scope_only: bool,
}

impl Default for TokenForm {
    fn default() -> Self {
        Self {
            lifetime: Duration::from_mins(5),
            has_token: true,
            has_access_token: true,
            expiry: Expiry::Told,
            first_scope_only: false,
        }
    }
}

/// What the answer says about a token's lifetime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// `expires_in`, as it is.
    Told,
    /// Nothing.
    Absent,
    /// `expires_in: 0`.
    Zero,
}

/// A request for a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The user; none for an anonymous client.
    pub user: Option<String>,
    /// The scopes as they were asked for.
    pub asked: Vec<String>,
    /// What was granted.
    pub granted: Vec<Scope>,
    /// Whether it was asked for with a refresh token.
    pub by_refresh: bool,
}

/// What a token that was issued is for.
#[derive(Clone, Debug)]
struct Issued {
    scopes: Vec<Scope>,
    ends: Instant,
}

/// Whether a token is good for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Good,
    Unknown,
    Insufficient,
}

#[derive(Debug, Default)]
struct State {
    users: Vec<User>,
    form: TokenForm,
    issued: BTreeMap<String, Issued>,
    refresh: BTreeMap<String, String>,
    grants: Vec<Grant>,
}

/// An issuer of tokens.
#[derive(Debug)]
pub struct Tokens {
    key: EcdsaKeyPair,
    leaf: String,
    authority: String,
    next: AtomicUsize,
    state: Mutex<State>,
}

impl Tokens {
    /// Tokens for these users. One without a name is every client without credentials.
    ///
    /// # Errors
    ///
    /// If there is no key.
    pub fn new(users: impl IntoIterator<Item = User>) -> Result<Self> {
        let authority = Authority::new(ISSUER)?;
        let certificate = authority.server(&["tokens"])?;
        let leaf = CertificateDer::from_pem_slice(certificate.certificate.as_bytes())?;
        let key = PrivateKeyDer::from_pem_slice(certificate.key.as_bytes())?;
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.secret_der(), &SystemRandom::new());
        Ok(Self {
            key: key.map_err(|error| anyhow!("key of the tokens: {error}"))?,
            leaf: STANDARD.encode(&leaf),
            authority: authority.certificate(),
            next: AtomicUsize::new(1),
            state: Mutex::new(State { users: users.into_iter().collect(), ..State::default() }),
        })
    }

    /// The certificate that a real registry trusts tokens by (`rootcertbundle`), PEM.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Other users, or other passwords; tokens that were issued stay good.
    pub fn set_users(&self, users: impl IntoIterator<Item = User>) {
        self.locked().users = users.into_iter().collect();
    }

    /// Other answers from now on.
    pub fn set_form(&self, form: TokenForm) {
        self.locked().form = form;
    }

    /// A refresh token (identity token) that stands for this user.
    pub fn add_refresh_token(&self, token: &str, user: &str) {
        self.locked().refresh.insert(token.to_owned(), user.to_owned());
    }

    /// Takes back all tokens, but no refresh token.
    pub fn revoke(&self) {
        self.locked().issued.clear();
    }

    /// The requests for tokens so far that were granted, even if nothing was left of them.
    pub fn grants(&self) -> Vec<Grant> {
        self.locked().grants.clone()
    }

    /// Whether a token is good for these scopes now.
    pub(super) fn judge(&self, token: &str, needed: &[Scope]) -> Verdict {
        match self.locked().issued.get(token) {
            Some(issued) if Instant::now() < issued.ends => {
                let covered = needed.iter().all(|scope| issued.scopes.iter().any(|own| own.covers(scope)));
                if covered { Verdict::Good } else { Verdict::Insufficient }
            }
            _ => Verdict::Unknown,
        }
    }

    /// The user of a password; none if it is wrong.
    pub(super) fn by_password(&self, name: &str, password: &str) -> Option<User> {
        let state = self.locked();
        state.users.iter().find(|user| user.name == name && user.password == password).cloned()
    }

    /// The user of a refresh token; none if there is no such token.
    pub(super) fn by_refresh(&self, token: &str) -> Option<User> {
        let state = self.locked();
        let name = state.refresh.get(token)?;
        state.users.iter().find(|user| user.name == *name).cloned()
    }

    /// Who has no credentials.
    pub(super) fn anonymous(&self) -> User {
        self.by_password("", "").unwrap_or_else(User::anonymous)
    }

    /// The answer to a request for a token.
    pub(super) fn issue(&self, user: &User, asked: Vec<String>, refresh: Refresh) -> Result<Value> {
        let form = self.locked().form;
        let count = if form.first_scope_only { 1 } else { asked.len() };
        // One parameter may hold several.
        let words = asked.iter().take(count).flat_map(|scope| scope.split(' '));
        let scopes: Vec<Scope> = words.filter_map(Scope::parse).map(|scope| scope.of(user)).collect();
        let token = self.sign(user, &scopes, form.lifetime)?;
        let mut answer = json!({ "issued_at": Timestamp::now().to_string() });
        for (name, is_there) in [("token", form.has_token), ("access_token", form.has_access_token)] {
            if is_there {
                answer[name] = token.as_str().into();
            }
        }
        match form.expiry {
            Expiry::Told => answer["expires_in"] = form.lifetime.as_secs().into(),
            Expiry::Zero => answer["expires_in"] = 0.into(),
            Expiry::Absent => {}
        }
        let mut state = self.locked();
        if refresh == Refresh::Wanted && !user.name.is_empty() {
            let refresh = format!("refresh-{}", self.next.fetch_add(1, Ordering::Relaxed));
            answer["refresh_token"] = refresh.as_str().into();
            state.refresh.insert(refresh, user.name.clone());
        }
        let named = (!user.name.is_empty()).then(|| user.name.clone());
        let by_refresh = refresh == Refresh::Used;
        state.grants.push(Grant { user: named, asked, granted: scopes.clone(), by_refresh });
        state.issued.insert(token, Issued { scopes, ends: Instant::now() + form.lifetime });
        Ok(answer)
    }

    fn sign(&self, user: &User, scopes: &[Scope], lifetime: Duration) -> Result<String> {
        let now = Timestamp::now();
        let access = scopes
            .iter()
            .filter(|scope| !scope.actions.is_empty())
            .map(|scope| json!({ "type": "repository", "name": scope.repository, "actions": scope.actions }));
        let claims = json!({
            "iss": ISSUER, "aud": SERVICE, "sub": user.name,
            "jti": self.next.fetch_add(1, Ordering::Relaxed).to_string(),
            "iat": now.as_second(), "nbf": now.as_second(),
            "exp": (now + lifetime - LEEWAY).as_second(),
            "access": access.collect::<Vec<_>>(),
        });
        let header = json!({ "typ": "JWT", "alg": "ES256", "x5c": [self.leaf] });
        let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let signed = format!("{}.{}", encode(&header), encode(&claims));
        let signature =
            self.key.sign(&SystemRandom::new(), signed.as_bytes()).ok().context("failed to sign a token")?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }
}

/// What a request has to do with refresh tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refresh {
    Unwanted,
    Wanted,
    Used,
}
