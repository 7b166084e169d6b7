//! How many scans run at once: altogether, of one namespace, and at one host. So a registry that does not answer, or a
//! namespace full of them, takes no room from others.

use std::collections::{HashMap, HashSet};

use super::Watched;

/// Scans at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Altogether.
    pub all: usize,
    /// Of one namespace.
    pub namespace: usize,
    /// At one host.
    pub host: usize,
}

/// Hosts that are remembered as unreachable.
const MAX_UNREACHABLE: usize = 10_000;

/// Where a scan counts.
#[derive(Debug)]
pub(super) struct Place {
    namespace: String,
    host: String,
}

impl Place {
    pub(super) fn of(object: &Watched) -> Self {
        Self { namespace: object.key.namespace.clone(), host: object.host.clone() }
    }
}

#[derive(Debug)]
pub(super) struct Lanes {
    limits: Limits,
    running: usize,
    namespaces: HashMap<String, usize>,
    hosts: HashMap<String, usize>,
    unreachable: HashSet<String>,
}

impl Lanes {
    pub(super) fn new(limits: Limits) -> Self {
        let (namespaces, hosts, unreachable) = (HashMap::new(), HashMap::new(), HashSet::new());
        Self { limits, running: 0, namespaces, hosts, unreachable }
    }

    pub(super) const fn running(&self) -> usize {
        self.running
    }

    /// Takes room for a scan, if there is some.
    pub(super) fn take(&mut self, place: &Place) -> bool {
        // One scan shows whether the host is back.
        let at_host = if self.unreachable.contains(&place.host) { 1 } else { self.limits.host };
        let count = |lanes: &HashMap<String, usize>, name: &str| lanes.get(name).copied().unwrap_or_default();
        let has_room = self.running < self.limits.all
            && count(&self.namespaces, &place.namespace) < self.limits.namespace
            && count(&self.hosts, &place.host) < at_host;
        if has_room {
            self.running += 1;
            *self.namespaces.entry(place.namespace.clone()).or_default() += 1;
            *self.hosts.entry(place.host.clone()).or_default() += 1;
        }
        has_room
    }

    pub(super) fn free(&mut self, place: &Place) {
        self.running = self.running.saturating_sub(1);
        for (lanes, name) in [(&mut self.namespaces, &place.namespace), (&mut self.hosts, &place.host)] {
            if let Some(count) = lanes.get_mut(name) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    lanes.remove(name);
                }
            }
        }
    }

    pub(super) fn note(&mut self, host: &str, is_unreachable: bool) {
        if !is_unreachable {
            self.unreachable.remove(host);
        } else if self.unreachable.len() < MAX_UNREACHABLE {
            self.unreachable.insert(host.to_owned());
        }
    }
}
