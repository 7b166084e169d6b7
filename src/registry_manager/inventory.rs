//! Whole inventories, in memory: statuses hold only their beginning.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use super::agenda::ObjectKey;
use crate::registry::scan::inventory::Inventory;

/// Tags of all inventories together, about 200 bytes each, those with a digest of their own. The oldest inventories go first.
const MAX_TAGS: usize = 500_000;

#[derive(Default)]
struct Held {
    by_key: HashMap<ObjectKey, (String, Arc<Inventory>)>,
    /// The oldest first.
    order: VecDeque<ObjectKey>,
    tags: usize,
}

/// The last good inventory of each Registry.
pub struct Inventories {
    held: Mutex<Held>,
    most: usize,
}

impl Default for Inventories {
    fn default() -> Self {
        Self { held: Mutex::default(), most: MAX_TAGS }
    }
}

impl Inventories {
    /// The inventory of the object with this uid.
    pub fn get(&self, key: &ObjectKey, uid: &str) -> Option<Arc<Inventory>> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.by_key.get(key).filter(|(of, _)| of == uid).map(|(_, inventory)| inventory.clone())
    }

    /// The inventory of the object of this name.
    pub fn find(&self, key: &ObjectKey) -> Option<Arc<Inventory>> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.by_key.get(key).map(|(_, inventory)| inventory.clone())
    }

    /// Replaces an inventory.
    pub fn put(&self, key: &ObjectKey, uid: &str, inventory: Arc<Inventory>) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.remove(key);
        held.tags += inventory.tags.len();
        held.by_key.insert(key.clone(), (uid.to_owned(), inventory));
        held.order.push_back(key.clone());
        while held.tags > self.most
            && let Some(oldest) = held.order.front().cloned()
        {
            held.remove(&oldest);
        }
    }

    /// Drops an inventory.
    pub fn remove(&self, key: &ObjectKey) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

impl Held {
    fn remove(&mut self, key: &ObjectKey) {
        if let Some((_, inventory)) = self.by_key.remove(key) {
            self.tags -= inventory.tags.len();
            self.order.retain(|known| known != key);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::registry::scan::inventory::ScannedTag;

    use super::*;

    fn inventory(count: usize) -> Arc<Inventory> {
        Arc::new(Inventory {
            repository: String::new(),
            revision: String::new(),
            tag_count: count,
            excluded: 0,
            skipped: 0,
            unique_bytes: 0,
            tags: vec![ScannedTag::new(""); count],
        })
    }

    #[test]
    fn the_oldest_inventories_make_room() {
        let inventories = Inventories { most: 10, ..Inventories::default() };
        let key = |name: &str| ObjectKey { namespace: "a".to_owned(), name: name.to_owned() };
        for name in ["one", "two", "one", "three"] {
            inventories.put(&key(name), "uid", inventory(4));
        }
        let held = ["one", "two", "three"].map(|name| inventories.find(&key(name)).is_some());
        assert_eq!(held, [true, false, true]);
        assert!(inventories.get(&key("one"), "other").is_none(), "that of a deleted object");
        inventories.put(&key("large"), "uid", inventory(11));
        assert!(inventories.find(&key("large")).is_none());
        assert_eq!(inventories.held.lock().unwrap().tags, 0);
    }
}
