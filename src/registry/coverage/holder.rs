//! What a consumer shows registries and whom it believes: credentials looked up for each repository, and authorities.

use std::collections::HashMap;

use super::super::auth::keychain::Keychain;
use super::super::credentials::Credential;
use super::super::name::Repository;
use super::asker::Asker;
use super::demand::{Closeness, Pull, Shown};
use super::matrix::{Demand, Question, TrustId};
use crate::mirrors::ImageReference;

/// Places that are tried for the payload of one release.
const MAX_PLACES: usize = 32;

/// The credentials and authorities of one hosted cluster, or of a user.
#[derive(Debug)]
pub struct Holder {
    /// Or why there are none: then nobody is asked with those of somebody else.
    keychain: Result<Keychain, String>,
    trust: TrustId,
    known: HashMap<String, Shown>,
}

impl Holder {
    /// With these.
    pub fn new(keychain: Result<Keychain, String>, trust: TrustId) -> Self {
        Self { keychain, trust, known: HashMap::new() }
    }

    /// What has to be asked for a pull.
    pub async fn demand(&mut self, asker: &Asker, pull: &Pull, closeness: &Closeness) -> Demand {
        for endpoint in &pull.endpoints {
            self.look_up(asker, &endpoint.reference).await;
        }
        pull.demand(closeness, |reference| self.shown(reference))
    }

    /// What has to be asked for pulls.
    pub async fn demands(&mut self, asker: &Asker, pulls: &[Pull], closeness: &Closeness) -> Vec<Demand> {
        let mut demands = Vec::with_capacity(pulls.len());
        for pull in pulls {
            demands.push(self.demand(asker, pull, closeness).await);
        }
        demands
    }

    fn shown(&self, reference: &str) -> Shown {
        let known = repository(reference).and_then(|repository| self.known.get(&repository.to_string()));
        // What is no reference is asked by nobody.
        known.cloned().unwrap_or_else(|| Shown { credential: Credential::Anonymous.id(), trust: self.trust.clone() })
    }

    async fn look_up(&mut self, asker: &Asker, reference: &str) {
        let Some(repository) = repository(reference) else { return };
        let key = repository.to_string();
        if self.known.contains_key(&key) {
            return;
        }
        let found = match &self.keychain {
            Ok(keychain) => keychain.credential(&repository).await.map_err(|cause| cause.to_string()),
            Err(why) => Err(why.clone()),
        };
        let credential = match found {
            Ok(credential) => asker.credential(credential),
            Err(why) => asker.no_credential(&why),
        };
        self.known.insert(key, Shown { credential, trust: self.trust.clone() });
    }
}

/// The places that may give the payload of a release, in the order in which its consumers try them.
pub fn places(demands: Vec<Demand>) -> Vec<Question> {
    let mut places = Vec::new();
    for endpoint in demands.into_iter().flat_map(|demand| demand.endpoints).filter(|endpoint| !endpoint.is_blocked) {
        if places.len() < MAX_PLACES && !places.contains(&endpoint.question) {
            places.push(endpoint.question);
        }
    }
    places
}

/// What a credential is looked up for.
fn repository(reference: &str) -> Option<Repository> {
    Repository::of(&ImageReference::parse(reference).ok()?).ok()
}
