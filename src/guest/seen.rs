//! Tracks the known version of each object in a guest cluster, to recognise watch events about changes by other clients. Pure
//! except for its lock.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

/// The kinds that are watched, the most important one first.
pub const WATCHED: [&str; 7] = [
    "NodeMirrorSet",
    "DaemonSet",
    "ImageDigestMirrorSet",
    "ImageTagMirrorSet",
    "CustomResourceDefinition",
    "ClusterRole",
    "ClusterRoleBinding",
];
/// Kinds with a status that changes all the time, and the resourceVersion with it. Only a new generation is reconciled.
const WITH_STATUS: [&str; 2] = ["DaemonSet", "CustomResourceDefinition"];
/// Maximum number of objects with pending watch events. A guest cluster has a few objects, and one for each NodePool.
const MAX_REPORTED: usize = 1024;

/// The version of an object: its UID, and its generation or resourceVersion.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edition {
    uid: String,
    number: String,
}

impl Edition {
    /// `generation` is 0 for kinds without one.
    pub fn new(kind: &str, uid: String, generation: i64, resource_version: &str) -> Self {
        let by_generation = generation > 0 && WITH_STATUS.contains(&kind);
        let number = if by_generation { generation.to_string() } else { resource_version.to_owned() };
        Self { uid, number }
    }
}

type Place = (String, String);

#[derive(Debug)]
struct Known {
    edition: Edition,
    resource_version: String,
}

/// The versions of a guest cluster's objects.
#[derive(Debug, Default)]
pub struct Seen {
    editions: Mutex<Both>,
}

#[derive(Debug, Default)]
struct Both {
    /// From reads and writes of this process; `None` if the object does not exist.
    known: HashMap<Place, Option<Known>>,
    /// From watches.
    reported: HashMap<Place, Option<Edition>>,
}

impl Both {
    fn is_news(known: &HashMap<Place, Option<Known>>, place: &Place, edition: Option<&Edition>) -> bool {
        known.get(place).and_then(Option::as_ref).map(|known| &known.edition) != edition
    }
}

impl Seen {
    fn editions(&self) -> MutexGuard<'_, Both> {
        self.editions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records the version of an object that was read or written.
    pub(super) fn is(&self, object: &Value) {
        let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
        if let Some(place) = place(object) {
            let resource_version = text("resourceVersion");
            let generation = object["metadata"]["generation"].as_i64().unwrap_or_default();
            let edition = Edition::new(&place.0, text("uid"), generation, &resource_version);
            self.editions().known.insert(place, Some(Known { edition, resource_version }));
        }
    }

    /// Records that an object does not exist, or was deleted by this process.
    pub(super) fn is_gone(&self, object: &Value) {
        if let Some(place) = place(object) {
            self.editions().known.insert(place, None);
        }
    }

    /// The resourceVersion to start a watch of a kind from: the newest known one.
    pub fn latest(&self, kind: &str) -> Option<String> {
        let both = self.editions();
        let known = both.known.iter().filter(|((of, _), _)| of == kind).filter_map(|(_, known)| known.as_ref());
        let versions = known.filter_map(|known| known.resource_version.parse::<u64>().ok());
        versions.max().map(|version| version.to_string())
    }

    /// Records a watch event. Returns whether the version is not known yet.
    pub fn record_event(&self, kind: &str, name: &str, edition: Option<Edition>) -> bool {
        let mut both = self.editions();
        let place = (kind.to_owned(), name.to_owned());
        let is_news = Both::is_news(&both.known, &place, edition.as_ref());
        if is_news && (both.reported.len() < MAX_REPORTED || both.reported.contains_key(&place)) {
            both.reported.insert(place, edition);
        } else {
            both.reported.remove(&place);
        }
        is_news
    }

    /// Whether a watch has reported a version that is not known yet.
    pub fn has_news(&self) -> bool {
        let mut both = self.editions();
        let Both { known, reported } = &mut *both;
        reported.retain(|place, edition| Both::is_news(known, place, edition.as_ref()));
        !reported.is_empty()
    }

