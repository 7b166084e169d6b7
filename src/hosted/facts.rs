//! The input of a turn: the state of one hosted cluster at one time.
//!
//! Facts are collected under one short lock and share large values; nothing is parsed or merged under the lock. Expensive
//! values, such as the map, are computed afterwards, before the turn.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hypermirror_api::hypershift::HostedCluster;
use hypermirror_api::report::Admission;
use hypermirror_api::{ClusterKey, HostedClusterMirrorsStatus, Reason, annotations};
use jiff::Timestamp;
use kube::ResourceExt as _;

use super::argument::ArgumentMode;
use super::condition_state::SourceTrouble;
use super::coverage::KnownCoverage;
use super::delivery::{Delivery, invalid_delivery};
use super::guest::GuestOutcome;
use super::memory::Memory;
use super::plan::Target;
use super::pool_config::{KnownPool, PoolSources};
use super::proof::held::{Enforcement, HeldSources};
use super::proof::requirement::RequireProof;
use super::settings::{ClusterSettings, pause_ends};
use super::sources::{ClusterMap, ManagementLayer, OwnSources};
use super::target::TargetSpec;
use crate::fleet::claims::Refusal;
use crate::fleet::removal::HeldRemoval;
use crate::fleet::rollout::{Budget, Halt, Mark};
use crate::mirrors::finding::Finding;

/// The current time, in two clocks: one for durations and one for dates.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// For durations.
    pub instant: Instant,
    /// For dates.
    pub time: Timestamp,
}

impl Moment {
    /// The remaining part of a duration since a start time. `None` if it is over.
    pub fn left(&self, since: Instant, duration: Duration) -> Option<Duration> {
        duration.checked_sub(self.instant.saturating_duration_since(since)).filter(|left| !left.is_zero())
    }
}

/// The flags of the process, which are the same for all hosted clusters.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools)] // independent switches, each read by itself
pub struct Flags {
    /// The targets, the parent first.
    pub targets: Vec<Arc<TargetSpec>>,
    /// The sources in `--registry-overrides`.
    pub argument: ArgumentMode,
    /// `--mode=observe`: nothing is written.
    pub observes: bool,
    /// Whether the manager reconciles guest clusters.
    pub has_guests: bool,
    /// Whether stock operators may be triggered to read the mirrors.
    pub triggers_stock: bool,
    /// Whether to plan the final state instead of the next step: children together with their parent.
    pub plans_final_state: bool,
    /// The rollout budget.
    pub rollouts: Budget,
    /// Time to wait for further edits, and for triggered stock operators.
    pub settle: Duration,
    /// Time for children to get the entries from their parent.
    pub handover: Duration,
    /// The namespace of the manager's Lease.
    pub namespace: String,
    /// Whether sources without a fallback need a proof, unless an annotation says otherwise.
    pub require_proof: RequireProof,
}

/// The state of the whole fleet.
#[derive(Clone, Debug, Default)]
pub struct FleetFacts {
    /// The current management layer.
    pub management: Arc<ManagementLayer>,
    /// Changes with its mirrors.
    pub management_revision: u64,
    /// Whether a mirror kind is not served and its objects were never listed.
    pub is_blind: bool,
    /// Problems with mirror kinds and objects.
    pub problems: Vec<SourceTrouble>,
    /// Whether the removal of hypermirror from all hosted clusters is requested.
    pub leaves: bool,
    /// Whether the admission still has to be removed, which must happen first.
    pub has_admission_to_remove: bool,
    /// The installed admission, if it is known.
    pub admission: Option<Admission>,
    /// The held removal. Only set if the map is empty.
    pub removal: Option<HeldRemoval>,
}

/// The result of a request for a slot of the rollout budget.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Slot {
    /// Not requested yet.
    #[default]
    NotClaimed,
    /// A slot is claimed, and the targets were read afterwards.
    Claimed,
    /// All slots are in use.
    Queued,
    /// Rollouts are halted.
    Halted(Halt<ClusterKey>),
    /// No slot is needed: hypermirror is being removed, and unavailable targets would not become available by waiting.
    NotNeeded,
}

/// The state of a hosted cluster in the rollout budget.
#[derive(Clone, Debug, Default)]
pub struct RolloutFacts {
    /// The mark of its rollout in flight.
    pub in_flight: Option<Mark>,
    /// The start time of its last rollout.
    pub last: Option<Timestamp>,
    /// Whether it was not available before. Its targets were read again for this turn.
    pub is_skipped: bool,
    /// Whether it has a slot.
    pub slot: Slot,
}

