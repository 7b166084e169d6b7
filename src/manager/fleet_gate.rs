//! The mass-loss gate over the whole fleet: decided once for a burst of changes, approved on the Lease.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kube::ResourceExt;
use kube::core::SelectorExt as _;

use super::context::Context;
use crate::fleet::admission::{FleetMember, HeldRemoval, mass_removal};
use crate::fleet::known::entries;
use crate::fleet::sources::{cluster_map, settings};
use crate::kube::index::Index;
use crate::kube::lease;

/// How long one decision is used: a burst asks for each of its hosted clusters.
const DECISION_LASTS: Duration = Duration::from_millis(200);

#[derive(Debug, Default)]
struct State {
    decided: Option<(Instant, Option<HeldRemoval>)>,
    /// The removal that a person let through; it lasts until nothing is left to remove.
    approved: bool,
}

/// The gate.
#[derive(Debug, Default)]
pub struct FleetGate {
    state: Mutex<State>,
}

impl FleetGate {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a removal of a whole map is held now.
    pub fn held(&self, ctx: &Context) -> Option<HeldRemoval> {
        let mut state = self.state();
        let fresh = state.decided.as_ref().filter(|(at, _)| at.elapsed() < DECISION_LASTS);
        let held = if let Some((_, held)) = fresh {
            held.clone()
        } else {
            let held = decide(ctx);
            state.decided = Some((Instant::now(), held.clone()));
            held
        };
        let held = held?;
        if ctx.memory.borrow().allow_removal.as_ref() == Some(&held.token) {
            state.approved = true;
        }
        (!state.approved).then_some(held)
    }

    /// Ends an approval once its removal is through; called from time to time.
    pub async fn settle(&self, ctx: &Context) {
        let pending = members(ctx).iter().filter(|member| member.has_map && member.wants_none).count();
        let held = if self.state().approved { 0 } else { decide(ctx).map_or(0, |held| held.emptied.len()) };
        ctx.metrics.removals_held.set(i64::try_from(held).unwrap_or(i64::MAX));
        let through = self.state().approved && pending == 0;
        if !through {
            return;
        }
        match lease::consume_permission(&ctx.client, &ctx.settings.namespace).await {
            Ok(()) => self.state().approved = false,
            Err(error) => tracing::warn!(%error, "the permission for a removal was not taken back yet"),
        }
    }
}

fn decide(ctx: &Context) -> Option<HeldRemoval> {
    mass_removal(members(ctx), ctx.settings.max_removal)
}

fn members(ctx: &Context) -> Vec<FleetMember> {
    let index = ctx.index();
    let management = index.management();
    let now = jiff::Timestamp::now();
    let in_care = index.clusters().filter(|(_, cluster)| {
        ctx.settings.selector.matches(cluster.object.labels()) && cluster.object.metadata.deletion_timestamp.is_none()
    });
    in_care
        .map(|(key, cluster)| {
            let use_management = settings(&cluster.object, now).0.use_management;
            let empty_anyway = !use_management || management.map.entries.is_empty();
            let wants_none =
                empty_anyway && cluster_map(&management, &cluster.object, use_management).map.entries.is_empty();
            let has_map = match &cluster.admitted {
                Some(map) => !map.entries.is_empty(),
                None => cluster.report.as_ref().is_some_and(|report| report.source_count > 0) || annotated(&index, key),
            };
            FleetMember { key: key.to_string(), has_map, wants_none }
        })
        .collect()
}

fn annotated(index: &Index, key: &crate::kube::ClusterKey) -> bool {
    let slots = index.targets_of(key);
    let observed = slots.iter().filter_map(|slot| slot.observed.as_ref());
    observed.filter_map(|target| target.overrides.as_deref()).any(|value| entries(value).next().is_some())
}
