//! Everything that is known of one hosted cluster at one moment.
//!
//! Facts are taken in one short lock and share what is large: nothing is parsed or merged meanwhile. What takes long, such as
//! its map, is made from them before a turn begins, where it holds up nobody else.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hypermirror_api::hypershift::HostedCluster;
use hypermirror_api::report::Admission;
use hypermirror_api::{ClusterKey, HostedClusterMirrorsStatus, Reason, annotations};
use jiff::Timestamp;
use kube::ResourceExt as _;

use super::argument::ArgumentMode;
use super::delivery::{Delivery, meaningless};
use super::guest::GuestOutcome;
use super::memory::Memory;
use super::plan::Target;
use super::pool_config::{KnownPool, PoolSources};
use super::settings::{ClusterSettings, pause_ends};
use super::sources::{ClusterMap, ManagementLayer, OwnSources};
use super::target::TargetSpec;
use super::verdict::SourceTrouble;
use crate::fleet::claims::Refusal;
use crate::fleet::removal::HeldRemoval;
use crate::fleet::rollout::{Budget, Halt, Mark};
use crate::mirrors::finding::Finding;

/// When a turn is taken: times that went by are measured with one clock, dates compared with the other.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// For times that went by.
    pub instant: Instant,
    /// For dates.
    pub time: Timestamp,
}

impl Moment {
    /// How much is left of a time that began then; none if nothing is.
    pub fn left(&self, since: Instant, duration: Duration) -> Option<Duration> {
        duration.checked_sub(self.instant.saturating_duration_since(since)).filter(|left| !left.is_zero())
    }
}

/// What the flags of the process decide, the same for every hosted cluster.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools)] // independent switches, each read by itself
pub struct Flags {
    /// The targets, the parent first.
    pub targets: Vec<Arc<TargetSpec>>,
    /// What goes into `--registry-overrides`.
    pub argument: ArgumentMode,
    /// Nothing is ever written.
    pub observes: bool,
    /// Guests are looked after, too.
    pub has_guests: bool,
    /// Stock operators may be asked to read the mirrors again.
    pub asks: bool,
    /// The end is planned and not the next step: children together with their parent.
    pub whole: bool,
    /// The rollout budget.
    pub rollouts: Budget,
    /// How long further edits, and stock operators that were asked, are waited for.
    pub settle: Duration,
    /// How long children have to get our entries from their parent.
    pub handover: Duration,
    /// The namespace of the manager's Lease.
    pub namespace: String,
}

/// What is known of the whole fleet.
#[derive(Clone, Debug, Default)]
pub struct FleetFacts {
    /// The management layer that is in force.
    pub management: Arc<ManagementLayer>,
    /// Moves with its mirrors.
    pub management_revision: u64,
    /// A mirror kind of the management cluster is gone, and nobody saw its objects.
    pub is_blind: bool,
    /// What is wrong with its kinds and whole objects.
    pub troubles: Vec<SourceTrouble>,
    /// A person asked to have everything of ours taken away everywhere.
    pub leaves: bool,
    /// The admission is still to be taken away, which goes first.
    pub has_admission_to_remove: bool,
    /// Which admission is installed, as far as known.
    pub admission: Option<Admission>,
    /// The removal that is held now; only taken where the map is empty.
    pub removal: Option<HeldRemoval>,
}

/// What asking for a place of the rollout budget came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// Nobody asked yet.
    #[default]
    Unasked,
    /// It was free and is claimed; the targets were read after that.
    Claimed,
    /// Every place is taken.
    Waits,
    /// None begins.
    Halted(Halt<ClusterKey>),
    /// It goes without a place: it leaves, and what is not available cannot become so by waiting.
    Uncounted,
}

/// How a hosted cluster stands with the rollout budget.
#[derive(Clone, Debug, Default)]
pub struct RolloutFacts {
    /// The mark of its rollout that is not back yet.
    pub in_flight: Option<Mark>,
    /// When its last rollout began.
    pub last: Option<Timestamp>,
    /// It was left out because it was not available; its targets were read again for this turn.
    pub is_left_out: bool,
    /// Whether it has a place.
    pub place: Place,
}

