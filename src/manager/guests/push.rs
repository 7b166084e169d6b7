//! Pushes the objects of one guest cluster.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hypermirror_api::hypershift::HostedControlPlane;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::declared::{DeclaredSets, declared};
use super::{Base, Guest, Guests, jittered};
use crate::client::cause::Cause;
use crate::digest::short_digest;
use crate::guest::objects::{AgentSpec, GuestInput, GuestKinds, GuestObjects, crds, mirror_objects, node_mirror_sets};
use crate::guest::summary::GuestSet;
use crate::guest::{GuestClient, GuestError, guest_set, path};
use crate::hosted::guest::api_endpoint;
use crate::hosted::proof::held::HeldSources;
use crate::manager::heavy::Heavy;
use crate::manager::observe::Observation;
use crate::manager::options::GuestAgent;
use hypermirror_api::ClusterKey;

/// Pause before mirrors that wait for a slot request it again.
const SLOT_RETRY: Duration = Duration::from_millis(500);

/// The result of the writes.
pub(super) struct Pushed {
    /// The written sets of mirrors.
    pub sets: Vec<GuestSet>,
    /// Number of objects of hypermirror.
    pub objects: usize,
    pub changed: bool,
    /// The sources that are held because their mirrors are not proven.
    pub held: HeldSources,
}

/// The last written mirrors of a guest cluster.
#[derive(Clone, Debug, Default)]
pub(super) struct Mirrors {
    /// The desired sets.
    wanted: String,
    /// Their names.
    names: Vec<String>,
    /// The written sets.
    sets: Vec<GuestSet>,
    /// Number of objects.
    objects: usize,
}

impl Mirrors {
    /// Whether there is an object of this kind.
    pub(super) fn has(&self, kind: &str) -> bool {
        self.names.iter().any(|name| name.split(' ').next() == Some(kind))
    }
}

/// The result of a push.
pub(super) enum Push {
    /// All objects are up to date.
    Done(Pushed),
    /// All slots of `--max-concurrent-guests` are in use, so the mirrors wait.
    Waits(Duration),
}

/// Discovers the served kinds, one request per API group.
pub(super) async fn kinds(client: &GuestClient) -> Result<GuestKinds, GuestError> {
    let served = async |group: &str, resource: &str| client.serves(group, resource).await;
    Ok(GuestKinds {
        digest_mirror_sets: served("config.openshift.io/v1", "imagedigestmirrorsets").await?,
        tag_mirror_sets: served("config.openshift.io/v1", "imagetagmirrorsets").await?,
        content_source_policies: served("operator.openshift.io/v1alpha1", "imagecontentsourcepolicies").await?,
        security_context_constraints: served("security.openshift.io/v1", "securitycontextconstraints").await?,
        admission_policies: served("admissionregistration.k8s.io/v1", "validatingadmissionpolicies").await?,
    })
}

/// Reconciles the guest cluster. Mirrors are first, because users wait for them.
///
/// Between complete reconciles, unchanged mirrors are not read again; only the status of nodes is.
pub(super) async fn push(
    guests: &Guests,
    guest: &mut Guest,
    client: &GuestClient,
    observed: &Observation,
    now: Timestamp,
) -> Result<Push, GuestError> {
    let key = &observed.facts.key;
    if guest.watches.seen.drain_news() {
        guest.base = None; // another client has changed them
    }
    // A complete reconcile reads every object again, which detects edits that no watch has reported. Within the interval only
    // changed mirrors are written, so that an edit of mirrors reaches nodes with few requests.
    let base = guest.base.clone().filter(|base| base.at.elapsed() < guests.options.guest_interval);
    let kinds = match &base {
        Some(base) => base.kinds,
        None => kinds(client).await?,
    };
    let (wanted, held) = wanted_mirrors(&guests.heavy, client, observed, kinds, now).await?;
    let digest = serde_json::to_string(&wanted).map(|text| short_digest(&text)).unwrap_or_default();
    let last = base.as_ref().zip(guest.mirrors.as_ref());
    if let Some((base, mirrors)) = last
        && mirrors.wanted == digest
    {
        let objects = base.others.len() + mirrors.objects;
        return Ok(Push::Done(Pushed { sets: mirrors.sets.clone(), objects, changed: false, held }));
    }
    if base.is_none() {
        client.ensure(&crds()).await?;
    }
    let compared = client.compare(&wanted).await?;
    // The slot is claimed only when there is something to write, and kept until nodes have confirmed it.
    if !compared.drifted.is_empty() && guest.change.is_none() {
        match guests.claim_slot() {
            Some(change) => guest.change = Some(change),
            None => return Ok(Push::Waits(jittered(SLOT_RETRY, key))),
        }
    }
    let (live, written) = client.apply_all(compared).await?;
    let pruned = prune_mirrors(client, kinds, &wanted, last.map(|(_, mirrors)| mirrors)).await?;
    let changed = written > 0 || pruned > 0;
    let base = guests.completed(base, client, key, kinds).await?;
    let sets = live.iter().filter_map(guest_set).collect();
    let mirrors = Mirrors { wanted: digest, names: names(&wanted), sets, objects: live.len() };
    let objects = base.others.len() + mirrors.objects;
    let pushed = Pushed { sets: mirrors.sets.clone(), objects, changed, held };
    (guest.base, guest.mirrors) = (Some(base), Some(mirrors));
    Ok(Push::Done(pushed))
}

