//! Limits the declarations of owners of hosted clusters. Above a limit, the last valid content stays in use.
//!
//! All declarations are kept in memory, merged repeatedly and applied in guest clusters. More would not be usable: an override
//! map has at most 128 KiB, and an API server accepts objects of at most 1.5 MiB.

/// Maximum number of findings about one ConfigMap.
pub const FINDINGS_OF_MAP: usize = 100;
/// Maximum number of problems of one ConfigMap. Messages are truncated, so more would not be visible.
pub const PROBLEMS: usize = 50;

/// Mirrors of one hosted cluster: of its own, and of each of its NodePools.
pub const CLUSTER_MIRRORS: usize = 20_000;
/// Bytes of the ConfigMaps that one hosted cluster and its NodePools refer to.
pub const CLUSTER_BYTES: usize = 16 << 20;
/// Mirrors of all ConfigMaps of one namespace.
pub const NAMESPACE_MIRRORS: usize = 60_000;
/// Bytes of all ConfigMaps of one namespace.
pub const NAMESPACE_BYTES: usize = 64 << 20;
/// Minimum weight of a ConfigMap, because its findings and messages are also kept.
const LEAST_BYTES: usize = 16 << 10;

/// The weight of a part of a declaration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weight {
    /// Its mirrors. An entry without mirrors counts as one.
    pub mirrors: usize,
    /// Its bytes.
    pub bytes: usize,
}

impl Weight {
    /// Of a ConfigMap.
    pub fn of_config_map(mirrors: usize, bytes: usize) -> Self {
        Self { mirrors, bytes: bytes.max(LEAST_BYTES) }
    }

    /// The sum.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { mirrors: self.mirrors.saturating_add(other.mirrors), bytes: self.bytes.saturating_add(other.bytes) }
    }
}

/// The remaining part of a limit.
#[derive(Clone, Debug)]
pub struct Budget {
    whose: &'static str,
    limit: Weight,
    used: Weight,
}

impl Budget {
    /// Of one hosted cluster.
    pub fn of_cluster() -> Self {
        let limit = Weight { mirrors: CLUSTER_MIRRORS, bytes: CLUSTER_BYTES };
        Self { whose: "one hosted cluster with its NodePools", limit, used: Weight::default() }
    }

    /// The budget of one namespace, of which its ConfigMaps already use this part.
    pub fn of_namespace(used: Weight) -> Self {
        let limit = Weight { mirrors: NAMESPACE_MIRRORS, bytes: NAMESPACE_BYTES };
        Self { whose: "the ConfigMaps of one namespace", limit, used }
    }

    /// Takes a part of the budget.
    ///
    /// # Errors
    /// The message for the limit that would be exceeded. Nothing is taken.
    pub fn reserve(&mut self, part: Weight) -> Result<(), String> {
        let used = self.used.and(part);
        let (whose, limit) = (self.whose, self.limit);
        if used.mirrors > limit.mirrors {
            let (mirrors, limit) = (used.mirrors, limit.mirrors);
            return Err(format!(
                "its {} mirrors exceed a limit: {mirrors} in total, {limit} allowed for {whose}",
                part.mirrors
            ));
        }
        if used.bytes > limit.bytes {
            let (bytes, limit) = (used.bytes, limit.bytes);
            return Err(format!(
                "its {} bytes exceed a limit: {bytes} in total, {limit} allowed for {whose}",
                part.bytes
            ));
        }
        self.used = used;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_over_the_budget_uses_none_of_it_and_a_smaller_one_still_fits() {
        let mut budget = Budget::of_cluster();
        assert_eq!(budget.reserve(Weight { mirrors: 16_000, bytes: 1 }), Ok(()));
        let refused = budget.reserve(Weight { mirrors: 4_001, bytes: 1 }).unwrap_err();
        assert_eq!(
            refused,
            "its 4001 mirrors exceed a limit: 20001 in total, 20000 allowed for one hosted cluster with its NodePools"
        );
        assert_eq!(budget.reserve(Weight { mirrors: 4_000, bytes: 1 }), Ok(()));
        assert!(budget.reserve(Weight { mirrors: 0, bytes: CLUSTER_BYTES }).unwrap_err().contains("bytes"));
    }

    #[test]
    fn a_small_config_map_is_not_free() {
        let mut budget = Budget::of_namespace(Weight::default());
        let taken = (0..100_000).take_while(|_| budget.reserve(Weight::of_config_map(0, 10)).is_ok()).count();
        assert_eq!(taken, NAMESPACE_BYTES / LEAST_BYTES);
    }
}
