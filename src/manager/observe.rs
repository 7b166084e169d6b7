//! Collects the facts of one hosted cluster under one short lock, and completes them afterwards.

use std::sync::Arc;

use futures::future::join_all;
use hypermirror_api::ClusterKey;
use kube::ResourceExt as _;
use kube::core::SelectorExt as _;
use tokio::sync::Semaphore;

use super::context::{Context, moment};
use super::heavy::Load;
use crate::hosted::carry_over::carried;
use crate::hosted::facts::{ClusterFacts, FleetFacts};
use crate::hosted::guest::GuestOutcome;
use crate::hosted::plan::Target;
use crate::hosted::proof::control_plane::enforce;
use crate::hosted::proof::held::HeldSources;
use crate::hosted::settings::settings;
use crate::hosted::sources::ClusterMap;
use crate::management::apply::WriteError;
use crate::management::index::KnownFacts;
use crate::management::index::guests::KubeconfigSecret;
use crate::management::index::targets::KnownTarget;
use crate::registry::coverage::needs;

/// Everything that is known of a hosted cluster and its guest cluster at one time.
pub(super) struct Observation {
    pub(super) facts: ClusterFacts,
    pub(super) load: Load,
    /// The preferred kubeconfig of its guest cluster.
    pub(super) kubeconfig: Option<KubeconfigSecret>,
    /// Number of edits that the facts include.
    pub(super) edits: u64,
}

/// The reason why there are no facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Absent {
    /// The HostedCluster does not exist or is being deleted. All its objects, including the report, are removed with it.
    Gone,
    /// One of its ConfigMaps is read first. It is enqueued afterwards.
    Unread,
    /// A list of targets is being read that has one of its own, or all of which decide about it. It is enqueued afterwards.
    Unlisted,
    /// It is heavy, and all slots are in use.
    Busy,
}

impl Context {
    /// The known facts of a hosted cluster. `load` is its current slot.
    pub(super) async fn known(
        &self,
        key: &ClusterKey,
        load: Load,
        slots: &Arc<Semaphore>,
    ) -> Result<Observation, Absent> {
        self.complete(key, self.store.facts(key).ok_or(Absent::Gone)?, load, slots).await
    }

    /// The facts with current targets: reads those that have changed since the last read or write, or all of them if the state of
    /// their pods is relevant. At the start of a term, lists of the whole fleet replace most of these reads.
    pub(super) async fn observe(
        &self,
        key: &ClusterKey,
        load: Load,
        all: bool,
    ) -> Result<Result<Observation, Absent>, WriteError> {
        self.store.begin_target_lists(self.leader.term.number());
        let Some(mut known) = self.store.facts(key) else { return Ok(Err(Absent::Gone)) };
        if known.targets.iter().any(|target| target.awaits_list) {
            return Ok(Err(Absent::Unlisted));
        }
        let all = all || known.rollout.in_flight.is_some() || known.rollout.is_skipped;
        let is_read = |target: &KnownTarget| target.is_stale || (all && target.exists);
        if known.targets.iter().any(is_read) {
            let reads = known.targets.iter().enumerate().filter(|(_, target)| is_read(target));
            let reads = reads.map(|(place, _)| self.read_target(key, place));
            // All or nothing: a plan without one of the targets would look complete, and its report would say so.
            join_all(reads).await.into_iter().collect::<Result<(), WriteError>>()?;
            let Some(again) = self.store.facts(key) else { return Ok(Err(Absent::Gone)) };
            known = again;
        }
        Ok(self.complete(key, known, load, &self.heavy.clusters).await)
    }

