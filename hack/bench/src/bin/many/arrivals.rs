//! When sets arrive in guest clusters: stubs record it, and real ones are watched, because polling would add load.

use std::collections::{HashMap, HashSet};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Result, bail};
use futures::StreamExt as _;
use hypermirror_bench::manager::LIMIT;
use hypermirror_e2e::Fleet;
use hypermirror_e2e::fleet::objects::resource_of;
use hypermirror_e2e::stub_guests::{Applied, first_mirrors};
use kube::Api;
use kube::api::DynamicObject;
use kube::runtime::watcher::{self, watcher};
use serde_json::json;
use tokio::task::JoinSet;

use crate::stubs::Stubs;

/// The times are recorded when sets arrive, so this does not change them.
const POLL: Duration = Duration::from_millis(50);

/// The arrivals in all guest clusters; the real ones have the first numbers.
pub struct Arrivals {
    real: usize,
    found: Arc<Mutex<Vec<Applied>>>,
    _watches: JoinSet<()>,
}

impl Arrivals {
    pub fn follow(guests: &[Fleet]) -> Result<Self> {
        let (found, mut watches) = (Arc::<Mutex<Vec<Applied>>>::default(), JoinSet::new());
        let object = json!({"apiVersion": "hypermirror.dev/v1alpha1", "kind": "NodeMirrorSet"});
        for (guest, fleet) in guests.iter().enumerate() {
            let api: Api<DynamicObject> = Api::all_with(fleet.client.clone(), &resource_of(&object)?);
            watches.spawn(record(guest, api, Arc::clone(&found)));
        }
        Ok(Self { real: guests.len(), found, _watches: watches })
    }

    /// Waits until this mirror has arrived in all these guest clusters. Returns when, by guest cluster.
    pub async fn of(&self, stubs: &Stubs, mirror: &str, guests: &HashSet<usize>) -> Result<HashMap<usize, SystemTime>> {
        let (start, mut arrived) = (Instant::now(), HashMap::new());
        while start.elapsed() < LIMIT {
            let mut found = std::mem::take(&mut *self.found.lock().unwrap_or_else(PoisonError::into_inner));
            let of_stubs = stubs.applied().await?.into_iter();
            found.extend(of_stubs.map(|applied| Applied { guest: applied.guest + self.real, ..applied }));
            let is_it =
                |applied: &Applied| applied.mirrors.iter().any(|it| it == mirror) && guests.contains(&applied.guest);
            for applied in found.into_iter().filter(is_it) {
                arrived.entry(applied.guest).or_insert(applied.at);
            }
            if arrived.len() == guests.len() {
                return Ok(arrived);
            }
            tokio::time::sleep(POLL).await;
        }
        let missing: Vec<&usize> = guests.iter().filter(|guest| !arrived.contains_key(guest)).take(10).collect();
        bail!("{mirror} arrived in {} of {} guest clusters, and not in {missing:?}", arrived.len(), guests.len())
    }
}

async fn record(guest: usize, api: Api<DynamicObject>, found: Arc<Mutex<Vec<Applied>>>) {
    let mut events = pin!(watcher(api, watcher::Config::default()));
    while let Some(event) = events.next().await {
        match event {
            Ok(watcher::Event::Apply(set) | watcher::Event::InitApply(set)) => {
                let applied = Applied { guest, at: SystemTime::now(), mirrors: first_mirrors(&set.data) };
                found.lock().unwrap_or_else(PoisonError::into_inner).push(applied);
            }
            Ok(_) => {}
            // The kind is not there before the manager comes.
            Err(_) => tokio::time::sleep(POLL).await,
        }
    }
}