/// The mirrors that may be live, and what is held.
async fn wanted_mirrors(
    heavy: &Heavy,
    client: &GuestClient,
    observed: &Observation,
    kinds: GuestKinds,
    now: Timestamp,
) -> Result<(Vec<Value>, HeldSources), GuestError> {
    let DeclaredSets { entries, pools, held } = declared(heavy, client, observed, now).await?;
    let wanted = move || {
        let mut wanted = node_mirror_sets(&entries, &pools);
        wanted.extend(mirror_objects(&entries, kinds));
        wanted
    };
    Ok((heavy.compute_apart(&observed.load, wanted).await, held))
}

fn names(wanted: &[Value]) -> Vec<String> {
    wanted.iter().map(path::title).collect()
}

/// Deletes mirrors that are no longer desired. This needs three lists, so it is skipped if the names did not change.
async fn prune_mirrors(
    client: &GuestClient,
    kinds: GuestKinds,
    wanted: &[Value],
    last: Option<&Mirrors>,
) -> Result<usize, GuestError> {
    if last.is_some_and(|last| last.names == names(wanted)) {
        return Ok(0);
    }
    let mut pruned = client.prune("NodeMirrorSet", wanted).await?;
    if kinds.digest_mirror_sets {
        pruned += client.prune("ImageDigestMirrorSet", wanted).await?;
    }
    if kinds.tag_mirror_sets {
        pruned += client.prune("ImageTagMirrorSet", wanted).await?;
    }
    Ok(pruned)
}

impl Guests {
    /// The last complete reconcile, or a new one.
    async fn completed(
        &self,
        base: Option<Base>,
        client: &GuestClient,
        key: &ClusterKey,
        kinds: GuestKinds,
    ) -> Result<Base, GuestError> {
        match base {
            Some(base) => Ok(base),
            None => Ok(Base { at: Instant::now(), kinds, others: self.push_others(client, key, kinds).await? }),
        }
    }

    /// Writes all objects except mirrors. Returns the kind of each object.
    async fn push_others(
        &self,
        client: &GuestClient,
        key: &ClusterKey,
        kinds: GuestKinds,
    ) -> Result<Arc<[String]>, GuestError> {
        if kinds.content_source_policies {
            // HyperShift does not use the one without its label any more.
            let old = json!({"kind": "ImageContentSourcePolicy", "metadata": {"name": "cluster"}});
            client.delete_any(&old).await?;
        }
        let agent = self.agent(key).await;
        let wanted = GuestObjects::new(&GuestInput { entries: &[], pools: &[], agent: agent.as_ref(), kinds });
        // Namespace, permissions and policies precede the pods that need them and would fail until they exist.
        client.ensure(&wanted.foundations).await?;
        client.ensure(&wanted.workloads).await?;
        if self.options.agent.who == GuestAgent::External {
            client.prune("DaemonSet", &wanted.workloads).await?;
        }
        let others = wanted.crds.iter().chain(&wanted.foundations).chain(&wanted.workloads);
        Ok(others.filter_map(|object| object["kind"].as_str().map(str::to_owned)).collect())
    }

    async fn agent(&self, key: &ClusterKey) -> Option<AgentSpec> {
        let agent = self.options.agent.spec()?;
        Some(AgentSpec { api: self.api_address(key).await, ..agent })
    }

    /// The address at which nodes reach the API server without cluster networking.
    async fn api_address(&self, key: &ClusterKey) -> Option<(String, u16)> {
        let found = self.read::<HostedControlPlane>(&key.control_plane_namespace(), &key.name).await;
        let found = found.map_err(
            |error| tracing::warn!(cluster = %key, error = %Cause(&error), "failed to read a HostedControlPlane"),
        );
        api_endpoint(&found.ok()??)
    }
}
