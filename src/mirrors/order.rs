//! Explains the order of the mirrors of a source for which several objects declare mirrors.

use std::collections::BTreeMap;

use super::finding::{Finding, FindingReason, Place, Severity};
use super::merge::has_real_mirror;
use super::topo::merged_mirrors;
use super::{MirrorEntry, PullBy};

/// Objects and mirrors that a message names: enough for real cases, and short enough for one condition.
const SHOWN: usize = 6;

/// One note for each source that several entries of one layer declare with different lists.
pub fn notes(entries: &[MirrorEntry]) -> Vec<Finding> {
    let mut by_source: BTreeMap<(PullBy, &str), Vec<&MirrorEntry>> = BTreeMap::new();
    for entry in entries.iter().filter(|entry| has_real_mirror(entry)) {
        by_source.entry((entry.pull_by, &entry.source)).or_default().push(entry);
    }
    by_source.into_iter().filter_map(|((pull_by, source), entries)| note(pull_by, source, entries)).collect()
}

fn note(pull_by: PullBy, source: &str, mut entries: Vec<&MirrorEntry>) -> Option<Finding> {
    // The message must not depend on the order of the input.
    entries.sort_by(|a, b| (&a.origin, &a.mirrors).cmp(&(&b.origin, &b.mirrors)));
    let first = *entries.first()?;
    if entries.iter().all(|entry| entry.mirrors == first.mirrors) {
        return None;
    }
    let lists: Vec<Vec<&str>> =
        entries.iter().map(|entry| entry.mirrors.iter().map(String::as_str).collect()).collect();
    let merged = merged_mirrors(source, &lists);
    let by = if pull_by == PullBy::Digest { "digest" } else { "tag" };
    let names: Vec<String> = entries.iter().map(|entry| entry.origin.to_string()).collect();
    let message = format!(
        "{} entries declare mirrors for pulls of {source:?} by {by} ({}); they are tried in the order {}: {}",
        entries.len(),
        shown(&names),
        shown(&merged),
        why(&merged, &lists)
    );
    Some(Finding::new(Severity::Info, FindingReason::MergedOrder, first, Place::Source, message))
}

fn shown<T: AsRef<str>>(texts: &[T]) -> String {
    let more = texts.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    texts.iter().take(SHOWN).map(AsRef::as_ref).collect::<Vec<&str>>().join(", ") + &more
}

/// The rule that determined the order.
fn why(merged: &[&str], lists: &[Vec<&str>]) -> String {
    let place = |list: &[&str], mirror: &str| list.iter().position(|known| *known == mirror);
    let goes_before = |list: &Vec<&str>, first: &str, second: &str| {
        place(list, first).zip(place(list, second)).is_some_and(|(first, second)| first < second)
    };
    let neighbours = || merged.iter().zip(merged.iter().skip(1));
    let broken = merged.iter().enumerate().find_map(|(index, first)| {
        let later = merged.iter().skip(index + 1);
        later
            .copied()
            .find(|second| lists.iter().any(|list| goes_before(list, second, first)))
            .map(|second| (first, second))
    });
    if let Some((first, second)) = broken {
        return format!(
            "the lists contradict each other about {first} and {second}, which are therefore sorted by name"
        );
    }
    match neighbours().find(|(first, second)| !lists.iter().any(|list| goes_before(list, first, second))) {
        Some((first, second)) => {
            format!(
                "each list keeps its order; no list contains both {first} and {second}, which are therefore sorted by name"
            )
        }
        None => "the lists determine this order".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{digest, named, tag};
    use super::*;

    fn messages(entries: &[MirrorEntry]) -> Vec<String> {
        notes(entries).into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn two_objects_for_one_source_are_reported_with_the_resulting_order() {
        let entries = [named("b", digest("s.example", "b.example")), named("a", digest("s.example", "a.example"))];
        let expected = "2 entries declare mirrors for pulls of \"s.example\" by digest (ImageDigestMirrorSet/a[0], \
                        ImageDigestMirrorSet/b[0]); they are tried in the order a.example, b.example: each list keeps its \
                        order; no list contains both a.example and b.example, which are therefore sorted by name";
        assert_eq!(messages(&entries), [expected]);
        let reversed: Vec<MirrorEntry> = entries.iter().rev().cloned().collect();
        assert_eq!(messages(&reversed), [expected]);
    }

    #[test]
    fn lists_that_decide_and_lists_that_contradict_are_distinguished() {
        let decided = [named("a", digest("s", "x y")), named("b", digest("s", "y z"))];
        assert!(
            messages(&decided)[0].ends_with("in the order x, y, z: the lists determine this order"),
            "{:?}",
            messages(&decided)
        );
        let contradict = [named("a", digest("s", "x y")), named("b", digest("s", "y x"))];
        assert!(
            messages(&contradict)[0].contains("the lists contradict each other about x and y"),
            "{:?}",
            messages(&contradict)
        );
    }

    #[test]
    fn equal_lists_other_sources_and_other_pulls_are_not_mentioned() {
        let entries =
            [digest("s", "x"), named("b", digest("s", "x")), digest("t", "y"), tag("s", "z"), digest("u", "")];
        assert!(notes(&entries).is_empty());
    }
}
