//! The mirror objects of the management cluster, and the rules for kinds that are no longer served.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hypermirror_api::Reason;

use super::super::mirror_kind::MirrorKind;
use crate::client::optional_kind::Presence;
use crate::client::watch::Failure;
use crate::hosted::condition_state::SourceTrouble;
use crate::mirrors::entry::{MirrorEntries, MirrorEntry};

/// Time after which a rejected kind is reported. API servers that restart reject it for a shorter time.
const TELL_AFTER: Duration = Duration::from_secs(10);

/// One object of a mirror kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MirrorObject {
    /// Its entries.
    Entries(Arc<[MirrorEntry]>),
    /// The error if it could not be parsed.
    Malformed(String),
}

#[derive(Debug, Default)]
struct Kind {
    presence: Option<Presence>,
    listed: bool,
    objects: BTreeMap<String, MirrorObject>,
    refused: Option<(Instant, String)>,
}

/// All mirror kinds.
#[derive(Debug, Default)]
pub struct MirrorKinds {
    kinds: BTreeMap<MirrorKind, Kind>,
    /// The kinds that were served before, from the annotation of the Lease.
    once_there: BTreeSet<MirrorKind>,
}

impl MirrorKinds {
    fn kind(&mut self, kind: MirrorKind) -> &mut Kind {
        self.kinds.entry(kind).or_default()
    }

    /// Records whether the kind is served. Its objects are kept if it is not. Returns whether it is served again.
    pub fn set_presence(&mut self, kind: MirrorKind, presence: Presence) -> bool {
        // The objects stay: the API server deletes them with their CRD, and nobody has deleted them one by one.
        let back = presence == Presence::Present && self.vanished(kind);
        let state = self.kind(kind);
        state.presence = Some(presence);
        state.refused = None;
        back
    }

    /// Ends the grace period of a kind that is served again: objects that were not restored are removed.
    pub fn keep_only(&mut self, kind: MirrorKind, names: &BTreeSet<String>) -> bool {
        let state = self.kind(kind);
        let before = (state.objects.len(), state.listed);
        state.objects.retain(|name, _| names.contains(name));
        state.listed = true;
        before != (state.objects.len(), true)
    }

    /// Replaces the list of a kind.
    pub fn replace(&mut self, kind: MirrorKind, objects: Vec<(String, MirrorObject)>) -> bool {
        let state = self.kind(kind);
        let objects: BTreeMap<String, MirrorObject> = objects.into_iter().collect();
        let changed = state.objects != objects || !state.listed || state.refused.is_some();
        state.objects = objects;
        state.listed = true;
        state.refused = None;
        changed
    }

    /// Adds or updates one object. Returns whether it has changed.
    pub fn apply(&mut self, kind: MirrorKind, name: String, declared: MirrorObject) -> bool {
        let state = self.kind(kind);
        let recovered = state.refused.take().is_some();
        let changed = state.objects.get(&name) != Some(&declared);
        state.objects.insert(name, declared);
        changed || recovered
    }

    /// Removes one deleted object.
    pub fn remove(&mut self, kind: MirrorKind, name: &str) -> bool {
        self.kind(kind).objects.remove(name).is_some()
    }

    /// Whether a known object is not in this list.
    pub fn lacks_any(&self, kind: MirrorKind, objects: &[(String, MirrorObject)]) -> bool {
        let listed: BTreeSet<&str> = objects.iter().map(|(name, _)| name.as_str()).collect();
        self.kinds.get(&kind).is_some_and(|state| state.objects.keys().any(|name| !listed.contains(name.as_str())))
    }

    /// Number of objects of a kind.
    pub fn count(&self, kind: MirrorKind) -> usize {
        self.kinds.get(&kind).map_or(0, |state| state.objects.len())
    }

