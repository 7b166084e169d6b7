//! The input of the gate against mass removal.

use kube::ResourceExt as _;
use kube::core::{Selector, SelectorExt as _};

use super::{ClusterKey, Index};
use crate::fleet::removal::FleetMember;
use crate::hosted::settings::settings;

impl Index {
    /// Each managed hosted cluster: whether it has a map, and whether its desired map is empty.
    pub fn members(&self, selector: &Selector, now: jiff::Timestamp) -> Vec<FleetMember> {
        let in_care = self.clusters().filter(|(key, cluster)| {
            self.owns_namespace(key)
                && selector.matches(cluster.object.labels())
                && cluster.object.metadata.deletion_timestamp.is_none()
        });
        let management = self.management();
        let members = in_care.map(|(key, cluster)| {
            let use_management = settings(&cluster.object, now).0.use_management;
            // While a kind is not served whose objects were never listed, an empty map is not intended.
            let may_be_empty = !use_management || (management.map.entries.is_empty() && !self.mirrors.blind());
            let wants_none = may_be_empty && !cluster.contributes && self.declares_nothing(key);
            let has_map = match &cluster.memory.last_map {
                Some(entries) => !entries.is_empty(),
                // After a start, use the report, which may be outdated, and the annotations.
                None => cluster.report.as_ref().is_some_and(|report| report.source_count > 0) || self.may_carry(key),
            };
            FleetMember { key: key.to_string(), has_map, wants_none }
        });
        members.collect()
    }

    /// Whether the annotations of a target have entries, or have not been read yet.
    fn may_carry(&self, key: &ClusterKey) -> bool {
        self.targets_of(key).iter().any(|slot| {
            let overrides = slot.observed.as_ref().and_then(|target| target.overrides.as_ref());
            slot.is_stale() || overrides.is_some_and(|value| !value.is_empty())
        })
    }
}
