//! Decides how long to wait for stock HyperShift to update catalogs, and when to read them again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hypermirror_api::hypershift::HostedCluster;

use super::compare::Difference;
use super::requested::{RequestedCatalogs, Wanted, requested};
use super::{Handling, condition};
use crate::hosted::condition_state::ConditionState;

/// Interval between reads of catalogs that match, because they are not watched.
pub const IDLE: Duration = Duration::from_mins(5);
/// Interval between reads while waiting for stock HyperShift.
pub const BUSY: Duration = Duration::from_secs(2);
/// Number of reverted writes after which the catalogs count as contested. Three objects are written at the same time.
pub const TRIES: u32 = 9;
/// Maximum delay of writes of contested catalogs.
const LONGEST_DELAY: Duration = Duration::from_hours(1);

/// The state between two reads.
#[derive(Clone, Debug, PartialEq)]
pub struct CatalogMemory {
    wanted: Wanted,
    /// Since when the current differences exist.
    differs: Option<(Vec<Difference>, Instant)>,
    /// The time of the last read.
    read_at: Instant,
    /// Number of writes for the current annotations that were reverted soon.
    tries: u32,
    written: Option<Instant>,
}

impl CatalogMemory {
    /// The remaining time until matching catalogs are read again.
    fn rests(&self, wanted: &Wanted, now: Instant) -> Option<Duration> {
        let is_right = self.wanted == *wanted && self.differs.is_none();
        let left = IDLE.checked_sub(now.saturating_duration_since(self.read_at))?;
        Some(left).filter(|left| is_right && !left.is_zero())
    }

    /// Records the differences. Returns how long to wait for stock HyperShift, and the number of reverted writes.
    pub fn found(
        before: Option<&Self>,
        wanted: &Wanted,
        found: &[Difference],
        patience: Duration,
        now: Instant,
    ) -> (Self, Duration, u32) {
        let known = before.filter(|known| known.wanted == *wanted);
        let written = known.and_then(|known| known.written);
        let lasts = written.is_some_and(|written| now.saturating_duration_since(written) <= LONGEST_DELAY);
        let tries = known.filter(|_| lasts).map_or(0, |known| known.tries);
        let differs = known.and_then(|known| known.differs.as_ref());
        let since = differs.filter(|(before, _)| before == found).map_or(now, |(_, since)| *since);
        let differs = (!found.is_empty()).then(|| (found.to_vec(), since));
        let wait = patience.saturating_mul(2_u32.saturating_pow(tries / 3)).min(LONGEST_DELAY.max(patience));
        let memory = Self { wanted: wanted.clone(), differs, read_at: now, tries, written };
        (memory, wait.saturating_sub(now.saturating_duration_since(since)), tries)
    }

    /// Records a write.
    pub fn wrote(&mut self, now: Instant) {
        self.tries = self.tries.saturating_add(1);
        self.written = Some(now);
    }
}

/// The action for the catalogs of one hosted cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CatalogStep {
    /// None: there is no annotation, so they are not read.
    None,
    /// None, for the reason in the condition.
    Report(ConditionState),
    /// They matched at the last read. Read them again after this time.
    Rest(Duration, ConditionState),
    /// Read them, and write those that stock HyperShift has not updated in time.
    Read(RequestedCatalogs),
}

/// Decides the action. `refused` is whether the control-plane namespace belongs to another HostedCluster; `proven` are the mirrors that
/// are proven to hold stock images.
pub fn step(
    cluster: &HostedCluster,
    leaving: bool,
    refused: Option<&ConditionState>,
    memory: Option<&CatalogMemory>,
    proven: impl FnOnce() -> BTreeMap<String, String>,
    now: Instant,
) -> CatalogStep {
    let Some(mut requested) = requested(cluster).filter(|_| !leaving) else { return CatalogStep::None };
    if let Wanted::Proven(mirrors) = &mut requested.wanted {
        *mirrors = proven();
    }
    if let Some(refused) = refused {
        return CatalogStep::Report(refused.clone());
    }
    let as_wished = || condition(&requested, &[], &Handling::Waiting);
    if requested.wanted == Wanted::Nothing {
        return CatalogStep::Report(as_wished());
    }
    match memory.and_then(|memory| memory.rests(&requested.wanted, now)) {
        Some(left) => CatalogStep::Rest(left, as_wished()),
        None => CatalogStep::Read(requested),
    }
}

#[cfg(test)]
mod tests {
    use hypermirror_api::hypershift::HostedClusterSpec;
    use hypermirror_api::{Reason, annotations};
    use kube::ResourceExt as _;

    use super::*;
    use crate::hosted::catalogs::Catalog;
    use crate::hosted::catalogs::compare::CatalogObject;

    const PATIENCE: Duration = Duration::from_secs(30);

    fn found(catalog: Catalog) -> Vec<Difference> {
        let object = CatalogObject::Deployment(catalog);
        vec![Difference { object, images: Vec::new(), is_triggered: true, patch: None }]
    }

    fn wanted(registry: &str) -> Wanted {
        Wanted::Registries(vec![registry.to_owned()])
    }

    fn annotated(key: &str, value: &str) -> HostedCluster {
        let mut cluster = HostedCluster::new("a", HostedClusterSpec::default());
        cluster.annotations_mut().insert(key.to_owned(), value.to_owned());
        cluster
    }

