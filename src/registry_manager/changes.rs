//! What changed between two scans, for people. Pure.

use std::collections::BTreeMap;

use crate::registry::scan::inventory::Inventory;
use crate::registry::wire::digest::Digest;

/// Tags that are named of each kind of change.
const NAMED: usize = 5;

/// One line about the tags that were added, moved and removed; how many there are, if there is no inventory to compare with.
pub fn describe(before: Option<&Inventory>, now: &Inventory) -> String {
    let Some(before) = before.filter(|before| before.repository == now.repository) else {
        return format!("{} tags scanned, revision {}", now.tags.len(), now.revision);
    };
    let (old, new) = (digests(before), digests(now));
    let added: Vec<&str> = new.keys().filter(|tag| !old.contains_key(*tag)).copied().collect();
    let removed: Vec<&str> = old.keys().filter(|tag| !new.contains_key(*tag)).copied().collect();
    let is_moved = |tag: &&&str| old.get(*tag).is_some_and(|digest| new.get(*tag) != Some(digest));
    let moved: Vec<&str> = new.keys().filter(is_moved).copied().collect();
    let parts = [("added", added), ("changed", moved), ("removed", removed)];
    let parts: Vec<String> = parts.iter().filter_map(|(what, tags)| part(what, tags)).collect();
    format!("{}; revision {}", parts.join("; "), now.revision)
}

fn digests(inventory: &Inventory) -> BTreeMap<&str, Option<&Digest>> {
    inventory.tags.iter().map(|tag| (tag.tag.as_str(), tag.digest.as_ref())).collect()
}

fn part(what: &str, tags: &[&str]) -> Option<String> {
    let more = if tags.len() > NAMED { format!(" and {} more", tags.len() - NAMED) } else { String::new() };
    let named = tags.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    (!tags.is_empty()).then(|| format!("{what}: {named}{more}"))
}

#[cfg(test)]
mod tests {
    use crate::registry::scan::inventory::ScannedTag;
    use crate::registry::wire::digest::Algorithm;

    use super::*;

    fn inventory(tags: &[(&str, &str)]) -> Inventory {
        let tag = |(tag, digest): &(&str, &str)| ScannedTag {
            digest: Some(Digest::of(Algorithm::Sha256, digest.as_bytes())),
            ..ScannedTag::new(*tag)
        };
        let tags: Vec<_> = tags.iter().map(tag).collect();
        let (repository, revision) = ("r/a".to_owned(), "sha256:2".to_owned());
        Inventory { repository, revision, tag_count: tags.len(), excluded: 0, skipped: 0, unique_bytes: 0, tags }
    }

    #[test]
    fn added_moved_and_removed_tags_are_named() {
        let before = inventory(&[("latest", "a"), ("v1", "a"), ("v0", "z")]);
        let now = inventory(&[("latest", "b"), ("v1", "a"), ("v2", "b")]);
        assert_eq!(describe(Some(&before), &now), "added: v2; changed: latest; removed: v0; revision sha256:2");
        assert_eq!(describe(None, &now), "3 tags scanned, revision sha256:2");
        let elsewhere = Inventory { repository: "r/b".to_owned(), ..before };
        assert_eq!(describe(Some(&elsewhere), &now), "3 tags scanned, revision sha256:2");
    }

    #[test]
    fn many_changes_are_counted() {
        let names: Vec<String> = (0..9).map(|number| format!("v{number}")).collect();
        let now = inventory(&names.iter().map(|name| (name.as_str(), "a")).collect::<Vec<_>>());
        let text = describe(Some(&inventory(&[])), &now);
        assert_eq!(text, "added: v0, v1, v2, v3, v4 and 4 more; revision sha256:2");
    }
}
