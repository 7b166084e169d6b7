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
use crate::hosted::settings::settings;
use crate::hosted::sources::ClusterMap;
use crate::management::apply::WriteError;
use crate::management::index::Taken;
use crate::management::index::targets::KnownTarget;

/// The facts, and their load.
pub(super) struct Seen {
    pub(super) facts: ClusterFacts,
    pub(super) load: Load,
}

/// The reason why there are no facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Absent {
    /// The HostedCluster does not exist or is being deleted. All its objects, including the report, are removed with it.
    Gone,
    /// One of its ConfigMaps is read first. It is enqueued afterwards.
    Unread,
    /// It is heavy, and all slots are in use.
    Busy,
}

impl Context {
    /// The known facts of a hosted cluster. `load` is its current slot.
    pub(super) async fn see(&self, key: &ClusterKey, load: Load, places: &Arc<Semaphore>) -> Result<Seen, Absent> {
        let taken = self.index().take(key, moment().instant);
        self.complete(key, taken.ok_or(Absent::Gone)?, load, places).await
    }

    /// The facts with current targets: reads those that have changed since the last read or write, or all of them if the state of
    /// their pods is relevant.
    pub(super) async fn observe(
        &self,
        key: &ClusterKey,
        load: Load,
        all: bool,
    ) -> Result<Result<Seen, Absent>, WriteError> {
        let Some(mut taken) = self.index().take(key, moment().instant) else { return Ok(Err(Absent::Gone)) };
        let all = all || taken.rollout.in_flight.is_some() || taken.rollout.is_skipped;
        let is_read = |target: &KnownTarget| target.is_stale || (all && target.exists);
        if taken.targets.iter().any(is_read) {
            let reads = taken.targets.iter().enumerate().filter(|(_, target)| is_read(target));
            let reads = reads.map(|(place, _)| self.read_target(key, place));
            join_all(reads).await.into_iter().collect::<Result<(), WriteError>>()?;
            let Some(again) = self.index().take(key, moment().instant) else { return Ok(Err(Absent::Gone)) };
            taken = again;
        }
        Ok(self.complete(key, taken, load, &self.heavy.clusters).await)
    }

    async fn read_target(&self, key: &ClusterKey, place: usize) -> Result<(), WriteError> {
        let Some(spec) = self.settings.flags.targets.get(place) else { return Ok(()) };
        match self.writer.read_target(&key.control_plane_namespace(), spec).await {
            Ok(target) => drop(self.index().observe_target(key, place, target)),
            Err(WriteError::Gone { .. }) => self.index().miss_target(key, place), // deleted: its watch will report it
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Combines the mirrors and merges the map, without the lock.
    async fn complete(
        &self,
        key: &ClusterKey,
        taken: Taken,
        load: Load,
        places: &Arc<Semaphore>,
    ) -> Result<Seen, Absent> {
        if taken.object.metadata.deletion_timestamp.is_some() {
            return Err(Absent::Gone);
        }
        taken.unread.iter().for_each(|name| self.reading.ask((key.namespace.clone(), name.clone())));
        let Some(declaration) = &taken.declaration else { return Err(Absent::Unread) };
        let sources = declaration.resolve();
        let load = load.raised(sources.mirrors(), places).ok_or(Absent::Busy)?;
        if sources.is_news_to(declaration) {
            self.index().keep_in_force(key, declaration, &sources);
        }
        let now = moment();
        let (settings, unknown_setting) = settings(&taken.object, now.time);
        let map = self.heavy.map(&load, &taken.fleet.management, &sources.own.entries, settings.use_management).await;
        let fleet = FleetFacts {
            leaves: self.memory.borrow().uninstall,
            has_admission_to_remove: self.waits_for_admission(),
            admission: self.admission(),
            ..taken.fleet
        };
        let mut facts = ClusterFacts {
            key: key.clone(),
            flags: Arc::clone(&self.settings.flags),
            is_selected: self.settings.selector.matches(taken.object.labels()),
            settings,
            unknown_setting,
            own: sources.own,
            pool_sources: sources.pools,
            pools: taken.pools,
            map,
            targets: self.targets(taken.targets),
            guest: taken.guest.filter(|_| self.settings.flags.has_guests),
            report: taken.report,
            refusal: taken.refusal,
            rollout: taken.rollout,
            has_claim: taken.has_claim,
            memory: taken.memory,
            object: taken.object,
            fleet,
        };
        self.add_what_is_rare(&mut facts, taken.revision);
        Ok(Seen { facts, load })
    }

    fn targets(&self, known: Vec<KnownTarget>) -> Vec<Target> {
        let known = self.settings.flags.targets.iter().zip(known);
        known.map(|(spec, known)| Target::new(Arc::clone(spec), known.observed)).collect()
    }

    /// Adds facts that are expensive and needed by few hosted clusters.
    fn add_what_is_rare(&self, facts: &mut ClusterFacts, revision: u64) {
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
            let permission = self.memory.borrow().allow_removal.clone();
            facts.fleet.removal = self.gate.held(revision, || self.members(), permission.as_deref());
        }
    }
}
