use crate::registry::Digest;
use crate::registry::wire::digest::Algorithm;

use super::*;

fn shown(goal: &Goal) -> String {
    match goal {
        Goal::Registry(repository, tag) => format!("{repository}:{}", tag.as_deref().unwrap_or("ANCHOR")),
        Goal::Layout { path, name, carried_for, .. } => {
            let carried: Vec<&str> = carried_for.iter().map(String::as_str).collect();
            format!("{path} as {name:?} for [{}]", carried.join(" "))
        }
    }
}

fn digest() -> Digest {
    Digest::of(Algorithm::Sha256, b"x")
}

/// `SOURCE -> GOAL` of each item.
fn planned(sources: &[&str], to: &str, entries: &[Entry]) -> Result<Vec<String>> {
    let sources: Vec<Place> = sources.iter().map(|text| source(text)).collect::<Result<_>>()?;
    let to = destination(to, is_for_many(&sources, to))?;
    let mut found = Vec::new();
    for source in &sources {
        for item in items(source, entries, &to)? {
            found.extend(item.goals.iter().map(|goal| format!("{} -> {}", item.name, shown(goal))));
        }
    }
    Ok(found)
}

fn entry(name: &str, carried: &[&str]) -> Entry {
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let carried = carried.iter().map(|name| (*name).to_owned()).collect();
    Entry::new(kind, &digest(), 1).named(name, &carried)
}

#[test]
fn one_image_goes_to_a_name_and_many_below_a_prefix() {
    let by_digest = format!("quay.io/a/c@{}", digest());
    let cases: [(&[&str], &str, &[&str]); 8] = [
        (&["quay.io/a/b:1"], "m.corp:5000/x/y:2", &["quay.io/a/b:1 -> m.corp:5000/x/y:2"]),
        (&["quay.io/a/b:1"], "m.corp/x/y", &["quay.io/a/b:1 -> m.corp/x/y:1"]),
        (&["docker://quay.io/a/b"], "m.corp/x/", &["quay.io/a/b -> m.corp/x/a/b:latest"]),
        (&["quay.io/a/b:1"], "m.corp:5000", &["quay.io/a/b:1 -> m.corp:5000/a/b:1"]),
        (&["nginx"], "localhost:5000", &["docker.io/library/nginx -> localhost:5000/library/nginx:latest"]),
        (&["quay.io/a/b:1", "r.io/c:2"], "m.corp/x", &["quay.io/a/b:1 -> m.corp/x/a/b:1", "r.io/c:2 -> m.corp/x/c:2"]),
        (&["quay.io/a/b:1"], "oci:d", &["quay.io/a/b:1 -> oci:d as \"quay.io/a/b:1\" for []"]),
        (&["quay.io/a/b:1"], "oci:d:v1", &["quay.io/a/b:1 -> oci:d as \"v1\" for []"]),
    ];
    for (sources, to, expected) in cases {
        assert_eq!(planned(sources, to, &[]).unwrap(), expected, "{to}");
    }
    let anchored = planned(&[&by_digest], "m.corp/x/y", &[]).unwrap();
    assert_eq!(anchored, [format!("{by_digest} -> m.corp/x/y:ANCHOR")]);
}

#[test]
fn images_of_a_layout_go_where_they_were_carried_for_or_below_the_destination() {
    let entries =
        [entry("quay.io/a:1", &["m.corp/mirror/a:1", "n.corp/a:1"]), entry("quay.io/b:1", &["n.corp/other/b:1"])];
    let to = |to: &str| planned(&["oci:d"], to, &entries).unwrap();
    assert_eq!(to("m.corp"), ["quay.io/a:1 -> m.corp/mirror/a:1"]);
    assert_eq!(to("n.corp"), ["quay.io/a:1 -> n.corp/a:1", "quay.io/b:1 -> n.corp/other/b:1"]);
    assert_eq!(to("n.corp/other"), ["quay.io/b:1 -> n.corp/other/b:1"]);
    assert_eq!(to("x.corp/y"), ["quay.io/a:1 -> x.corp/y/a:1", "quay.io/b:1 -> x.corp/y/b:1"]);
    let one = planned(&["oci:d:v1"], "x.corp/y/z:2", &[entry("v1", &[])]).unwrap();
    assert_eq!(one, ["v1 -> x.corp/y/z:2"]);
    assert_eq!(planned(&["oci:d"], "x.corp/y/z:2", &[entry("v1", &[])]).unwrap(), ["v1 -> x.corp/y/z:2"]);
    assert!(planned(&["oci:d"], "x.corp/y/z:2", &entries).is_err(), "one place for two images");
    assert!(planned(&["oci:d"], "x.corp", &[entry("v1", &[])]).is_err(), "v1 has no repository");
    assert!(planned(&["oci:d:v2"], "x.corp/y/z:2", &entries).is_err(), "there is no such image");
}

#[test]
fn destinations_that_nobody_means_are_refused() {
    for (to, is_for_many) in [
        ("nginx", false),
        ("team/app", false),
        ("mirror", true),
        ("m.corp/x:1", true),
        ("m.corp/X/", false),
        ("oci:d:v1", true),
        ("oci:", false),
    ] {
        assert!(destination(to, is_for_many).is_err(), "{to}");
    }
    assert!(destination(&format!("m.corp/x@{}", digest()), false).is_err());
    assert!(destination("docker.io/team/app", false).is_ok());
}

#[test]
fn a_list_names_its_mirrors_and_a_layout_notes_them() {
    let digest = digest();
    let list = format!(
        "# missing\nquay.io/a@{digest}=m.corp/x/a@{digest}\nquay.io/a@{digest}=n.corp/a@{digest} \nquay.io/b:1=m.corp/b:1\n"
    );
    let goals = |to: Option<&Destination>| -> Vec<String> {
        of_want(&list, to).unwrap().iter().flat_map(|item| &item.goals).map(shown).collect()
    };
    assert_eq!(goals(None), ["m.corp/x/a:ANCHOR", "n.corp/a:ANCHOR", "m.corp/b:1"]);
    let layout = destination("oci:d", true).unwrap();
    assert_eq!(
        goals(Some(&layout)),
        [
            format!("oci:d as \"quay.io/a@{digest}\" for [m.corp/x/a@{digest} n.corp/a@{digest}]"),
            "oci:d as \"quay.io/b:1\" for [m.corp/b:1]".to_owned()
        ]
    );
    assert_eq!(goals(Some(&destination("x.corp", true).unwrap())), ["x.corp/a:ANCHOR", "x.corp/b:1"]);
    for wrong in ["quay.io/a:1", "quay.io/A=m.corp/a", "=", "oci:d=m.corp/a"] {
        assert!(of_want(wrong, None).unwrap_err().to_string().starts_with("line 1: "), "{wrong}");
    }
}

#[test]
fn layouts_are_asked_before_the_source_and_registries_after_it() {
    let mut items = of_want("quay.io/a/b:1=m.corp/b:1", None).unwrap();
    add_sources(&mut items, &["r.corp/x".to_owned(), "oci:d".to_owned()]).unwrap();
    let shown: Vec<String> = items[0]
        .origins
        .iter()
        .map(|origin| match origin {
            Origin::Registry(repository) => repository.to_string(),
            Origin::Layout(path, repository) => format!("{path} {repository}"),
        })
        .collect();
    assert_eq!(shown, ["oci:d quay.io/a/b", "quay.io/a/b", "r.corp/x/a/b"]);
}
