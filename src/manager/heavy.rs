//! What costs much processor time or memory because an owner declares much: done apart from everybody else's work.

mod thread;

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub use thread::Panicked;
use thread::WorkThread;

use crate::hosted::sources::{ClusterMap, ManagementLayer, merged_map};
use crate::mirrors::MirrorEntry;
use crate::mirrors::entry::Entries;

/// Mirrors of a hosted cluster above which its work is heavy: some milliseconds of processor time, and some megabytes.
const HEAVY: usize = 1_000;
/// How many heavy hosted clusters are worked on at once, and as many heavy guests: each may take 30 MB.
const AT_ONCE: usize = 2;
/// How many entries the maps that are kept have together: about 50 MB.
const KEPT_ENTRIES: usize = 40_000;
/// How much less than others the threads get where processors are scarce: large texts of owners can wait longest.
const READING_NICENESS: i32 = 10;
const MERGING_NICENESS: i32 = 5;

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

/// The maps that were merged last, the one that was used last at the end.
#[derive(Debug, Default)]
struct Maps(Mutex<VecDeque<Kept>>);

impl Maps {
    fn find(&self, management: &Arc<ManagementLayer>, own: &Entries, use_management: bool) -> Option<ClusterMap> {
        let mut maps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = maps.iter().position(|kept| kept.is_of(management, own, use_management))?;
        let kept = maps.remove(place)?;
        let map = kept.map.clone();
        maps.push_back(kept);
        Some(map)
    }

    fn keep(&self, kept: Kept) {
        let mut maps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        maps.push_back(kept);
        while maps.len() > 1 && maps.iter().map(Kept::weight).sum::<usize>() > KEPT_ENTRIES {
            maps.pop_front();
        }
    }

    /// Merges, unless whoever had the turn before has merged the same.
    fn find_or_merge(&self, management: Arc<ManagementLayer>, own: Entries, use_management: bool) -> ClusterMap {
        self.find(&management, &own, use_management).unwrap_or_else(|| {
            let map = merged_map(&management, &own, use_management);
            self.keep(Kept { management, own, use_management, map: map.clone() });
            map
        })
    }
}

/// Heavy work, and the maps that were merged last.
#[derive(Debug)]
pub struct Heavy {
    /// The hosted clusters' places.
    pub clusters: Arc<Semaphore>,
    /// The guests' places.
    pub guests: Arc<Semaphore>,
    /// Reads large texts.
    reading: WorkThread,
    /// Merges what is heavy, and reads small texts: it is free again sooner.
    merging: WorkThread,
    /// Held by whoever computes on a thread of the runtime: one of them at most.
    computing: Mutex<()>,
    maps: Arc<Maps>,
}

/// How heavy one piece of work is; a heavy one holds its place as long as this is kept.
#[derive(Debug, Default)]
pub struct Load(Option<OwnedSemaphorePermit>);

impl Load {
    /// The same for so many mirrors: a place that is held is kept. None if it is heavy and every place is taken.
    pub fn raised(self, mirrors: usize, places: &Arc<Semaphore>) -> Option<Self> {
        if self.0.is_some() { Some(self) } else { Self::of(mirrors, places) }
    }

    /// The load of so many mirrors; none if it is heavy and every place is taken.
    pub fn of(mirrors: usize, places: &Arc<Semaphore>) -> Option<Self> {
        if mirrors <= HEAVY {
            return Some(Self(None));
        }
        Arc::clone(places).try_acquire_owned().ok().map(|place| Self(Some(place)))
    }
}

impl Heavy {
    /// Starts its threads.
    ///
    /// # Errors
    /// If the system has none for it.
    pub fn start() -> io::Result<Self> {
        let places = || Arc::new(Semaphore::new(AT_ONCE));
        let reading = WorkThread::start("reading", READING_NICENESS)?;
        let merging = WorkThread::start("merging", MERGING_NICENESS)?;
        let (computing, maps) = (Mutex::default(), Arc::default());
        Ok(Self { clusters: places(), guests: places(), reading, merging, computing, maps })
    }

    /// Computes what borrows: what is heavy one after the other, and so that other tasks of this thread go on elsewhere.
    pub fn compute<T>(&self, load: &Load, work: impl FnOnce() -> T) -> T {
        if load.0.is_none() {
            return work();
        }
        tokio::task::block_in_place(|| {
            let _turn = self.computing.lock().unwrap_or_else(PoisonError::into_inner);
            work()
        })
    }

    /// Computes: what is heavy on the thread for it. A panic goes on where this is awaited.
    pub async fn compute_apart<T: Send + 'static>(&self, load: &Load, work: impl FnOnce() -> T + Send + 'static) -> T {
        if load.0.is_none() {
            return work();
        }
        self.merging.run(work).await.unwrap_or_else(|panicked| panicked.resume())
    }

    /// Reads an owner's text.
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

    /// The map of a hosted cluster; merged once for all that declare the same.
    pub async fn map(
        &self,
        load: &Load,
        management: &Arc<ManagementLayer>,
        own: &Entries,
        use_management: bool,
    ) -> ClusterMap {
        if own.is_empty() {
            return merged_map(management, own, use_management);
        }
        if let Some(map) = self.maps.find(management, own, use_management) {
            return map;
        }
        let (maps, management, own) = (Arc::clone(&self.maps), Arc::clone(management), own.clone());
        self.compute_apart(load, move || maps.find_or_merge(management, own, use_management)).await
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

    #[tokio::test]
    async fn equal_declarations_are_merged_once_and_others_apart() {
        let (heavy, management, own) = (Heavy::start().unwrap(), Arc::default(), own(3));
        let map = async |own: &Entries, use_management| {
            let load = Load::of(HEAVY + 1, &heavy.clusters).unwrap();
            heavy.map(&load, &management, own, use_management).await.map
        };
        let first = map(&own, false).await;
        assert!(Arc::ptr_eq(&first, &map(&own.clone(), false).await));
        assert!(!Arc::ptr_eq(&first, &map(&own, true).await));
        assert!(!Arc::ptr_eq(&first, &map(&self::own(3), false).await), "another object says the same");
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let (maps, management) = (Maps::default(), Arc::default());
        for _ in 0..4 {
            maps.find_or_merge(Arc::clone(&management), own(KEPT_ENTRIES / 100), false);
        }
        for _ in 0..3 {
            maps.find_or_merge(Arc::clone(&management), own(KEPT_ENTRIES / 2), false);
        }
        let maps = maps.0.lock().unwrap();
        assert!(maps.iter().map(Kept::weight).sum::<usize>() <= KEPT_ENTRIES, "{} maps", maps.len());
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
    fn a_heavy_one_waits_for_a_place_and_a_light_one_never() {
        let places = Heavy::start().unwrap().clusters;
        let taken: Vec<Option<Load>> = (0..3).map(|_| Load::of(HEAVY + 1, &places)).collect();
        assert_eq!(taken.iter().filter(|load| load.is_some()).count(), AT_ONCE);
        assert!(Load::of(HEAVY, &places).is_some());
        drop(taken);
        assert!(Load::of(HEAVY + 1, &places).is_some());
    }
}
