use super::super::observed::EnvEntry;
use super::*;

fn target(env: &[&str], annotation: Option<&str>, stock_managed: bool) -> ObservedTarget {
    let env = env.iter().enumerate().map(|(index, value)| EnvEntry { index, value: Entries::from(*value) }).collect();
    let container = ObservedContainer { has_env: true, env, ..ObservedContainer::default() };
    ObservedTarget {
        overrides: annotation.map(Entries::from),
        stock_managed,
        container: Some(container),
        ..ObservedTarget::default()
    }
}

fn ours(env: &[&str], annotation: Option<&str>, stock_managed: bool) -> Option<usize> {
    let (none, known) = (EntrySet::new(), EntrySet::from(["a=b".to_owned()]));
    let known = Known { management: &none, wanted: &known, removed: &none, remembered: &none };
    let target = target(env, annotation, stock_managed);
    env_view(&target, target.container.as_ref().unwrap(), &known).ours
}

#[test]
fn the_appended_variable_is_distinguished_from_the_stock_one() {
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
fn an_absent_value_has_the_empty_map() {
    let has_map = |value: Option<&str>, wanted: &str| has_map(value.map(Entries::from).as_ref(), &wanted.into());
    assert!(has_map(None, "=") && has_map(Some("="), "=") && has_map(Some("=,a=b"), "a=b"));
    assert!(!has_map(None, "a=b") && !has_map(Some("a=c,a=b"), "a=b,a=c"));
}

#[test]
fn entries_of_an_annotation_count_as_managed_only_if_the_foreign_ones_are_known() {
    let mut target = target(&["="], Some("a=b,x=y"), false);
    target.retired = Some("old=gone".into());
    let unknown = remembered([&target], |_| None);
    assert_eq!(unknown, EntrySet::from(["old=gone".to_owned()]));
    let known = remembered([&target], |_| Some("x=y".into()));
    assert_eq!(known, EntrySet::from(["old=gone".to_owned(), "a=b".to_owned()]));
}