    /// Records that the API server rejects a kind, whose objects are kept. Returns true once, when it has to be reported.
    pub fn refuse(&mut self, kind: MirrorKind, failure: &Failure, now: Instant) -> bool {
        // Without a status code the server is away, which all other watches show as well. Only a refusal concerns this kind alone.
        let Some(code) = failure.code else { return false };
        let since = self.kind(kind).refused.take().map_or(now, |(since, _)| since);
        self.kind(kind).refused = Some((since, format!("{code}: {}", failure.message)));
        now.duration_since(since) >= TELL_AFTER
    }

    /// Stores the kinds in the annotation of the Lease. A kind that is neither in it nor served is dropped. Returns whether one
    /// was removed from it.
    pub fn set_recorded(&mut self, once_there: BTreeSet<MirrorKind>) -> bool {
        // `hypermirror forget` removes a kind from the annotation. That is the only way in which its objects go without having
        // been deleted, so that the loss of a CRD never empties a map by itself.
        let forgotten: Vec<MirrorKind> = self.once_there.difference(&once_there).copied().collect();
        self.once_there = once_there;
        let mut changed = !forgotten.is_empty();
        for kind in forgotten {
            let state = self.kind(kind);
            if state.presence == Some(Presence::Absent) && !state.objects.is_empty() {
                state.objects.clear();
                changed = true;
            }
        }
        changed
    }

    /// All kinds for the annotation of the Lease, if a served one is not in it yet.
    pub fn to_record(&self) -> Option<BTreeSet<MirrorKind>> {
        let there = self.kinds.iter().filter(|(_, state)| state.presence == Some(Presence::Present));
        // Kinds are only added here: one that is not served now may have been removed by accident.
        let there: BTreeSet<MirrorKind> = there.map(|(kind, _)| *kind).collect();
        (!there.is_subset(&self.once_there)).then(|| there.union(&self.once_there).copied().collect())
    }

    /// Whether a kind is not served whose objects are kept.
    pub fn vanished(&self, kind: MirrorKind) -> bool {
        let absent = self.kinds.get(&kind).is_some_and(|state| state.presence == Some(Presence::Absent));
        absent && (self.once_there.contains(&kind) || self.count(kind) > 0)
    }

    /// Whether a kind was served before and this process has never listed its objects. Then entries are only added, never
    /// removed.
    pub fn blind(&self) -> bool {
        self.once_there.iter().any(|kind| self.kinds.get(kind).is_none_or(|state| !state.listed))
    }

    /// All entries, including those of kinds that are no longer served.
    pub fn entries(&self) -> MirrorEntries {
        let mut all = MirrorEntries::default();
        for declared in self.kinds.values().flat_map(|state| state.objects.values()) {
            if let MirrorObject::Entries(entries) = declared {
                all.add(entries);
            }
        }
        all
    }

    /// Problems with kinds and whole objects.
    pub fn problems(&self, now: Instant) -> Vec<SourceTrouble> {
        let mut problems = Vec::new();
        for kind in MirrorKind::ALL {
            if self.vanished(kind) {
                problems.push(SourceTrouble {
                    reason: Reason::KindVanished,
                    message: format!(
                        "{} was removed from the management cluster; the last known mirrors stay in use until it is \
                         installed again or `hypermirror forget {kind}` is run",
                        kind.crd()
                    ),
                });
            }
            let Some(state) = self.kinds.get(&kind) else { continue };
            if let Some((since, message)) = &state.refused
                && now.duration_since(*since) >= TELL_AFTER
            {
                problems.push(SourceTrouble {
                    reason: Reason::SourceUnreadable,
                    message: format!("failed to list {} ({message}); the last known entries stay in use", kind.crd()),
                });
            }
            for (name, declared) in &state.objects {
                if let MirrorObject::Malformed(error) = declared {
                    problems.push(SourceTrouble {
                        reason: Reason::MalformedObject,
                        message: format!("failed to decode {}/{name}, which is ignored: {error}", kind.kind()),
                    });
                }
            }
        }
        problems
    }
}
