//! What costs much processor time or memory because an owner declares much: done apart from everybody else's work.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::hosted::sources::{ClusterMap, ManagementLayer, merged_map};
use crate::mirrors::MirrorEntry;
use crate::mirrors::entry::Entries;

/// Mirrors of a hosted cluster above which its work is heavy: some milliseconds of processor time, and some megabytes.
const HEAVY: usize = 1_000;
/// How many heavy hosted clusters are worked on at once, and as many heavy guests: each may take 30 MB.
const AT_ONCE: usize = 2;
/// How many entries the maps that are kept have together: about 50 MB.
const KEPT_ENTRIES: usize = 40_000;

/// A map, and what it was merged from.
#[derive(Debug)]
struct Kept {
    management: Arc<ManagementLayer>,
    own: Entries,
    use_management: bool,
    map: ClusterMap,
}

impl Kept {
    fn is_of(&self, management: &Arc<ManagementLayer>, own: &Entries, use_management: bool) -> bool {
        let is_same = |(a, b): (&Arc<[MirrorEntry]>, &Arc<[MirrorEntry]>)| Arc::ptr_eq(a, b);
        self.use_management == use_management
            && Arc::ptr_eq(&self.management, management)
            && self.own.parts().len() == own.parts().len()
            && self.own.parts().iter().zip(own.parts()).all(is_same)
    }

    fn weight(&self) -> usize {
        self.map.map.entries.len() + self.map.findings.len()
    }
}

/// Heavy work, and the maps that were merged last.
#[derive(Debug)]
pub struct Heavy {
    /// The hosted clusters' places.
    pub clusters: Arc<Semaphore>,
    /// The guests' places.
    pub guests: Arc<Semaphore>,
    /// Held by whoever computes: one processor at most is taken from everybody else.
    computing: Mutex<()>,
    maps: Mutex<VecDeque<Kept>>,
}

impl Default for Heavy {
    fn default() -> Self {
        let places = || Arc::new(Semaphore::new(AT_ONCE));
        Self { clusters: places(), guests: places(), computing: Mutex::default(), maps: Mutex::default() }
    }
}

/// How heavy one piece of work is; a heavy one holds its place as long as this is kept.
#[derive(Debug, Default)]
pub struct Load(Option<OwnedSemaphorePermit>);

impl Load {
    /// The load of so many mirrors; none if it is heavy and every place is taken.
    pub fn of(mirrors: usize, places: &Arc<Semaphore>) -> Option<Self> {
        if mirrors <= HEAVY {
            return Some(Self(None));
        }
        Arc::clone(places).try_acquire_owned().ok().map(|place| Self(Some(place)))
    }
}

impl Heavy {
    /// Computes: what is heavy one after the other, and so that other tasks of this thread go on elsewhere.
    pub fn compute<T>(&self, load: &Load, work: impl FnOnce() -> T) -> T {
        if load.0.is_none() {
            return work();
        }
        tokio::task::block_in_place(|| {
            let _turn = self.computing.lock().unwrap_or_else(PoisonError::into_inner);
            work()
        })
    }

    /// Reads what may be heavy, on a thread where blocking is allowed.
    pub fn compute_apart<T>(&self, is_heavy: bool, work: impl FnOnce() -> T) -> T {
        let _turn = is_heavy.then(|| self.computing.lock().unwrap_or_else(PoisonError::into_inner));
        work()
    }

    /// The map of a hosted cluster; merged once for all that declare the same.
    pub fn map(
        &self,
        load: &Load,
        management: &Arc<ManagementLayer>,
        own: &Entries,
        use_management: bool,
    ) -> ClusterMap {
        if own.is_empty() {
            return merged_map(management, own, use_management);
        }
        let maps = || self.maps.lock().unwrap_or_else(PoisonError::into_inner);
        let known = || {
            let mut maps = maps();
            let place = maps.iter().position(|kept| kept.is_of(management, own, use_management))?;
            let kept = maps.remove(place)?;
            let map = kept.map.clone();
            maps.push_back(kept); // what is used last goes last
            Some(map)
        };
        if let Some(map) = known() {
            return map;
        }
        self.compute(load, || {
            // Whoever had the turn before may have merged the same.
            known().unwrap_or_else(|| {
                let map = merged_map(management, own, use_management);
                let (management, own) = (Arc::clone(management), own.clone());
                let mut maps = maps();
                maps.push_back(Kept { management, own, use_management, map: map.clone() });
                while maps.len() > 1 && maps.iter().map(Kept::weight).sum::<usize>() > KEPT_ENTRIES {
                    maps.pop_front();
                }
                map
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use hypermirror_api::hypershift::ImageContentSource;

    use super::*;
    use crate::mirrors::Layer;
    use crate::mirrors::entry::of_image_content_sources;

    fn own(count: usize) -> Entries {
        let source = |n: usize| ImageContentSource { source: format!("q.io/{n}"), mirrors: vec!["a.io/m".to_owned()] };
        let sources: Vec<_> = (0..count).map(source).collect();
        of_image_content_sources("clusters", "a", &sources, Layer::HostedCluster).into()
    }

    #[test]
    fn equal_declarations_are_merged_once_and_others_apart() {
        let (heavy, management, own) = (Heavy::default(), Arc::default(), own(3));
        let map = |own: &Entries, use_management| heavy.map(&Load::default(), &management, own, use_management).map;
        let first = map(&own, false);
        assert!(Arc::ptr_eq(&first, &map(&own.clone(), false)));
        assert!(!Arc::ptr_eq(&first, &map(&own, true)));
        assert!(!Arc::ptr_eq(&first, &map(&self::own(3), false)), "another object says the same");
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let (heavy, management) = (Heavy::default(), Arc::default());
        for _ in 0..4 {
            heavy.map(&Load::default(), &management, &own(KEPT_ENTRIES / 100), false);
        }
        let large: Vec<Entries> = (0..3).map(|_| own(KEPT_ENTRIES / 2)).collect();
        for own in &large {
            heavy.map(&Load::default(), &management, own, false);
        }
        let maps = heavy.maps.lock().unwrap();
        assert!(maps.iter().map(Kept::weight).sum::<usize>() <= KEPT_ENTRIES, "{} maps", maps.len());
    }

    #[test]
    fn a_heavy_one_waits_for_a_place_and_a_light_one_never() {
        let places = Heavy::default().clusters;
        let taken: Vec<Option<Load>> = (0..3).map(|_| Load::of(HEAVY + 1, &places)).collect();
        assert_eq!(taken.iter().filter(|load| load.is_some()).count(), AT_ONCE);
        assert!(Load::of(HEAVY, &places).is_some());
        drop(taken);
        assert!(Load::of(HEAVY + 1, &places).is_some());
    }
}
