use proptest::prelude::*;

use super::super::fixtures::{any_entries, digest, tag};
use super::super::merge::merge_layer;
use super::*;

type Pairs<'a> = &'a [(&'a str, &'a str)];

/// What `ConvertImageRegistryOverrideStringToMap` answers.
#[test]
fn the_environment_variable_is_read_as_hypershift_reads_it() {
    let cases: [(&str, Pairs<'_>); 18] = [
        ("", &[]),
        ("=", &[]),
        ("foo", &[]),
        (",,", &[]),
        ("==", &[]),
        (" ", &[]),
        ("=,a=b", &[("a", "b")]),
        ("=,=,a=b", &[("a", "b")]),
        ("a=b, c=d", &[("a", "b"), (" c", "d")]),
        ("a=b=c", &[("a", "b=c")]),
        ("a=,=b", &[]),
        ("a=b,a=b", &[("a", "b"), ("a", "b")]),
        ("a=b,", &[("a", "b")]),
        ("a=b,c", &[("a", "b")]),
        ("a=b,a=c,d=e", &[("a", "b"), ("a", "c"), ("d", "e")]),
        ("b=x,a=y,b=z", &[("b", "x"), ("a", "y"), ("b", "z")]),
        ("q.io/a@sha256:1=m.io/a@sha256:1", &[("q.io/a@sha256:1", "m.io/a@sha256:1")]),
        ("h:5000/a=m:5000/b", &[("h:5000/a", "m:5000/b")]),
    ];
    for (text, expected) in cases {
        assert_eq!(pairs(text).collect::<Vec<_>>(), expected, "{text:?}");
    }
}

#[test]
fn pairs_are_printed_unchanged_and_an_empty_map_is_an_equals_sign() {
    assert_eq!(print_pairs([]), "=");
    assert_eq!(print_pairs([("", "")]), "=");
    assert_eq!(print_pairs([("", ""), ("a", "b")]), "=,a=b");
    assert_eq!(print_pairs([("b", "z"), ("b", "a"), ("a", "c")]), "b=z,b=a,a=c");
}

/// The two printers of `support/util/util.go` order sources differently: `=` sorts above `-`, `.`, `/` and digits.
#[test]
fn each_form_has_its_own_order_of_sources() {
    let resolved = merge_layer(&[
        digest("a", "z y"),
        digest("a.b", "c"),
        digest("a-b", "c"),
        digest("a/b", "c"),
        digest("a:1", "c"),
    ]);
    assert_eq!(print_env(&resolved), "a=z,a=y,a-b=c,a.b=c,a/b=c,a:1=c");
    assert_eq!(print_argument(&resolved), "a-b=c,a.b=c,a/b=c,a:1=c,a=z");
}

#[test]
fn digest_mirrors_come_before_tag_mirrors_and_no_mirror_twice() {
    let resolved = merge_layer(&[tag("s", "t m a"), digest("s", "z m")]);
    assert_eq!(print_env(&resolved), "s=z,s=m,s=t,s=a");
    assert_eq!(print_argument(&resolved), "s=z");
    let tags_only = merge_layer(&[tag("s", "t a")]);
    assert_eq!(print_argument(&tags_only), "s=t");
    assert_eq!(print_env(&Resolved::default()), "=");
    assert_eq!(print_argument(&Resolved::default()), "=");
}

#[test]
fn maps_are_the_same_if_each_source_has_the_same_mirrors_in_the_same_order() {
    let same = [
        ("", "="),
        ("=", "foo"),
        ("=,a=b", "a=b"),
        ("a=b,c=d", "c=d,a=b"),
        ("a=b,a=c,a=b", "a=b,a=c"),
        ("a=b,", "a=b"),
    ];
    for (a, b) in same {
        assert!(is_same_map(pairs(a), pairs(b)), "{a:?} {b:?}");
    }
    let different = [("a=b", "="), ("a=b,a=c", "a=c,a=b"), ("a=b", "a=b,a=c"), ("a=b", "b=a"), ("a=b", " a=b")];
    for (a, b) in different {
        assert!(!is_same_map(pairs(a), pairs(b)), "{a:?} {b:?}");
    }
    let mirrors = ordered_mirrors(pairs("b=2,a=1,b=1,b=2"));
    assert_eq!(format!("{mirrors:?}"), r#"{"a": ["1"], "b": ["2", "1"]}"#);
}

/// What `github.com/spf13/pflag` v1.0.10 answers.
#[test]
fn the_argument_is_read_as_pflag_reads_it() {
    let cases: [(&[&str], Pairs<'_>); 17] = [
        (&[], &[]),
        (&["="], &[("", "")]),
        (&["a=b,c=d"], &[("a", "b"), ("c", "d")]),
        (&["a=b,c"], &[("a", "b,c")]),
        (&["a=b,c=d", "a=z,e=f"], &[("a", "z"), ("c", "d"), ("e", "f")]),
        (&["=", "a=b"], &[("", ""), ("a", "b")]),
        (&["=,a=b"], &[("", ""), ("a", "b")]),
        (&["\"a=b\""], &[("a", "b")]),
        (&["\"a=b"], &[("a", "b")]),
        (&["a=b=c"], &[("a", "b=c")]),
        (&["a=b,a=c"], &[("a", "c")]),
        (&["\"a=b,x\",c=d"], &[("a", "b,x"), ("c", "d")]),
        (&["\"a=\"\"b\"\"\",c=d"], &[("a", "\"b\""), ("c", "d")]),
        (&["a=b,\"c=d\ne\""], &[("a", "b"), ("c", "d\ne")]),
        (&["\n\na=b,c=d\ne=f"], &[("a", "b"), ("c", "d")]),
        (&["a=b,c=d\r\n"], &[("a", "b"), ("c", "d")]),
        (&["a=b, c=d"], &[("a", "b"), (" c", "d")]),
    ];
    for (values, expected) in cases {
        let expected = expected.iter().map(|(source, mirror)| ((*source).to_owned(), (*mirror).to_owned())).collect();
        assert_eq!(parse_argument(values), Ok(expected), "{values:?}");
    }
}

#[test]
fn values_that_pflag_rejects_are_rejected_and_named() {
    let cases: [(&[&str], ArgumentError, &str); 8] = [
        (&["foo"], ArgumentError::NotAPair("foo".to_owned()), r#""foo" must be formatted as key=value"#),
        (&[""], ArgumentError::NotAPair(String::new()), r#""" must be formatted as key=value"#),
        (&["a=b", "foo"], ArgumentError::NotAPair("foo".to_owned()), r#""foo" must be formatted as key=value"#),
        (&["a=b,c,d=e"], ArgumentError::NotAPair("c".to_owned()), r#""c" must be formatted as key=value"#),
        (&["a=b,c=d,"], ArgumentError::NotAPair(String::new()), r#""" must be formatted as key=value"#),
        (&["a=\"b\",c=d"], ArgumentError::Quote("a=\"b\",c=d".to_owned()), r#"stray or open quote in "a=\"b\",c=d""#),
        (&["\"a=b,c=d"], ArgumentError::Quote("\"a=b,c=d".to_owned()), r#"stray or open quote in "\"a=b,c=d""#),
        (&["\"a=b\"x,c=d"], ArgumentError::Quote("\"a=b\"x,c=d".to_owned()), {
            r#"stray or open quote in "\"a=b\"x,c=d""#
        }),
    ];
    for (values, error, message) in cases {
        let got = parse_argument(values).unwrap_err();
        assert_eq!(got, error, "{values:?}");
        assert_eq!(got.to_string(), message);
    }
}

proptest! {
    #[test]
    fn what_is_printed_parses_to_the_same(
        some in proptest::collection::vec(("[a-z.*/:@-]{1,8}", "[a-z./:@=-]{1,8}"), 0..6)
    ) {
        let some: Vec<(&str, &str)> = some.iter().map(|(source, mirror)| (source.as_str(), mirror.as_str())).collect();
        let printed = print_pairs(some.iter().copied());
        prop_assert_eq!(pairs(&printed).collect::<Vec<_>>(), some);
    }

    #[test]
    fn printing_again_changes_nothing(text in "[ab=, ]{0,20}") {
        let printed = print_pairs(pairs(&text));
        prop_assert_eq!(&print_pairs(pairs(&printed)), &printed);
        prop_assert!(is_same_map(pairs(&printed), pairs(&text)));
    }

    #[test]
    fn a_printed_map_has_all_mirrors_in_order(entries in any_entries()) {
        let resolved = merge_layer(&entries);
        let printed = print_env(&resolved);
        let wanted = resolved.sources.iter().map(|(name, source)| (name.as_str(), source.all_mirrors().collect()));
        prop_assert_eq!(ordered_mirrors(pairs(&printed)), wanted.collect::<BTreeMap<&str, Vec<&str>>>());
    }

    #[test]
    fn pflag_reads_the_first_mirror_of_each_source_from_the_argument(entries in any_entries()) {
        let resolved = merge_layer(&entries);
        let mut said = parse_argument(&[&print_argument(&resolved)]).unwrap();
        said.remove("");
        let wanted = resolved.sources.iter().filter_map(|(name, source)| {
            source.all_mirrors().next().map(|mirror| (name.clone(), mirror.to_owned()))
        });
        prop_assert_eq!(said, wanted.collect::<BTreeMap<_, _>>());
    }

    #[test]
    fn reading_arguments_never_panics(text in "[ab=,\"\r\n]{0,20}") {
        let _ = parse_argument(&[&text]);
    }
}
