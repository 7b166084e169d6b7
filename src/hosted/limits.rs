//! How much the owners of hosted clusters may declare: what is above it is not used, and what was in force stays.
//!
//! Everything that is declared is kept in memory, again and again merged, and handed to guests. A hosted cluster can use
//! no more anyway: an override map ends at 128 KiB, and an API server takes no set of more than 1.5 MiB.

/// How many findings about the fields of one ConfigMap are kept.
pub const FINDINGS_OF_MAP: usize = 100;
/// How many troubles of one ConfigMap are told: what follows them is cut from every message anyway.
pub const TROUBLES: usize = 50;

/// Mirrors of one hosted cluster: of its own, and of each of its NodePools.
pub const CLUSTER_MIRRORS: usize = 20_000;
/// Bytes of the ConfigMaps that one hosted cluster and its NodePools refer to.
pub const CLUSTER_BYTES: usize = 16 << 20;
/// Mirrors of all ConfigMaps of one namespace.
pub const NAMESPACE_MIRRORS: usize = 60_000;
/// Bytes of all ConfigMaps of one namespace.
pub const NAMESPACE_BYTES: usize = 64 << 20;
/// What each ConfigMap takes at least, whatever it says: findings and messages are kept with it.
const LEAST_BYTES: usize = 16 << 10;

/// What a part of a declaration takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weight {
    /// Its mirrors; an entry without any counts as one.
    pub mirrors: usize,
    /// Its bytes.
    pub bytes: usize,
}

impl Weight {
    /// Of a ConfigMap.
    pub fn of_config_map(mirrors: usize, bytes: usize) -> Self {
        Self { mirrors, bytes: bytes.max(LEAST_BYTES) }
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { mirrors: self.mirrors.saturating_add(other.mirrors), bytes: self.bytes.saturating_add(other.bytes) }
    }
}

/// What is left of a limit.
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

    /// Of one namespace, whose ConfigMaps take this much already.
    pub fn of_namespace(used: Weight) -> Self {
        let limit = Weight { mirrors: NAMESPACE_MIRRORS, bytes: NAMESPACE_BYTES };
        Self { whose: "the ConfigMaps of one namespace", limit, used }
    }

    /// Takes a part, or says why that is too much; then nothing is taken.
    ///
    /// # Errors
    /// The limit that it exceeds, for a person.
    pub fn take(&mut self, part: Weight) -> Result<(), String> {
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
    fn what_is_too_much_takes_nothing_and_what_fits_after_it_is_taken() {
        let mut budget = Budget::of_cluster();
        assert_eq!(budget.take(Weight { mirrors: 16_000, bytes: 1 }), Ok(()));
        let refused = budget.take(Weight { mirrors: 4_001, bytes: 1 }).unwrap_err();
        assert_eq!(
            refused,
            "its 4001 mirrors exceed a limit: 20001 in total, 20000 allowed for one hosted cluster with its NodePools"
        );
        assert_eq!(budget.take(Weight { mirrors: 4_000, bytes: 1 }), Ok(()));
        assert!(budget.take(Weight { mirrors: 0, bytes: CLUSTER_BYTES }).unwrap_err().contains("bytes"));
    }

    #[test]
    fn a_small_config_map_is_not_free() {
        let mut budget = Budget::of_namespace(Weight::default());
        let taken = (0..100_000).take_while(|_| budget.take(Weight::of_config_map(0, 10)).is_ok()).count();
        assert_eq!(taken, NAMESPACE_BYTES / LEAST_BYTES);
    }
}
