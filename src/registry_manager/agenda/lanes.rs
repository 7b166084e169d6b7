//! How many jobs run at once: altogether, of one namespace, and at one host. So a registry that does not answer, or a
//! namespace full of them, takes no room from others.

use std::collections::{HashMap, HashSet};

use super::Watched;

/// Jobs at once.
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

/// Where a job counts.
#[derive(Debug)]
pub(super) struct Place {
    namespace: String,
    hosts: Vec<String>,
}

impl Place {
    pub(super) fn of<S>(object: &Watched<S>) -> Self {
        let mut hosts = object.hosts.clone();
        hosts.dedup();
        Self { namespace: object.key.namespace.clone(), hosts }
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

    /// Takes room for a job, if there is some.
    pub(super) fn take(&mut self, place: &Place) -> bool {
        // One job shows whether the host is back.
        let at_host = |host: &String| if self.unreachable.contains(host) { 1 } else { self.limits.host };
        let count = |lanes: &HashMap<String, usize>, name: &str| lanes.get(name).copied().unwrap_or_default();
        let has_room = self.running < self.limits.all
            && count(&self.namespaces, &place.namespace) < self.limits.namespace
            && place.hosts.iter().all(|host| count(&self.hosts, host) < at_host(host));
        if has_room {
            self.running += 1;
            *self.namespaces.entry(place.namespace.clone()).or_default() += 1;
            for host in &place.hosts {
                *self.hosts.entry(host.clone()).or_default() += 1;
            }
        }
        has_room
    }

    pub(super) fn free(&mut self, place: &Place) {
        self.running = self.running.saturating_sub(1);
        leave(&mut self.namespaces, &place.namespace);
        for host in &place.hosts {
            leave(&mut self.hosts, host);
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

fn leave(lanes: &mut HashMap<String, usize>, name: &str) {
    if let Some(count) = lanes.get_mut(name) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            lanes.remove(name);
        }
    }
}
