//! What consumers show registries: their hosted cluster's pull secret, or what the user has.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};

use super::super::console;
use super::super::registry::ReachArgs;
use super::Extras;
use crate::registry::auth::keychain::Keychain;
use crate::registry::coverage::asker::Asker;
use crate::registry::coverage::demand::{Closeness, Pull};
use crate::registry::coverage::holder::Holder;
use crate::registry::coverage::matrix::{Demand, TrustId};

/// Those of all.
pub struct Holders<'a> {
    reach: &'a ReachArgs,
    /// Of the user; read only if somebody needs it.
    own: Option<Holder>,
    by_cluster: BTreeMap<String, Holder>,
}

impl<'a> Holders<'a> {
    /// Takes pull secrets of a live cluster, unless a file with credentials was passed.
    pub fn new(reach: &'a ReachArgs, extras: &Extras, asker: &Asker) -> Result<Self> {
        asker.trust(TrustId::default(), &reach.clients(&[])?);
        let mut by_cluster = BTreeMap::new();
        let clusters = extras.pull_secrets.keys().chain(extras.authorities.keys());
        for key in clusters.collect::<BTreeSet<_>>() {
            let authorities = extras.authorities.get(key).map(Vec::as_slice).unwrap_or_default();
            let trust = TrustId::of(authorities);
            if !authorities.is_empty() {
                let clients = reach.clients(authorities);
                asker.trust(trust.clone(), &clients.with_context(|| format!("authorities of HostedCluster {key}"))?);
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
            by_cluster.insert(key.to_string(), Holder::new(keychain, trust));
        }
        Ok(Self { reach, own: None, by_cluster })
    }

    /// What has to be asked for these pulls, with the credentials of whoever pulls.
    pub async fn demands(&mut self, asker: &Asker, pulls: &[Pull], closeness: &Closeness) -> Vec<Demand> {
        let mut demands = Vec::with_capacity(pulls.len());
        for pull in pulls {
            demands.push(self.of(&pull.cluster).demand(asker, pull, closeness).await);
        }
        demands
    }

    fn of(&mut self, cluster: &str) -> &mut Holder {
        let reach = self.reach;
        let own = || {
            let keychain = reach.keychain().map_err(|error| console::causes(&error));
            Holder::new(keychain, TrustId::default())
        };
        match self.by_cluster.get_mut(cluster) {
            Some(holder) => holder,
            None => self.own.get_or_insert_with(own),
        }
    }
}
