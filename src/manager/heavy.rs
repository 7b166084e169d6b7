//! Isolates work that needs much processor time or memory because an owner has many mirrors.

mod thread;

use std::collections::VecDeque;
use std::io;
use std::ptr;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub use thread::Panicked;
use thread::WorkThread;

use crate::hosted::sources::{ClusterMap, ManagementLayer, merged_map};
use crate::mirrors::MirrorEntry;
use crate::mirrors::entry::MirrorEntries;

/// Number of mirrors above which a hosted cluster is heavy: its reconcile needs some milliseconds and some megabytes.
const HEAVY: usize = 1_000;
/// Maximum number of heavy hosted clusters, and of heavy guest clusters, at once: each may need 30 MB.
const AT_ONCE: usize = 2;
/// Maximum number of entries of all cached maps, about 50 MB.
const KEPT_ENTRIES: usize = 40_000;
/// The niceness of the threads, so that large texts of owners do not delay other work if processors are busy.
const READING_NICENESS: i32 = 10;
const MERGING_NICENESS: i32 = 5;

/// A map and its inputs. It holds none of them: an edit replaces them, and a map of old ones is never found again.
#[derive(Debug)]
struct Kept {
    management: Weak<ManagementLayer>,
    own: Vec<Weak<[MirrorEntry]>>,
    use_management: bool,
    map: ClusterMap,
}

impl Kept {
    fn new(management: &Arc<ManagementLayer>, own: &MirrorEntries, use_management: bool, map: ClusterMap) -> Self {
        let own = own.parts().iter().map(Arc::downgrade).collect();
        Self { management: Arc::downgrade(management), own, use_management, map }
    }

    /// A weak reference keeps its address from being used for another input.
    fn is_of(&self, management: &Arc<ManagementLayer>, own: &MirrorEntries, use_management: bool) -> bool {
        let is_same = |(a, b): (&Weak<[MirrorEntry]>, &Arc<[MirrorEntry]>)| ptr::addr_eq(a.as_ptr(), Arc::as_ptr(b));
        self.use_management == use_management
            && ptr::addr_eq(self.management.as_ptr(), Arc::as_ptr(management))
            && self.own.len() == own.parts().len()
            && self.own.iter().zip(own.parts()).all(is_same)
    }

    /// Whether an input was replaced, and nobody uses the old one any more.
    fn is_obsolete(&self) -> bool {
        self.management.strong_count() == 0 || self.own.iter().any(|part| part.strong_count() == 0)
    }

    fn weight(&self) -> usize {
        self.map.map.entries.len() + self.map.findings.len()
    }
}

/// The cached maps, the most recently used one last.
#[derive(Debug, Default)]
struct Maps(Mutex<VecDeque<Kept>>);

