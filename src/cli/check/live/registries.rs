//! Reads pull secrets and trust bundles, and shakes hands with mirrors.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hypermirror_api::ClusterKey;
use hypermirror_api::hypershift::HostedCluster;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, Client};

use super::super::super::input::Input;
use super::super::super::planning::Planner;
use super::{in_order, is_forbidden};
use crate::client::cause::Cause;
use crate::client::deadline::answered;
use crate::diagnosis::Diagnosis;
use crate::diagnosis::pull_secret::{self, Handshake, PullSecret, host};
use crate::manager::options::PlanOptions;
use crate::mirrors::layers::resolve;
use crate::mirrors::{Mirror, Resolved};
use crate::registry::credentials::auth_file::AuthFile;
use crate::registry::transport::handshake::{HandshakeError, handshake};
use crate::registry::transport::tls::TlsOptions;

const PULL_SECRET_KEY: &str = ".dockerconfigjson";
const TRUST_BUNDLE_KEY: &str = "ca-bundle.crt";

/// What one hosted cluster pulls from.
struct Site<'a> {
    key: ClusterKey,
    cluster: &'a HostedCluster,
    /// The locations of its mirrors, and whether their certificates are verified.
    mirrors: BTreeMap<String, bool>,
}

/// Authorities that a hosted cluster adds, in PEM; shared, because a fleet often has the same.
type Bundle = Arc<[u8]>;

pub async fn diagnose(client: &Client, input: &Input, options: &PlanOptions) -> Vec<Diagnosis> {
    let planner = Planner::new(input, options, false);
    let sites: Vec<Site<'_>> = input.clusters.iter().map(|cluster| site(input, &planner, cluster)).collect();
    let mut found: Vec<Diagnosis> =
        in_order(sites.iter().map(|site| of_secret(client, site))).await.into_iter().flatten().collect();
    let bundles = in_order(sites.iter().map(|site| read_bundle(client, site))).await;
    let mut questions: BTreeSet<(Bundle, &str)> = BTreeSet::new();
    for (site, bundle) in sites.iter().zip(&bundles) {
        if let Ok(bundle) = bundle {
            questions.extend(site.verified().map(|host| (bundle.clone(), host)));
        }
    }
    let answers = in_order(questions.into_iter().map(|(bundle, host)| async move {
        let answer = shake(&bundle, host).await;
        ((bundle, host), answer)
    }));
    let answers: BTreeMap<(Bundle, &str), Handshake> = answers.await.into_iter().collect();
    for (site, bundle) in sites.iter().zip(bundles) {
        let name = site.cluster.spec.additional_trust_bundle.as_ref().map(|reference| reference.name.as_str());
        match bundle {
            Err(unread) => found.push(unread),
            Ok(bundle) => found.extend(site.verified().filter_map(|host| {
                let answer = answers.get(&(bundle.clone(), host))?;
                pull_secret::diagnose_trust(&site.key, name, host, answer)
            })),
        }
    }
    found
}

fn site<'a>(input: &'a Input, planner: &Planner<'_>, cluster: &'a HostedCluster) -> Site<'a> {
    let plan = planner.plan(cluster);
    let mut mirrors = BTreeMap::new();
    add(&mut mirrors, &plan.map.map.resolved);
    let own = input.own_sources(cluster);
    for pool in input.pools_of(&plan.key) {
        let of_pool = input.pool_sources(pool);
        let (resolved, _) = resolve(own.entries.iter().chain(of_pool.entries.iter()));
        add(&mut mirrors, &resolved);
    }
    Site { key: plan.key, cluster, mirrors }
}

fn add(mirrors: &mut BTreeMap<String, bool>, resolved: &Resolved) {
    let all = resolved.sources.values().flat_map(|source| source.digest_mirrors.iter().chain(&source.tag_mirrors));
    for Mirror { location, insecure, .. } in all {
        *mirrors.entry(location.clone()).or_default() |= !insecure;
    }
}

impl Site<'_> {
    /// The registries whose certificates are verified.
    fn verified(&self) -> impl Iterator<Item = &str> {
        let hosts: BTreeSet<&str> =
            self.mirrors.iter().filter(|(_, verified)| **verified).map(|(mirror, _)| host(mirror)).collect();
        hosts.into_iter()
    }
}

async fn of_secret(client: &Client, site: &Site<'_>) -> Vec<Diagnosis> {
    let Some(reference) = &site.cluster.spec.pull_secret else { return Vec::new() };
    let api: Api<Secret> = Api::namespaced(client.clone(), &site.key.namespace);
    let secret = match answered(api.get_opt(&reference.name)).await {
        Err(error) => PullSecret::Unknown(Cause(&error).to_string()),
        Ok(None) => PullSecret::Unusable("the pull secret of the HostedCluster does not exist".to_owned()),
        Ok(Some(secret)) => match secret.data.as_ref().and_then(|data| data.get(PULL_SECRET_KEY)) {
            None => PullSecret::Unusable(format!("the pull secret has no key {PULL_SECRET_KEY}")),
            Some(content) => match AuthFile::parse(&content.0) {
                Ok(file) => PullSecret::Read(file),
                Err(error) => PullSecret::Unusable(format!("the pull secret is not usable: {error}")),
            },
        },
    };
    pull_secret::diagnose(&site.key, &reference.name, &secret, site.mirrors.keys().map(String::as_str))
}

/// The authorities of a hosted cluster, or why they are not known.
async fn read_bundle(client: &Client, site: &Site<'_>) -> Result<Bundle, Diagnosis> {
    let Some(reference) = &site.cluster.spec.additional_trust_bundle else { return Ok(Bundle::default()) };
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), &site.key.namespace);
    let object = format!("ConfigMap/{}/{}", site.key.namespace, reference.name);
    match answered(api.get_opt(&reference.name)).await {
        // A ConfigMap that does not exist, or has another key, adds no authority: mirrors that need one say so.
        Ok(map) => {
            let bundle = map.and_then(|map| map.data).and_then(|mut data| data.remove(TRUST_BUNDLE_KEY));
            Ok(bundle.unwrap_or_default().into_bytes().into())
        }
        Err(error) => {
            let cure = if is_forbidden(&error) {
                "run check as a user that may get the ConfigMap"
            } else {
                "check the connection to the API server"
            };
            let message = format!("the certificate authorities could not be read: {}", Cause(&error));
            Err(Diagnosis::not_checked(object, message, cure).of(&site.key))
        }
    }
}

async fn shake(bundle: &[u8], host: &str) -> Handshake {
    let mut tls = TlsOptions::default();
    if !bundle.is_empty()
        && let Err(error) = tls.add_authorities(bundle)
    {
        return Handshake::Invalid(format!("the certificates of the hosted cluster are not usable: {error}"));
    }
    match handshake(&tls, host).await {
        Ok(()) => Handshake::Trusted,
        Err(HandshakeError::UnknownAuthority) => Handshake::UnknownAuthority,
        Err(HandshakeError::Connection(why)) => Handshake::Unknown(why),
        Err(error @ (HandshakeError::Tls(_) | HandshakeError::Certificate(_))) => Handshake::Invalid(error.to_string()),
    }
}
