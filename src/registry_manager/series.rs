//! Names in labels of metrics: users choose them, and the number of series must not grow with them.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

/// The label of names beyond the limit.
const OTHER: &str = "other";

/// The first names that were seen. Clones share them.
#[derive(Clone, Debug)]
pub struct LimitedNames {
    limit: usize,
    names: Arc<Mutex<HashSet<String>>>,
}

impl LimitedNames {
    /// At most so many.
    pub fn new(limit: usize) -> Self {
        Self { limit, names: Arc::default() }
    }

    /// The label for a name: itself, or `other`.
    pub fn label(&self, name: &str) -> String {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if !names.contains(name) && names.len() >= self.limit {
            return OTHER.to_owned();
        }
        names.insert(name.to_owned());
        name.to_owned()
    }
}