impl Maps {
    fn with<T>(&self, work: impl FnOnce(&mut VecDeque<Kept>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn find(&self, management: &Arc<ManagementLayer>, own: &MirrorEntries, use_management: bool) -> Option<ClusterMap> {
        self.with(|maps| {
            let place = maps.iter().position(|kept| kept.is_of(management, own, use_management))?;
            let kept = maps.remove(place)?;
            let map = kept.map.clone();
            maps.push_back(kept);
            Some(map)
        })
    }

    fn keep(&self, kept: Kept) {
        self.with(|maps| {
            maps.retain(|kept| !kept.is_obsolete());
            maps.push_back(kept);
            while maps.len() > 1 && maps.iter().map(Kept::weight).sum::<usize>() > KEPT_ENTRIES {
                maps.pop_front();
            }
        });
    }

    /// Merges a map, unless it is in the cache.
    fn find_or_merge(
        &self,
        management: &Arc<ManagementLayer>,
        own: &MirrorEntries,
        use_management: bool,
    ) -> ClusterMap {
        self.find(management, own, use_management).unwrap_or_else(|| {
            let map = merged_map(management, own, use_management);
            self.keep(Kept::new(management, own, use_management, map.clone()));
            map
        })
    }
}

/// Runs work that takes some milliseconds or waits for such work. The other tasks of this thread move to other threads, if the
/// runtime has some.
pub fn without_stalling<T>(work: impl FnOnce() -> T) -> T {
    let runtime = Handle::try_current().map(|handle| handle.runtime_flavor());
    if matches!(runtime, Ok(RuntimeFlavor::MultiThread)) { tokio::task::block_in_place(work) } else { work() }
}

/// Executes heavy work, and caches maps.
#[derive(Debug)]
pub struct Heavy {
    /// The slots for hosted clusters.
    pub clusters: Arc<Semaphore>,
    /// The slots for guest clusters.
    pub guests: Arc<Semaphore>,
    /// The thread that parses large texts.
    reading: WorkThread,
    /// The thread that merges heavy maps and parses small texts, which takes shorter.
    merging: WorkThread,
    /// Held while a runtime thread computes, so that at most one does.
    computing: Mutex<()>,
    maps: Arc<Maps>,
}

/// The load of one reconcile. Heavy ones occupy a slot until this is dropped.
#[derive(Debug, Default)]
pub struct Load(Option<OwnedSemaphorePermit>);

impl Load {
    /// The load for another number of mirrors, which keeps its slot. `None` if it is heavy and all slots are in use.
    pub fn raised(self, mirrors: usize, slots: &Arc<Semaphore>) -> Option<Self> {
        if self.0.is_some() { Some(self) } else { Self::of(mirrors, slots) }
    }

    /// The load for a number of mirrors. `None` if it is heavy and all slots are in use.
    pub fn of(mirrors: usize, slots: &Arc<Semaphore>) -> Option<Self> {
        if mirrors <= HEAVY {
            return Some(Self(None));
        }
        Arc::clone(slots).try_acquire_owned().ok().map(|place| Self(Some(place)))
    }
}

impl Heavy {
    /// Starts the threads.
    ///
    /// # Errors
    /// If a thread cannot be created.
    pub fn start() -> io::Result<Self> {
        let slots = || Arc::new(Semaphore::new(AT_ONCE));
        let reading = WorkThread::start("reading", READING_NICENESS)?;
        let merging = WorkThread::start("merging", MERGING_NICENESS)?;
        let (computing, maps) = (Mutex::default(), Arc::default());
        Ok(Self { clusters: slots(), guests: slots(), reading, merging, computing, maps })
    }

    /// Runs a computation with borrowed data. Heavy ones run one after the other, and other tasks of this thread move to other
    /// threads.
    pub fn compute<T>(&self, load: &Load, work: impl FnOnce() -> T) -> T {
        if load.0.is_none() {
            return work();
        }
        without_stalling(|| {
            let _turn = self.computing.lock().unwrap_or_else(PoisonError::into_inner);
            work()
        })
    }

    /// Runs a computation, if it is heavy on the separate thread. A panic is resumed in the caller.
    pub async fn compute_apart<T: Send + 'static>(&self, load: &Load, work: impl FnOnce() -> T + Send + 'static) -> T {
        if load.0.is_none() {
            return work();
        }
        self.merging.run(work).await.unwrap_or_else(|panicked| panicked.resume())
    }

    /// Parses an owner's text.
    ///
    /// # Errors
    /// [`Panicked`].
    pub async fn read<T: Send + 'static>(
        &self,
        is_large: bool,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Panicked> {
        let thread = if is_large { &self.reading } else { &self.merging };
        thread.run(work).await
    }

    /// The map of a hosted cluster, merged once for all hosted clusters with the same mirrors.
    pub async fn map(
        &self,
        load: &Load,
        management: &Arc<ManagementLayer>,
        own: &MirrorEntries,
        use_management: bool,
    ) -> ClusterMap {
        // Most hosted clusters have no mirrors of their own: their map is that of the management layer, shared and never cached.
        if own.is_empty() {
            return merged_map(management, own, use_management);
        }
        if let Some(map) = self.maps.find(management, own, use_management) {
            return map;
        }
        let (maps, management, own) = (Arc::clone(&self.maps), Arc::clone(management), own.clone());
        self.compute_apart(load, move || maps.find_or_merge(&management, &own, use_management)).await
    }
}

#[cfg(test)]
mod tests {
    use hypermirror_api::hypershift::ImageContentSource;

