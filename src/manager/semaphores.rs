//! A semaphore for each owner, so that nobody waits for another owner's work.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

/// Semaphores by key. Those that nobody uses are dropped, because keys are chosen by others.
#[derive(Debug)]
pub struct Semaphores<K> {
    permits: usize,
    known: Mutex<HashMap<K, Arc<Semaphore>>>,
}

impl<K: Eq + Hash> Semaphores<K> {
    /// Creates semaphores with this number of permits each.
    pub fn new(permits: usize) -> Self {
        Self { permits, known: Mutex::default() }
    }

    /// The semaphore of a key. Each waiter and each permit has a reference to it.
    pub fn of(&self, key: K) -> Arc<Semaphore> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, semaphore| Arc::strong_count(semaphore) > 1);
        Arc::clone(known.entry(key).or_insert_with(|| Arc::new(Semaphore::new(self.permits))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_its_own_permits_and_an_unused_one_is_forgotten() {
        let semaphores = Semaphores::new(1);
        let permit = semaphores.of("a").try_acquire_owned().unwrap();
        assert!(semaphores.of("a").try_acquire_owned().is_err());
        for key in ["b", "c", "d"] {
            assert!(semaphores.of(key).try_acquire_owned().is_ok());
        }
        assert_eq!(semaphores.known.lock().unwrap().len(), 2, "a, which is in use, and the last one");
        drop(permit);
        assert!(semaphores.of("a").try_acquire_owned().is_ok());
    }
}