    async fn read_target(&self, key: &ClusterKey, place: usize) -> Result<(), WriteError> {
        let Some(spec) = self.settings.flags.targets.get(place) else { return Ok(()) };
        match self.writer.read_target(&key.control_plane_namespace(), spec).await {
            Ok(target) => self.store.record_target(key, place, target),
            Err(WriteError::Gone { .. }) => self.store.record_missing_target(key, place), // its watch will report it
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Combines the mirrors and merges the map, without the lock.
    async fn complete(
        &self,
        key: &ClusterKey,
        known: KnownFacts,
        load: Load,
        slots: &Arc<Semaphore>,
    ) -> Result<Observation, Absent> {
        if known.object.metadata.deletion_timestamp.is_some() {
            return Err(Absent::Gone);
        }
        known.unread.iter().for_each(|name| self.reading.add((key.namespace.clone(), name.clone())));
        let Some(declaration) = &known.declaration else { return Err(Absent::Unread) };
        let sources = declaration.resolve();
        let load = load.raised(sources.mirrors(), slots).ok_or(Absent::Busy)?;
        if sources.is_news_to(declaration) {
            self.store.keep_in_force(key, declaration, &sources);
        }
        let now = moment();
        let (settings, unknown_setting) = settings(&known.object, now.time);
        let map = self.heavy.map(&load, &known.fleet.management, &sources.own.entries, settings.use_management).await;
        let fleet = self.fleet(known.fleet);
        let mut facts = ClusterFacts {
            key: key.clone(),
            flags: Arc::clone(&self.settings.flags),
            is_selected: self.settings.selector.matches(known.object.labels()),
            settings,
            unknown_setting,
            own: sources.own,
            pool_sources: sources.pools,
            pools: known.pools,
            map,
            enforcement: None,
            held: HeldSources::default(),
            targets: self.targets(known.targets),
            guest: known.guest.filter(|_| self.settings.flags.has_guests),
            coverage: known.coverage,
            report: known.report,
            refusal: known.refusal,
            rollout: known.rollout,
            has_claim: known.has_claim,
            memory: known.memory,
            object: known.object,
            fleet,
        };
        self.add_rare_facts(&mut facts, known.revision)?;
        // Last of all: it compares the desired map, also one with carried entries, with what is live.
        let needs = needs::of_cluster(&facts.object, &needs::of_pools(&facts.pools)).today();
        enforce(&mut facts, &needs, now);
        Ok(Observation { facts, load, kubeconfig: known.kubeconfig, edits: known.edits })
    }

    fn fleet(&self, known: FleetFacts) -> FleetFacts {
        let leaves = self.uninstalls();
        FleetFacts {
            leaves,
            has_admission_to_remove: self.admission.has_to_be_removed(leaves),
            admission: self.admission.installed(),
            ..known
        }
    }

    fn targets(&self, known: Vec<KnownTarget>) -> Vec<Target> {
        let known = self.settings.flags.targets.iter().zip(known);
        known.map(|(spec, known)| Target::new(Arc::clone(spec), known.observed)).collect()
    }

    /// Adds facts that are expensive and needed by few hosted clusters.
    fn add_rare_facts(&self, facts: &mut ClusterFacts, revision: u64) -> Result<(), Absent> {
        if facts.guest.is_none() && facts.flags.has_guests {
            facts.guest = facts.report.as_deref().and_then(GuestOutcome::reported).map(Arc::new);
        }
        // While a source cannot be read and its last content is not known, the admitted or reported entries stay in use.
        if facts.is_blind() || facts.own.is_lost {
            let observed = facts.targets.iter().filter_map(|target| target.observed.as_deref());
            let map = carried(&facts.map.map, facts.report.as_deref(), observed, facts.flags.argument);
            facts.map = ClusterMap { map: Arc::new(map), ..facts.map.clone() };
        }
        if facts.map.map.entries.is_empty() && !facts.leaves() {
            // Any target that was not read may have entries, so that a removal from the whole fleet would be held that is none.
            if self.store.await_target_lists(&facts.key) {
                return Err(Absent::Unlisted);
            }
            let permission = self.lease.borrow().allow_removal.clone();
            let members = || self.store.members(&self.settings.selector);
            facts.fleet.removal = self.gate.held(revision, members, permission.as_deref());
        }
        Ok(())
    }
}