/// Everything that is known of one hosted cluster.
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
    /// What its annotations ask for.
    pub settings: ClusterSettings,
    /// A value of `management-mirrors` that means nothing.
    pub unknown_setting: Option<String>,
    /// What it declares itself.
    pub own: OwnSources,
    /// What its NodePools declare, by name.
    pub pool_sources: BTreeMap<String, PoolSources>,
    /// Its NodePools, by name.
    pub pools: Arc<BTreeMap<String, KnownPool>>,
    /// The map that is wanted; while something cannot be read that nobody remembers, with what is in force added to it.
    pub map: ClusterMap,
    /// Its targets, the parent first.
    pub targets: Vec<Target>,
    /// The report that stands.
    pub report: Option<Arc<HostedClusterMirrorsStatus>>,
    /// Why its control-plane namespace is not its own.
    pub refusal: Option<Refusal>,
    /// What the last look at its guest came to, of this process or of the one before it.
    pub guest: Option<Arc<GuestOutcome>>,
    /// The rollout budget.
    pub rollout: RolloutFacts,
    /// It holds a place of the budget from an earlier try, for which nothing may have been written.
    pub has_claim: bool,
    /// What this process remembers.
    pub memory: Arc<Memory>,
}

impl ClusterFacts {
    /// Whether a person asked to have everything of ours taken away from it.
    pub fn uninstalls(&self) -> bool {
        self.fleet.leaves || self.object.annotations().get(annotations::UNINSTALL).is_some_and(|value| value == "true")
    }

    /// Whether it leaves our care.
    pub fn leaves(&self) -> bool {
        self.uninstalls() || !self.is_selected
    }

    /// Whether nothing of ours is to be in the guest: it leaves our care, or wants nothing on its nodes.
    pub fn wants_guest_left(&self) -> bool {
        self.leaves() || self.delivery() == Delivery::None
    }

    /// How mirrors get to its nodes.
    pub fn delivery(&self) -> Delivery {
        Delivery::of(&*self.object)
    }

    /// How mirrors get to the nodes of one NodePool; none if there is no such NodePool.
    pub fn delivery_of_pool(&self, pool: &str) -> Option<Delivery> {
        self.pools.get(pool).map(|pool| Delivery::of_pool(self.delivery(), pool.delivery))
    }

    /// How long its pause still lasts, if that ends by itself.
    pub fn pause_left(&self, now: Moment) -> Option<Duration> {
        let ends = pause_ends(&self.object, now.time)?;
        Some(Duration::try_from(ends.duration_since(now.time)).unwrap_or_default())
    }

    /// While mirrors cannot be read that nobody remembers, an empty map is none that is wanted.
    pub fn is_blind(&self) -> bool {
        self.fleet.is_blind && self.settings.use_management
    }

    /// Whether every target that is there was rolled out and available when it was read.
    pub fn is_rolled_out(&self) -> bool {
        self.targets.iter().filter_map(|target| target.observed.as_ref()).all(|observed| observed.rolled_out)
    }

    /// The names of the others.
    pub fn unavailable(&self) -> Vec<&str> {
        let is_missing = |target: &&Target| target.observed.as_ref().is_some_and(|observed| !observed.rolled_out);
        self.targets.iter().filter(is_missing).map(|target| target.spec.deployment.as_str()).collect()
    }

    /// What is wrong with the entries that it uses.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        let of_management = self.fleet.management.findings.iter().filter(|_| self.settings.use_management);
        of_management.chain(self.map.findings.iter()).chain(&self.own.findings)
    }

    /// What is wrong with the objects and kinds that it uses, and with its annotations.
    pub fn troubles(&self) -> Vec<SourceTrouble> {
        let of_kinds = self.fleet.troubles.iter().filter(|_| self.settings.use_management);
        let setting = self.unknown_setting.as_ref().map(|value| {
            let key = annotations::MANAGEMENT_MIRRORS;
            format!(
                "annotation {key} has the invalid value {value:?}, which is treated as Use; set it to Use or Ignore"
            )
        });
        let delivery = Delivery::said(&*self.object).1.map(|value| meaningless(&value));
        let of_annotations = setting.into_iter().chain(delivery);
        let of_annotations = of_annotations.map(|message| SourceTrouble { reason: Reason::MalformedObject, message });
        of_kinds.chain(&self.own.troubles).cloned().chain(of_annotations).collect()
    }
}
