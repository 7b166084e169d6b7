//! What has to be checked for one hosted cluster: its needs, and who pulls them from where, by the manager's own code.

use std::sync::Arc;

use hypermirror_api::hypershift::HostedCluster;
use hypermirror_api::{ClusterKey, CoverageReason};
use jiff::Timestamp;

use super::context::Context;
use super::fill;
use super::round::Round;
use crate::digest::short_digest;
use crate::guest::node_rules::node_rules;
use crate::hosted::argument::ArgumentMode;
use crate::hosted::carry_over::carried;
use crate::hosted::catalogs::mirrored::{MAX_IMAGES, mirrored};
use crate::hosted::catalogs::requested::{Wanted, requested};
use crate::hosted::delivery::Delivery;
use crate::hosted::guest::node_entries;
use crate::hosted::pool_config::PoolSources;
use crate::hosted::proof::subject::{Declared, subject};
use crate::hosted::settings::settings;
use crate::hosted::sources::cluster_map;
use crate::management::index::KnownFacts;
use crate::management::index::declared::Sources;
use crate::mirrors::Resolved;
use crate::mirrors::registries::Endpoint;
use crate::registry::coverage::demand::{Closeness, Pull, Puller};
use crate::registry::coverage::needs::{self, ClusterNeeds, Consumer};
use crate::registry::coverage::pullers::{NodesOf, of_control_plane};

/// What has to be checked.
pub struct Inputs {
    /// The HostedCluster.
    pub object: Arc<HostedCluster>,
    /// What it needs.
    pub needs: ClusterNeeds,
    /// Who pulls images for it.
    pub pullers: Vec<Puller>,
    /// Stock images of OLM catalogs, from mirrors of the management cluster alone.
    pub catalogs: Vec<Pull>,
    /// How closely registries are asked.
    pub closeness: Closeness,
    /// What a proof about sources without a fallback is made for; see [`subject`].
    pub subject: String,
    /// Of all of this.
    pub digest: String,
}

/// Why a hosted cluster cannot be checked now.
pub enum Unready {
    /// It does not exist or is being deleted.
    Gone,
    /// One of its ConfigMaps is read first. It is looked at again afterwards.
    Unread,
    /// It is not known where its images are pulled from.
    Unknown(Arc<HostedCluster>, CoverageReason, String),
}

impl Inputs {
    /// Takes them from what the watches have delivered.
    ///
    /// # Errors
    /// [`Unready`].
    pub fn of(ctx: &Context, round: &Round, key: &ClusterKey) -> Result<Self, Unready> {
        let known = ctx.store.facts(key).ok_or(Unready::Gone)?;
        if known.object.metadata.deletion_timestamp.is_some() {
            return Err(Unready::Gone);
        }
        known.unread.iter().for_each(|name| ctx.reading.add((key.namespace.clone(), name.clone())));
        let Some(declaration) = &known.declaration else { return Err(Unready::Unread) };
        let sources = declaration.resolve();
        if sources.is_news_to(declaration) {
            ctx.store.keep_in_force(key, declaration, &sources);
        }
        let object = Arc::clone(&known.object);
        let map = override_map(&known, &sources);
        let needs = needs::of_cluster(&object, &needs::of_pools(&known.pools));
        let declared = Declared { map: &map, own: &sources.own, pools: &known.pools, sources: &sources.pools };
        let subject = subject(&declared, Delivery::of(&*object), &needs.today());
        let pullers = pullers(round, key, &known, &sources, map)
            .map_err(|why| Unready::Unknown(Arc::clone(&object), CoverageReason::SourcesNotReadable, why))?;
        let catalogs = catalogs(key, &known);
        let closeness = Closeness::new(ctx.options.coverage_level.into(), &ctx.options.pull_through, Some(&*object));
        let read = (&object.spec.pull_secret, &object.spec.additional_trust_bundle);
        let images = (&round.operator_image, &round.agent_image);
        let fills = if ctx.filler.is_some() && fill::is_wanted(&object) { " fill" } else { "" };
        let digest = short_digest(&format!(
            "{needs:?} {pullers:?} {closeness:?} {read:?} {images:?}{fills} {subject} {catalogs:?}"
        ));
        Ok(Self { object, needs, pullers, catalogs, closeness, subject, digest })
    }
}

fn pullers(
    round: &Round,
    key: &ClusterKey,
    known: &KnownFacts,
    sources: &Sources,
    map: Resolved,
) -> Result<Vec<Puller>, String> {
    let (management, policies) = (round.management.as_ref()?, round.policies.as_ref()?);
    let mut pullers = of_control_plane(key, map, management, policies).to_vec();
    let (own, _) = node_entries(sources.own.entries.iter());
    let delivery = Delivery::of(&*known.object);
    let nothing = PoolSources::default();
    if known.pools.is_empty() {
        let rules = node_rules(&own, None, delivery, &nothing)?;
        pullers.push(NodesOf { pool: None, rules, policies: Vec::new() }.puller(key));
    }
    for (name, pool) in &*known.pools {
        let declared = sources.pools.get(name).unwrap_or(&nothing);
        if let Some(lost) = declared.lost.first() {
            return Err(format!("NodePool {name}: ConfigMap {lost} cannot be used, and its last content is not known"));
        }
        let delivery = Delivery::of_pool(delivery, pool.delivery);
        let rules =
            node_rules(&own, Some(name), delivery, declared).map_err(|why| format!("NodePool {name}: {why}"))?;
        let policies = declared.policies.clone();
        pullers.push(NodesOf { pool: Some(name.clone()), rules, policies }.puller(key));
    }
    Ok(pullers)
}

/// Stock images that the manager has found, if the hosted cluster wants them from mirrors.
fn catalogs(key: &ClusterKey, known: &KnownFacts) -> Vec<Pull> {
    let is_asked = requested(&known.object).is_some_and(|requested| matches!(requested.wanted, Wanted::Proven(_)));
    let images = known.report.iter().filter(|_| is_asked).flat_map(|report| &report.catalog_images).take(MAX_IMAGES);
    let map = &known.fleet.management.map.resolved;
    let plain = |reference| Endpoint { reference, insecure: false, blocked: false, origin: None };
    let pull = |image: &String| Pull {
        image: image.clone(),
        group: "OLM catalogs".to_owned(),
        name: String::new(),
        cluster: key.to_string(),
        consumer: Consumer::Pods.name().to_owned(),
        endpoints: mirrored(map, image).into_iter().map(plain).collect(),
        error: None,
        is_unordered: false,
        is_signed: false,
    };
    images.map(pull).collect()
}

/// The map as the manager makes it, also while a source cannot be read.
fn override_map(known: &KnownFacts, sources: &Sources) -> Resolved {
    let (settings, _) = settings(&known.object, Timestamp::now());
    let management = &known.fleet.management;
    let map = cluster_map(management, &sources.own, settings.use_management).map;
    if known.fleet.is_blind && settings.use_management || sources.own.is_lost {
        return carried(&map, known.report.as_deref(), std::iter::empty(), ArgumentMode::default()).resolved;
    }
    map.resolved.clone()
}