/// The state of one hosted cluster.
#[derive(Clone, Debug)]
pub struct ClusterFacts {
    /// Its name.
    pub key: ClusterKey,
    /// The HostedCluster.
    pub object: Arc<HostedCluster>,
    /// The flags of the process.
    pub flags: Arc<Flags>,
    /// The fleet.
    pub fleet: FleetFacts,
    /// Whether the selector matches it.
    pub is_selected: bool,
    /// The settings in its annotations.
    pub settings: ClusterSettings,
    /// An invalid value of `management-mirrors`.
    pub unknown_setting: Option<String>,
    /// Its own mirrors.
    pub own: OwnSources,
    /// The mirrors of its NodePools, by name.
    pub pool_sources: BTreeMap<String, PoolSources>,
    /// Its NodePools, by name.
    pub pools: Arc<BTreeMap<String, KnownPool>>,
    /// The desired map, including the current entries while a source cannot be read and its last content is not known, and with what
    /// is live in place of held sources.
    pub map: ClusterMap,
    /// The gate for sources without a fallback, if it has to be passed; see [`super::proof::control_plane::enforce`].
    pub enforcement: Option<Enforcement>,
    /// The sources of its map that are held because their mirrors are not proven.
    pub held: HeldSources,
    /// Its targets, the parent first.
    pub targets: Vec<Target>,
    /// Its MirrorCoverage, if it has one.
    pub coverage: Option<Arc<KnownCoverage>>,
    /// The current report.
    pub report: Option<Arc<HostedClusterMirrorsStatus>>,
    /// Why it does not own its control-plane namespace.
    pub refusal: Option<Refusal>,
    /// The result of the last reconcile of its guest cluster, by this process or a previous one.
    pub guest: Option<Arc<GuestOutcome>>,
    /// The rollout budget.
    pub rollout: RolloutFacts,
    /// Whether it has a slot from an earlier attempt, for which nothing may have been written.
    pub has_claim: bool,
    /// The memory of this process.
    pub memory: Arc<Memory>,
}

impl ClusterFacts {
    /// Whether its removal is requested.
    pub fn uninstalls(&self) -> bool {
        self.fleet.leaves || self.object.annotations().get(annotations::UNINSTALL).is_some_and(|value| value == "true")
    }

    /// Whether hypermirror is being removed from it.
    pub fn leaves(&self) -> bool {
        self.uninstalls() || !self.is_selected
    }

    /// Whether the guest cluster should have no objects of hypermirror: it is being removed, or its delivery is `None`.
    pub fn wants_guest_left(&self) -> bool {
        self.leaves() || self.delivery() == Delivery::None
    }

    /// The delivery of mirrors to its nodes.
    pub fn delivery(&self) -> Delivery {
        Delivery::of(&*self.object)
    }

    /// The delivery of mirrors to the nodes of one NodePool, if it exists.
    pub fn delivery_of_pool(&self, pool: &str) -> Option<Delivery> {
        self.pools.get(pool).map(|pool| Delivery::of_pool(self.delivery(), pool.delivery))
    }

    /// The remaining time of its pause, if it ends by itself.
    pub fn pause_left(&self, now: Moment) -> Option<Duration> {
        let ends = pause_ends(&self.object, now.time)?;
        Some(Duration::try_from(ends.duration_since(now.time)).unwrap_or_default())
    }

    /// Whether the empty map is intended. While a source cannot be read and its last content is not known, it is not.
    pub fn is_blind(&self) -> bool {
        self.fleet.is_blind && self.settings.use_management
    }

    /// Whether all existing targets were rolled out and available when they were read.
    pub fn is_rolled_out(&self) -> bool {
        self.targets.iter().filter_map(|target| target.observed.as_ref()).all(|observed| observed.rolled_out)
    }

    /// The names of targets that were not.
    pub fn unavailable(&self) -> Vec<&str> {
        let is_missing = |target: &&Target| target.observed.as_ref().is_some_and(|observed| !observed.rolled_out);
        self.targets.iter().filter(is_missing).map(|target| target.spec.deployment.as_str()).collect()
    }

    /// Findings about its entries.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        let of_management = self.fleet.management.findings.iter().filter(|_| self.settings.use_management);
        of_management.chain(self.map.findings.iter()).chain(&self.own.findings)
    }

    /// Problems with its objects, mirror kinds and annotations.
    pub fn problems(&self) -> Vec<SourceTrouble> {
        let of_kinds = self.fleet.problems.iter().filter(|_| self.settings.use_management);
        let setting = self.unknown_setting.as_ref().map(|value| {
            let key = annotations::MANAGEMENT_MIRRORS;
            format!(
                "annotation {key} has the invalid value {value:?}, which is treated as Use; set it to Use or Ignore"
            )
        });
        let delivery = Delivery::requested(&*self.object).1.map(|value| invalid_delivery(&value));
        let of_annotations = setting.into_iter().chain(delivery).chain(RequireProof::invalid(&*self.object));
        let of_annotations = of_annotations.map(|message| SourceTrouble { reason: Reason::MalformedObject, message });
        of_kinds.chain(&self.own.problems).cloned().chain(of_annotations).collect()
    }
}