    #[test]
    fn catalogs_are_read_only_if_their_annotations_have_an_effect_and_the_last_read_is_old() {
        let now = Instant::now();
        let moved = annotated(annotations::CATALOG_REGISTRY_OVERRIDES, "registry.redhat.io=m.example");
        let refused = ConditionState::new("False", Reason::NamespaceClaimedTwice, "claimed");
        let wanted = requested(&moved).unwrap().wanted;
        let (known, ..) = CatalogMemory::found(None, &wanted, &[], PATIENCE, now);
        let name = |step: CatalogStep| match step {
            CatalogStep::None => "none",
            CatalogStep::Report(_) => "report",
            CatalogStep::Rest(..) => "rest",
            CatalogStep::Read(_) => "read",
        };
        let unrelated = annotated("x", "y");
        let ineffective = annotated(annotations::CATALOG_REGISTRY_OVERRIDES, "quay.io=m.example");
        for (what, cluster, leaving, refused, memory, expected) in [
            ("no annotation", &unrelated, false, None, None, "none"),
            ("a removal", &moved, true, None, None, "none"),
            ("another owner", &moved, false, Some(&refused), None, "report"),
            ("without effect", &ineffective, false, None, None, "report"),
            ("not read yet", &moved, false, None, None, "read"),
            ("read just now", &moved, false, None, Some(&known), "rest"),
        ] {
            assert_eq!(name(step(cluster, leaving, refused, memory, BTreeMap::new, now)), expected, "{what}");
        }
        assert_eq!(name(step(&moved, false, None, Some(&known), BTreeMap::new, now + IDLE)), "read");
    }

    #[test]
    fn catalogs_that_wait_for_a_proof_are_read_again_as_soon_as_there_is_one() {
        let (now, cluster) = (Instant::now(), annotated(annotations::CATALOGS_FROM_MIRRORS, "true"));
        let (known, ..) = CatalogMemory::found(None, &Wanted::Proven(BTreeMap::new()), &[], PATIENCE, now);
        let rests = |proven| matches!(step(&cluster, false, None, Some(&known), || proven, now), CatalogStep::Rest(..));
        assert!(rests(BTreeMap::new()));
        assert!(!rests(BTreeMap::from([("stock".to_owned(), "mirror".to_owned())])));
    }

    /// The memory of one hosted cluster, and a clock.
    struct Seen(Option<CatalogMemory>, Instant);

    impl Seen {
        fn find(&mut self, wanted: &Wanted, found: &[Difference], patience: Duration) -> (Duration, u32) {
            let (memory, wait, tries) = CatalogMemory::found(self.0.as_ref(), wanted, found, patience, self.1);
            self.0 = Some(memory);
            (wait, tries)
        }
    }

    #[test]
    fn stock_hypershift_has_its_time_from_the_last_change() {
        let mut seen = Seen(None, Instant::now());
        assert_eq!(seen.find(&wanted("x"), &found(Catalog::Redhat), PATIENCE), (PATIENCE, 0));
        seen.1 += Duration::from_secs(10);
        assert_eq!(seen.find(&wanted("x"), &found(Catalog::Redhat), PATIENCE).0, Duration::from_secs(20));
        assert_eq!(seen.find(&wanted("x"), &found(Catalog::Certified), PATIENCE).0, PATIENCE, "something else differs");
        assert_eq!(seen.find(&wanted("y"), &found(Catalog::Certified), PATIENCE).0, PATIENCE, "another wish");
        assert_eq!(seen.find(&wanted("y"), &found(Catalog::Certified), Duration::ZERO).0, Duration::ZERO);
    }

    #[test]
    fn matching_catalogs_are_not_read_again_soon_unless_the_annotations_change() {
        let mut seen = Seen(None, Instant::now());
        seen.find(&wanted("x"), &[], PATIENCE);
        let rests = |seen: &Seen, registry: &str| seen.0.as_ref().unwrap().rests(&wanted(registry), seen.1);
        assert_eq!(rests(&seen, "x"), Some(IDLE));
        assert_eq!(rests(&seen, "y"), None);
        seen.1 += IDLE;
        assert_eq!(rests(&seen, "x"), None);
        seen.find(&wanted("x"), &found(Catalog::Redhat), PATIENCE);
        assert_eq!(rests(&seen, "x"), None);
    }

    #[test]
    fn writes_that_are_reverted_repeatedly_are_delayed_longer_each_time() {
        let mut seen = Seen(None, Instant::now());
        let mut waits = Vec::new();
        for _ in 0..4 {
            waits.push(seen.find(&wanted("x"), &found(Catalog::Redhat), PATIENCE));
            let now = seen.1;
            (0..3).for_each(|_| seen.0.as_mut().unwrap().wrote(now));
            seen.find(&wanted("x"), &[], PATIENCE);
        }
        let doubled = [(30, 0), (60, 3), (120, 6), (240, TRIES)];
        assert_eq!(waits, doubled.map(|(seconds, tries)| (Duration::from_secs(seconds), tries)));
        seen.1 += LONGEST_DELAY + Duration::from_secs(1);
        assert_eq!(seen.find(&wanted("x"), &found(Catalog::Redhat), PATIENCE), (PATIENCE, 0), "it stood for an hour");
    }
}
