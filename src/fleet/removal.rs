//! The gate for mass removals.

use crate::digest::short_digest;

/// The smallest fleet for which the gate applies. In smaller fleets, a percentage is not significant.
pub const GUARDED_FLEET: usize = 10;

/// A removal that waits for approval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldRemoval {
    /// Number of hosted clusters that have a map.
    pub with_map: usize,
    /// The hosted clusters whose maps would become empty, ascending.
    pub emptied: Vec<String>,
    /// The value that approves this removal: a digest of all hosted clusters without a desired map, so that it stays the same
    /// during the removal and after a change of the leader.
    pub token: String,
}

/// The relevant state of one hosted cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FleetMember {
    /// `namespace/name`.
    pub key: String,
    /// Whether the current map has entries.
    pub has_map: bool,
    /// Whether the desired map is empty.
    pub wants_none: bool,
}

/// Holds a change that would empty the maps of more than `limit_percent` of at least [`GUARDED_FLEET`] hosted clusters.
pub fn mass_removal(members: impl IntoIterator<Item = FleetMember>, limit_percent: u8) -> Option<HeldRemoval> {
    let mut members: Vec<FleetMember> = members.into_iter().collect();
    members.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    let with_map = members.iter().filter(|member| member.has_map).count();
    let without: Vec<&FleetMember> = members.iter().filter(|member| member.wants_none).collect();
    let emptied: Vec<String> =
        without.iter().filter(|member| member.has_map).map(|member| member.key.clone()).collect();
    let too_many = emptied.len() * 100 > with_map * usize::from(limit_percent);
    if with_map < GUARDED_FLEET || !too_many {
        return None;
    }
    let without: Vec<&str> = without.iter().map(|member| member.key.as_str()).collect();
    Some(HeldRemoval { with_map, emptied, token: short_digest(&without.join("\n")) })
}

impl HeldRemoval {
    /// Whether the map of this hosted cluster, `namespace/name`, would become empty.
    pub fn holds(&self, key: &str) -> bool {
        self.emptied.binary_search_by(|emptied| emptied.as_str().cmp(key)).is_ok()
    }

    /// The message of the condition, with the command that approves the removal.
    pub fn message(&self, namespace: &str, lease: &str) -> String {
        format!(
            "waiting for approval: the change would empty the maps of {} of {} hosted clusters; to approve it: \
             kubectl annotate lease -n {namespace} {lease} {}={} --overwrite",
            self.emptied.len(),
            self.with_map,
            hypermirror_api::annotations::ALLOW_REMOVAL,
            self.token
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fleet(size: usize, emptied: usize) -> Vec<FleetMember> {
        (0..size)
            .map(|n| FleetMember { key: format!("clusters/c{n:03}"), has_map: true, wants_none: n < emptied })
            .collect()
    }

    #[test]
    fn more_than_half_of_ten_is_held_and_half_is_not() {
        assert_eq!(mass_removal(fleet(10, 5), 50), None);
        let held = mass_removal(fleet(10, 6), 50).unwrap();
        assert_eq!((held.with_map, held.emptied.len()), (10, 6));
    }

    #[test]
    fn a_small_fleet_may_lose_everything() {
        assert_eq!(mass_removal(fleet(9, 9), 50), None);
    }

    #[test]
    fn clusters_without_a_map_do_not_count() {
        let mut members = fleet(10, 6);
        members.extend((0..90).map(|n| FleetMember { key: format!("x/{n}"), has_map: false, wants_none: true }));
        assert!(mass_removal(members, 50).is_some());
    }

    #[test]
    fn the_token_names_the_removal_and_not_its_order() {
        let mut reversed = fleet(12, 12);
        reversed.reverse();
        let held = mass_removal(fleet(12, 12), 50).unwrap();
        assert_eq!(mass_removal(reversed, 50).unwrap().token, held.token);
        assert_ne!(mass_removal(fleet(13, 13), 50).unwrap().token, held.token);
        assert!(
            held.message("hm", "lease").contains(&format!("hypermirror.dev/allow-removal={} --overwrite", held.token))
        );
    }

    #[test]
    fn the_token_stays_the_same_during_a_removal() {
        let token = |members| mass_removal(members, 50).unwrap().token;
        let (whole, mut half_done) = (fleet(40, 40), fleet(40, 40));
        half_done.iter_mut().take(20).for_each(|member| member.has_map = false);
        assert_eq!(token(half_done), token(whole));
    }

    #[test]
    fn a_limit_of_a_hundred_percent_holds_nothing() {
        assert_eq!(mass_removal(fleet(20, 20), 100), None);
    }
}
