//! What consumers show registries: their hosted cluster's pull secret, or what the user has.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};

use super::super::console;
use super::super::registry::ReachArgs;
use super::Extras;
use crate::mirrors::ImageReference;
use crate::registry::auth::keychain::Keychain;
use crate::registry::coverage::asker::Asker;
use crate::registry::coverage::demand::{Closeness, Pull, Shown};
use crate::registry::coverage::matrix::{Demand, TrustId};
use crate::registry::{Credential, Repository};

/// The credentials and authorities of one hosted cluster.
struct Holder {
    /// Or why there is none.
    keychain: Result<Keychain, String>,
    trust: TrustId,
}

/// Those of all, and what was looked up of them.
pub struct Holders<'a> {
    reach: &'a ReachArgs,
    /// Of the user; read only if somebody needs it.
    own: Option<Keychain>,
    by_cluster: BTreeMap<String, Holder>,
    known: BTreeMap<(String, String), Shown>,
}

impl<'a> Holders<'a> {
    /// Takes pull secrets of a live cluster, unless a file with credentials was passed.
    pub fn new(reach: &'a ReachArgs, extras: &Extras, asker: &mut Asker) -> Result<Self> {
        asker.trust(TrustId::default(), reach.clients(&[])?);
        let mut by_cluster = BTreeMap::new();
        let clusters = extras.pull_secrets.keys().chain(extras.authorities.keys());
        for key in clusters.collect::<std::collections::BTreeSet<_>>() {
            let authorities = extras.authorities.get(key).map(Vec::as_slice).unwrap_or_default();
            let trust = TrustId::of(authorities);
            if !authorities.is_empty() {
                let clients = reach.clients(authorities);
                asker.trust(trust.clone(), clients.with_context(|| format!("authorities of HostedCluster {key}"))?);
            }
            let secret = extras.pull_secrets.get(key).filter(|_| !reach.names_credentials());
            let keychain = match secret {
                None => Ok(reach.keychain()?),
                Some(Ok(file)) => {
                    file.warnings.iter().for_each(|warning| {
                        console::warning(format!("pull secret of HostedCluster {key}: {warning}"));
                    });
                    Ok(Keychain { files: vec![file.clone()], ..Keychain::default() })
                }
                Some(Err(why)) => Err(why.clone()),
            };
            by_cluster.insert(key.to_string(), Holder { keychain, trust });
        }
        Ok(Self { reach, own: None, by_cluster, known: BTreeMap::new() })
    }

    /// What has to be asked for these pulls, with the credentials of whoever pulls.
    pub async fn demands(&mut self, asker: &mut Asker, pulls: &[Pull], closeness: &Closeness) -> Vec<Demand> {
        let mut demands = Vec::with_capacity(pulls.len());
        for pull in pulls {
            for endpoint in &pull.endpoints {
                self.look_up(asker, &pull.cluster, &endpoint.reference).await;
            }
            demands.push(pull.demand(closeness, |reference| self.shown(&pull.cluster, reference)));
        }
        demands
    }

    fn shown(&self, cluster: &str, reference: &str) -> Shown {
        let known = repository(reference).and_then(|it| self.known.get(&(cluster.to_owned(), it.to_string())));
        // What is no reference is asked by nobody.
        known.cloned().unwrap_or_else(|| Shown { credential: Credential::Anonymous.id(), trust: TrustId::default() })
    }

    async fn look_up(&mut self, asker: &mut Asker, cluster: &str, reference: &str) {
        let Some(repository) = repository(reference) else { return };
        let key = (cluster.to_owned(), repository.to_string());
        if self.known.contains_key(&key) {
            return;
        }
        let (keychain, trust) = match self.by_cluster.get(cluster) {
            Some(holder) => (holder.keychain.as_ref().map_err(Clone::clone), holder.trust.clone()),
            None => (self.own().map_err(|error| console::causes(&error)), TrustId::default()),
        };
        let found = match keychain {
            Ok(keychain) => keychain.credential(&repository).await.map_err(|cause| cause.to_string()),
            Err(why) => Err(why),
        };
        let credential = match found {
            Ok(credential) => asker.credential(credential),
            Err(why) => asker.no_credential(&why),
        };
        self.known.insert(key, Shown { credential, trust });
    }

    fn own(&mut self) -> Result<&Keychain> {
        if self.own.is_none() {
            self.own = Some(self.reach.keychain()?);
        }
        self.own.as_ref().context("no credentials")
    }
}

/// What a credential is looked up for.
fn repository(reference: &str) -> Option<Repository> {
    Repository::of(&ImageReference::parse(reference).ok()?).ok()
}
