use super::*;
use crate::mirrors::registries::{MirrorTable, RegistryTable};

fn table(prefix: &str, mirrors: &str) -> RegistryTable {
    let mirror = |location: &str| MirrorTable { location: location.to_owned(), ..MirrorTable::default() };
    RegistryTable {
        prefix: prefix.to_owned(),
        mirrors: mirrors.split_whitespace().map(mirror).collect(),
        ..RegistryTable::default()
    }
}

fn files(policy: &str, registries_d: &[(&str, &str)]) -> SignatureFiles {
    let policy = (!policy.is_empty()).then(|| ("policy.json".to_owned(), policy.as_bytes().to_vec()));
    let registries_d = registries_d.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec()));
    SignatureFiles { policy, registries_d: registries_d.collect(), unusable: None }
}

/// A policy that demands signatures of a name.
fn demands(scope: &str) -> String {
    format!(
        r#"{{"default": [{{"type": "insecureAcceptAnything"}}],
            "transports": {{"docker": {{{scope:?}: [{{"type": "sigstoreSigned", "keyPath": "/k"}}],
            "other.io": [{{"type": "reject"}}]}}, "atomic": {{"a.io": [{{"type": "sigstoreSigned"}}]}}}}}}"#
    )
}

fn names(text: Option<&str>) -> Vec<&str> {
    let lines = text.unwrap_or_default().lines().skip(3);
    lines.map(|line| line.trim().split('"').nth(1).unwrap()).collect()
}

#[test]
fn the_mirrors_of_images_with_a_demand_are_named() {
    let tables = [table("s.io", "m.io n.io/s"), table("s.io/a", "m.io/x"), table("*.w.io", "w.example/p")];
    for (scope, expected) in [
        ("s.io", &["m.io", "m.io/x", "n.io/s"][..]),
        ("s.io/a", &["m.io/x"]),
        ("s.io/a/app", &["m.io/x/app"]),
        ("s.io/a/app:v1", &["m.io/x/app"]),
        ("s.io/b", &["m.io/b", "n.io/s/b"]),
        ("s.io:5000", &["m.io:5000", "n.io/s:5000"]),
        ("*.w.io", &["w.example/p"]),
        ("*.io", &["m.io", "m.io/x", "n.io/s", "w.example/p"]),
        ("a.w.io/x", &["w.example/p/x"]),
        ("t.io", &[]),
    ] {
        let found = attachments(&tables, &files(&demands(scope), &[])).unwrap();
        assert_eq!(names(found.text.as_deref()), expected, "{scope}");
    }
    let all = r#"{"default": [{"type": "sigstoreSigned", "keyPath": "/k"}]}"#;
    let found = attachments(&tables, &files(all, &[])).unwrap();
    assert_eq!(names(found.text.as_deref()).len(), 4);
    // The policy of one namespace is not in policy.json, but the machine-config-operator enables attachments for its scope.
    let mco = "docker:\n  s.io/a:\n    use-sigstore-attachments: true\n";
    let found = attachments(&tables, &files("", &[("sigstore-registries.yaml", mco)])).unwrap();
    assert_eq!(names(found.text.as_deref()), ["m.io/x"]);
}

#[test]
fn without_a_demand_there_is_no_file() {
    let tables = [table("s.io", "m.io")];
    for policy in ["", r#"{"default": [{"type": "insecureAcceptAnything"}]}"#, &demands("t.io")] {
        assert_eq!(attachments(&tables, &files(policy, &[])), Ok(Attachments::default()), "{policy}");
    }
    assert_eq!(attachments(&[], &files(&demands("s.io"), &[])), Ok(Attachments::default()));
}

#[test]
fn no_name_is_in_two_files_and_settings_of_broader_names_are_kept() {
    let tables = [table("s.io", "m.io n.io/s o.io/x p.io/y")];
    let others = [
        (
            "a.yaml",
            "docker:\n  m.io:\n    use-sigstore-attachments: true\n  n.io/s:\n    lookaside: https://n.io/sigs\n",
        ),
        ("b.yaml", "docker:\n  o.io: {lookaside: 'https://o.io/sigs'}\n  p.io/y/z: {}\n"),
        ("c.yaml", "default-docker:\n  lookaside-staging: file:///staging\n"),
    ];
    let found = attachments(&tables, &files(&demands("s.io"), &others)).unwrap();
    let text = found.text.unwrap();
    assert_eq!(
        text.lines().skip(2).collect::<Vec<_>>(),
        [
            "docker:",
            r#"  "o.io/x": {"lookaside":"https://o.io/sigs","use-sigstore-attachments":true}"#,
            r#"  "p.io/y": {"lookaside-staging":"file:///staging","use-sigstore-attachments":true}"#,
        ]
    );
    let hidden: Vec<(&str, &str)> = found.hidden.iter().map(|(name, file)| (name.as_str(), file.as_str())).collect();
    assert_eq!(hidden, [("n.io/s", "a.yaml"), ("p.io/y/z", "b.yaml")]);
    // What is printed is read again as the same names.
    let read: Value = serde_yaml::from_str(&text).unwrap();
    assert_eq!(read["docker"]["o.io/x"]["use-sigstore-attachments"], true);
}

#[test]
fn files_that_break_pulls_already_are_named_and_nothing_is_changed() {
    let tables = [table("s.io", "m.io")];
    let error = |files: &SignatureFiles| attachments(&tables, files).unwrap_err().to_string();
    assert!(error(&files("{", &[])).starts_with("policy.json is not valid"));
    assert!(error(&files("", &[("a.yaml", "docker: [1]")])).contains("a.yaml is not valid"));
    let twice = [("a.yaml", "docker: {m.io: {}}"), ("b.yaml", "docker: {m.io: {}}")];
    assert_eq!(error(&files("", &twice)), "m.io is configured in a.yaml and in b.yaml");
    let unusable = SignatureFiles { unusable: Some(("x".to_owned(), "EIO".to_owned())), ..SignatureFiles::default() };
    assert_eq!(error(&unusable), "failed to read x: EIO");
}
