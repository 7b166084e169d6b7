use proptest::prelude::*;

use super::*;

/// Lists are separated by `|`, mirrors by spaces.
fn merged(source: &str, lists: &str) -> String {
    let lists: Vec<Vec<&str>> = lists.split('|').map(|list| list.split_whitespace().collect()).collect();
    let mut reversed = lists.clone();
    reversed.reverse();
    let merged = merged_mirrors(source, &lists).join(" ");
    assert_eq!(merged_mirrors(source, &reversed).join(" "), merged, "the order of lists matters");
    merged
}

#[test]
fn lists_merge_as_on_a_node() {
    let cases = [
        // Nothing to merge.
        ("", ""),
        ("a", "a"),
        ("a b c", "a b c"),
        ("c b a", "c b a"),
        ("c a b | c a b", "c a b"),
        // `config/v1/types_image_digest_mirror_set.go`: the relative order is preserved.
        ("a b c | c d e", "a b c d e"),
        ("c d | a b | b c", "a b c d"),
        ("z y | y x", "z y x"),
        ("z y x | z x", "z y x"),
        ("z x | z y x", "z y x"),
        // Lists that share nothing interleave.
        ("b a | d c", "b d a c"),
        ("b | a", "a b"),
        ("registry2.vendor.com | local-mirror.example.com", "local-mirror.example.com registry2.vendor.com"),
        // `topo_test.go`, TestTopoGraph.
        ("A B | A C | A D | a b | a c | a d", "A a B C D b c d"),
        ("A D | B D | C D | a d | b d | c d", "A B C a b c D d"),
        ("A B | B C | C D | D E | a b | b c | c d | d e", "A a B b C c D d E e"),
        ("A B | B C | C D | D A | a b | b c | c d | d a", "A B C D a b c d"),
        ("A B | B C | C D | D B | D E | a b | b c | c d | d b | d e", "A a B C D E b c d e"),
        // Lists that contradict each other: ascending.
        ("b a | a b", "a b"),
        ("l r2 r1 | r1 r2", "l r1 r2"),
        ("c b a | a b c", "a b c"),
        // A repeated mirror counts once.
        ("a a", "a"),
        ("b b a", "b a"),
        ("b a b", "b a"),
        // The source, named last or alone, is implied.
        ("source", ""),
        ("source source", ""),
        ("a source", "a"),
        ("a source | b", "a b"),
        ("a source source | source", "a"),
        // The source, named before a mirror, stays there.
        ("source a", "source a"),
        ("a source b", "a source b"),
        ("a source b | source b c", "a source b c"),
        ("a source b | c", "a c source b"),
        ("a source b | b source", "a b"),
        // `registries_test.go`, "Source included in mirrors".
        ("z1 source y2 | source y2 x3", "z1 source y2 x3"),
    ];
    for (lists, expected) in cases {
        assert_eq!(merged("source", lists), expected, "{lists}");
    }
}

/// Upstream breaks a loop at the first node in ascending order, be it the source: that one would be contacted first.
#[test]
fn a_loop_never_promotes_a_source_that_no_list_names() {
    let cases = [
        ("a-source", "m1 m2 | m2 m1", "m1 m2"),
        ("z-source", "m1 m2 | m2 m1", "m1 m2"),
        ("a-source", "m1 m2 a-source | m2 m1", "m1 m2"),
        ("m", "x l | l q | q x l", "l q x"),
        ("z", "m2 m2 m1", "m2 m1"),
        ("a", "m2 m2 m1", "m2 m1"),
        ("a", "c b | b d | d c", "b d c"),
    ];
    for (source, lists, expected) in cases {
        assert_eq!(merged(source, lists), expected, "{source}: {lists}");
    }
}

fn any_lists() -> impl Strategy<Value = Vec<Vec<&'static str>>> {
    let mirror = proptest::sample::select(vec!["a", "b", "c", "d", "e", "f", "s"]);
    proptest::collection::vec(proptest::collection::vec(mirror, 0..6), 0..6)
}

proptest! {
    #[test]
    fn the_order_of_lists_never_matters(lists in any_lists(), rotation in 0..6_usize) {
        let mut turned = lists.clone();
        turned.rotate_left(rotation.min(lists.len()));
        prop_assert_eq!(merged_mirrors("s", &lists), merged_mirrors("s", &turned));
    }

    #[test]
    fn each_mirror_comes_once_and_none_is_lost_or_invented(lists in any_lists()) {
        let merged = merged_mirrors("s", &lists);
        let real = |list: &&Vec<&str>| list.iter().any(|mirror| *mirror != "s");
        let mut wanted: Vec<&str> = lists.iter().filter(real).flatten().copied().filter(|mirror| *mirror != "s").collect();
        wanted.sort_unstable();
        wanted.dedup();
        let mut got: Vec<&str> = merged.iter().copied().filter(|mirror| *mirror != "s").collect();
        got.sort_unstable();
        prop_assert_eq!(got, wanted);
        prop_assert!(merged.iter().filter(|mirror| **mirror == "s").count() <= 1);
        prop_assert!(merged.last() != Some(&"s"));
    }

    #[test]
    fn the_order_of_one_list_alone_is_kept(list in proptest::sample::subsequence(vec!["z", "y", "b", "a", "q"], 0..5)) {
        prop_assert_eq!(merged_mirrors("s", std::slice::from_ref(&list)), list);
    }

    #[test]
    fn lists_that_agree_are_all_kept(
        order in Just(vec!["f", "b", "e", "a", "d", "c"]).prop_shuffle(),
        picks in proptest::collection::vec(proptest::collection::vec(any::<bool>(), 6), 1..5),
    ) {
        let pick = |picks: &Vec<bool>| -> Vec<&str> {
            order.iter().zip(picks).filter(|(_, picked)| **picked).map(|(mirror, _)| *mirror).collect()
        };
        let lists: Vec<Vec<&str>> = picks.iter().map(pick).collect();
        let merged = merged_mirrors("s", &lists);
        for list in &lists {
            let kept: Vec<&str> = merged.iter().copied().filter(|mirror| list.contains(mirror)).collect();
            prop_assert_eq!(&kept, list);
        }
    }

    #[test]
    fn merging_what_is_merged_changes_nothing(lists in any_lists()) {
        let merged = merged_mirrors("s", &lists);
        prop_assert_eq!(merged_mirrors("s", std::slice::from_ref(&merged)), merged);
    }
}
