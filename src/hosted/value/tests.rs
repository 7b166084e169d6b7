use std::sync::Arc;

use super::super::observed::EnvEntry;
use super::*;

fn target(env: &[&str], annotation: Option<&str>, stock_managed: bool) -> ObservedTarget {
    let env = env.iter().enumerate().map(|(index, value)| EnvEntry { index, value: Arc::from(*value) }).collect();
    let container = ObservedContainer { has_env: true, env, ..ObservedContainer::default() };
    ObservedTarget {
        overrides: annotation.map(Arc::from),
        stock_managed,
        container: Some(container),
        ..ObservedTarget::default()
    }
}

fn ours(env: &[&str], annotation: Option<&str>, stock_managed: bool) -> Option<usize> {
    let (none, known) = (EntrySet::new(), EntrySet::from(["a=b".to_owned()]));
    let known = Known { management: &none, wanted: &known, departed: &none, remembered: &none };
    let target = target(env, annotation, stock_managed);
    env_view(&target, target.container.as_ref().unwrap(), &known).ours
}

#[test]
fn ours_is_told_from_the_stock_one() {
    for (env, annotation, stock, expected) in [
        (&["="][..], None, false, None),
        (&["=", "a=b"], Some("a=b"), false, Some(1)),
        (&["=", "a=b"], Some("a=b"), true, Some(1)),
        // The only one: ours, unless a stock operator writes this Deployment.
        (&["a=b"], Some("a=b"), false, Some(0)),
        (&["a=b"], Some("a=b"), true, None),
        // The annotation is ahead: the last one says nothing unknown.
        (&["=", "a=b"], Some("c=d"), true, Some(1)),
        (&["=", "x=y"], Some("c=d"), true, None),
        // The same, and the last one repeats an entry of somebody else's.
        (&["=,x=y", "a=b,x=y"], Some("c=d,x=y"), true, Some(1)),
        // Without an annotation nothing is ours.
        (&["=", "a=b"], None, true, None),
        // Stock says the same as ours.
        (&["a=b", "a=b"], Some("a=b"), true, Some(1)),
        // Somebody appended after ours.
        (&["=", "a=b", "x=y"], Some("a=b"), true, Some(1)),
    ] {
        assert_eq!(ours(env, annotation, stock), expected, "{env:?} {annotation:?} {stock}");
    }
}

#[test]
fn an_absent_value_says_the_same_as_an_empty_one() {
    assert!(says(None, EMPTY) && says(Some("="), EMPTY) && says(Some("=,a=b"), "a=b"));
    assert!(!says(None, "a=b") && !says(Some("a=c,a=b"), "a=b,a=c"));
}

#[test]
fn annotations_are_remembered_only_as_far_as_they_are_surely_ours() {
    let mut target = target(&["="], Some("a=b,x=y"), false);
    target.retired = Some("old=gone".into());
    let unknown = remembered([&target], |_| None);
    assert_eq!(unknown, EntrySet::from(["old=gone".to_owned()]));
    let known = remembered([&target], |_| Some("x=y".to_owned()));
    assert_eq!(known, EntrySet::from(["old=gone".to_owned(), "a=b".to_owned()]));
}