    /// [`Self::has_news`], and clears the events, because the caller reads the objects now.
    pub fn drain_news(&self) -> bool {
        let has_news = self.has_news();
        self.editions().reported.clear();
        has_news
    }
}

fn place(object: &Value) -> Option<Place> {
    let kind = object["kind"].as_str().filter(|kind| WATCHED.contains(kind))?;
    Some((kind.to_owned(), object["metadata"]["name"].as_str()?.to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const KIND: &str = "NodeMirrorSet";

    fn set(version: &str) -> Value {
        json!({"kind": KIND, "metadata": {"name": "cluster", "uid": "u", "resourceVersion": version}})
    }

    fn edition(version: &str) -> Edition {
        Edition::new(KIND, "u".to_owned(), 1, version)
    }

    #[test]
    fn a_status_that_changes_is_no_news_and_a_change_or_a_deletion_is() {
        let seen = Seen::default();
        let metadata = json!({"name": "agent", "uid": "u", "generation": 1, "resourceVersion": "5"});
        seen.is(&json!({"kind": "DaemonSet", "metadata": metadata}));
        let edition =
            |uid: &str, generation, version| Some(Edition::new("DaemonSet", uid.to_owned(), generation, version));
        assert!(!seen.record_event("DaemonSet", "agent", edition("u", 1, "9")), "its status");
        assert_eq!(seen.latest("DaemonSet").as_deref(), Some("5"), "a watch begins at the version");
        assert!(seen.record_event("DaemonSet", "agent", edition("u", 2, "10")));
        assert!(seen.record_event("DaemonSet", "agent", None));
        assert!(seen.record_event("DaemonSet", "agent", edition("v", 1, "12")), "another one of that name");
        assert!(seen.drain_news());
        let role = |version| Some(Edition::new("ClusterRole", "u".to_owned(), 0, version));
        seen.is(&json!({"kind": "ClusterRole", "metadata": {"name": "a", "uid": "u", "resourceVersion": "1"}}));
        assert!(!seen.record_event("ClusterRole", "a", role("1")));
        assert!(seen.record_event("ClusterRole", "a", role("2")), "a kind without a status");
    }

    #[test]
    fn what_we_wrote_ourselves_is_no_news_and_what_somebody_else_did_is() {
        let seen = Seen::default();
        seen.is(&set("1"));
        assert!(!seen.record_event(KIND, "cluster", Some(edition("1"))) && !seen.has_news());
        assert!(seen.record_event(KIND, "cluster", Some(edition("2"))) && seen.has_news());
        seen.is(&set("2"));
        assert!(!seen.has_news(), "our own write, reported before its answer came");
        assert!(seen.record_event(KIND, "cluster", None) && seen.drain_news(), "deleted");
        assert!(!seen.has_news());
        seen.is_gone(&set("2"));
        assert!(!seen.record_event(KIND, "cluster", None), "we did that");
        assert!(seen.record_event(KIND, "other", Some(edition("9"))), "an object that nobody here knows");
    }

    #[test]
    fn a_watch_starts_at_the_newest_known_version() {
        let seen = Seen::default();
        assert_eq!(seen.latest(KIND), None);
        for (name, version) in [("cluster", "9"), ("nodepool-a", "10"), ("nodepool-b", "odd")] {
            seen.is(&json!({"kind": KIND, "metadata": {"name": name, "uid": "u", "resourceVersion": version}}));
        }
        assert_eq!((seen.latest(KIND).as_deref(), seen.latest("ImageTagMirrorSet")), (Some("10"), None));
    }

    #[test]
    fn other_kinds_and_too_many_names_are_not_remembered() {
        let seen = Seen::default();
        seen.is(&json!({"kind": "Namespace", "metadata": {"name": "a"}}));
        assert!(seen.editions().known.is_empty());
        for number in 0..2 * MAX_REPORTED {
            seen.record_event(KIND, &number.to_string(), Some(edition("1")));
        }
        assert_eq!(seen.editions().reported.len(), MAX_REPORTED);
    }
}