    use super::*;
    use crate::mirrors::Layer;
    use crate::mirrors::entry::of_image_content_sources;

    fn own(count: usize) -> MirrorEntries {
        let source = |n: usize| ImageContentSource { source: format!("q.io/{n}"), mirrors: vec!["a.io/m".to_owned()] };
        let sources: Vec<_> = (0..count).map(source).collect();
        of_image_content_sources("clusters", "a", &sources, Layer::HostedCluster).into()
    }

    #[tokio::test]
    async fn equal_declarations_are_merged_once_and_others_apart() {
        let (heavy, management, own) = (Heavy::start().unwrap(), Arc::default(), own(3));
        let map = async |own: &MirrorEntries, use_management| {
            let load = Load::of(HEAVY + 1, &heavy.clusters).unwrap();
            heavy.map(&load, &management, own, use_management).await.map
        };
        let first = map(&own, false).await;
        assert!(Arc::ptr_eq(&first, &map(&own.clone(), false).await));
        assert!(!Arc::ptr_eq(&first, &map(&own, true).await));
        assert!(!Arc::ptr_eq(&first, &map(&self::own(3), false).await), "another object says the same");
    }

    #[test]
    fn the_cache_is_bounded() {
        let (maps, management) = (Maps::default(), Arc::default());
        // Each fits into a value: a map that is too large is cut.
        let used = [KEPT_ENTRIES / 8; 12].map(own);
        for own in &used {
            maps.find_or_merge(&management, own, false);
        }
        let maps = maps.0.lock().unwrap();
        assert!(maps.iter().map(Kept::weight).sum::<usize>() <= KEPT_ENTRIES, "{} maps", maps.len());
        assert_eq!(maps.len(), 8, "the latest ones that fit");
    }

    #[test]
    fn maps_of_replaced_inputs_are_dropped() {
        let (maps, used) = (Maps::default(), own(3));
        for _ in 0..5 {
            // An edit of the management layer, and one of another hosted cluster.
            let management = Arc::default();
            maps.find_or_merge(&management, &used, true);
            maps.find_or_merge(&management, &own(3), true);
            assert!(maps.0.lock().unwrap().len() <= 2);
            assert!(maps.find(&management, &used, true).is_some());
        }
    }

    #[tokio::test]
    async fn what_is_light_stays_where_it_is_and_what_is_heavy_goes_to_a_thread_of_its_own() {
        let heavy = Heavy::start().unwrap();
        let name = || std::thread::current().name().map(str::to_owned);
        let here = name();
        assert_eq!(heavy.compute_apart(&Load::default(), name).await, here);
        let load = Load::of(HEAVY + 1, &heavy.clusters).unwrap();
        assert_eq!(heavy.compute_apart(&load, name).await.as_deref(), Some("merging"));
        assert_eq!(heavy.read(false, name).await.unwrap().as_deref(), Some("merging"));
        assert_eq!(heavy.read(true, name).await.unwrap().as_deref(), Some("reading"));
    }

    #[tokio::test]
    #[should_panic(expected = "while merging")]
    async fn a_panic_of_heavy_work_goes_on_where_it_is_waited_for() {
        let heavy = Heavy::start().unwrap();
        let load = Load::of(HEAVY + 1, &heavy.clusters).unwrap();
        heavy.compute_apart(&load, || panic!("while merging")).await;
    }

    #[test]
    fn a_heavy_one_waits_for_a_slot_and_a_light_one_never() {
        let slots = Heavy::start().unwrap().clusters;
        let taken: Vec<Option<Load>> = (0..3).map(|_| Load::of(HEAVY + 1, &slots)).collect();
        assert_eq!(taken.iter().filter(|load| load.is_some()).count(), AT_ONCE);
        assert!(Load::of(HEAVY, &slots).is_some());
        drop(taken);
        assert!(Load::of(HEAVY + 1, &slots).is_some());
    }
}
