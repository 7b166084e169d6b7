use super::*;
use crate::mirrors::Layer;
use crate::mirrors::{Origin, PullBy};

fn entry(layer: Layer, pull_by: PullBy, source: &str, mirrors: &[&str]) -> MirrorEntry {
    MirrorEntry {
        pull_by,
        source: source.to_owned(),
        mirrors: mirrors.iter().map(|mirror| (*mirror).to_owned()).collect(),
        policy: None,
        insecure: false,
        list: "spec.digestMirrors",
        origin: Origin {
            kind: "NodeMirrorSet".to_owned(),
            namespace: None,
            name: format!("{layer:?}").to_lowercase(),
            key: None,
            document: None,
            index: 0,
            layer,
        },
    }
}

fn digest(source: &str, mirrors: &[&str]) -> MirrorEntry {
    entry(Layer::HostedCluster, PullBy::Digest, source, mirrors)
}

fn declared(entries: Vec<MirrorEntry>) -> DeclaredMirrors {
    DeclaredMirrors { entries, ..DeclaredMirrors::default() }
}

fn drop_in(name: &str, content: &str) -> (String, Vec<u8>) {
    (format!("{DROP_IN_DIRECTORY}/{name}"), content.into())
}

fn with_drop_ins(drop_ins: &[(&str, &str)]) -> ForeignFiles {
    let drop_ins = drop_ins.iter().map(|(name, content)| drop_in(name, content)).collect();
    ForeignFiles { drop_ins, ..ForeignFiles::default() }
}

fn decided(declared: &DeclaredMirrors, foreign: &ForeignFiles) -> Decision {
    decide(declared, foreign, |_| false)
}

fn text(decision: &Decision) -> &str {
    decision.file.as_ref().unwrap().as_deref().unwrap()
}

#[test]
fn a_node_pools_mirrors_come_before_the_hosted_clusters_whatever_the_order_of_entries() {
    let mut entries = vec![
        digest("quay.io", &["m.example/hc"]),
        entry(Layer::NodePool, PullBy::Digest, "quay.io", &["m.example/pool"]),
        entry(Layer::NodePool, PullBy::Tag, "quay.io", &["m.example/tag"]),
    ];
    let forward = decided(&declared(entries.clone()), &ForeignFiles::default());
    entries.reverse();
    assert_eq!(forward, decided(&declared(entries), &ForeignFiles::default()));
    let places: Vec<_> = ["m.example/pool", "m.example/hc", "m.example/tag"].map(|it| text(&forward).find(it)).into();
    assert!(places.is_sorted() && places.iter().all(Option::is_some), "{forward:?}");
    assert_eq!(forward.sources, 1);
}

#[test]
fn nothing_declared_is_no_file() {
    let decision = decided(&DeclaredMirrors::default(), &ForeignFiles::default());
    assert_eq!(decision.file, Ok(None));
}

#[test]
fn an_invalid_entry_is_ignored_and_reported_and_the_rest_is_written() {
    let entries = vec![digest("quay.io", &["https://m.example"]), digest("good.io", &["m.example/good"])];
    let decision = decided(&declared(entries), &ForeignFiles::default());
    assert!(text(&decision).contains("good.io") && !text(&decision).contains("quay.io"));
    let reported: Vec<_> = decision.rejected.iter().map(|report| (&*report.severity, &*report.reason)).collect();
    assert_eq!(reported, [("Error", "InvalidMirror")]);
}

#[test]
fn unverified_tls_is_written_at_every_mirror_and_warned_of() {
    let entry = MirrorEntry { insecure: true, ..digest("quay.io", &["m.example/a", "n.example/b"]) };
    let decision = decided(&declared(vec![entry]), &ForeignFiles::default());
    assert_eq!(text(&decision).matches("    insecure = true").count(), 2, "{decision:?}");
    let warned: Vec<_> = decision.warnings.iter().map(|report| &*report.reason).collect();
    assert_eq!(warned, ["InsecureMirrors"]);
}

#[test]
fn settings_of_other_files_for_the_same_sources_are_merged() {
    let base =
        "[[registry]]\nlocation = \"quay.io\"\nblocked = true\n[[registry.mirror]]\nlocation = \"base.example/q\"\n";
    let main = Some(("/etc/containers/registries.conf".to_owned(), base.into()));
    let foreign = ForeignFiles { main, ..ForeignFiles::default() };
    let decision = decided(&declared(vec![digest("quay.io", &["m.example/q"])]), &foreign);
    let text = text(&decision);
    assert!(text.contains("blocked = true") && text.find("m.example/q") < text.find("base.example/q"), "{text}");
}

#[test]
fn a_later_file_that_overrides_a_source_is_named() {
    let foreign = with_drop_ins(&[("99-workaround.conf", "[[registry]]\nlocation = \"quay.io\"\n")]);
    let decision = decided(&declared(vec![digest("quay.io", &["m.example/q"])]), &foreign);
    let by = format!("{DROP_IN_DIRECTORY}/99-workaround.conf");
    assert_eq!(decision.shadowed, [Shadowed { source: "quay.io".to_owned(), by }]);
}

#[test]
fn a_file_in_the_users_directory_is_read_after_the_drop_in_of_any_name() {
    let path = "/root/.config/containers/registries.conf.d/10-early.conf".to_owned();
    let drop_ins = vec![(path.clone(), b"[[registry]]\nlocation = \"quay.io\"\n".to_vec())];
    let foreign = ForeignFiles { drop_ins, ..ForeignFiles::default() };
    let decision = decided(&declared(vec![digest("quay.io", &["m.example/q"])]), &foreign);
    assert_eq!(decision.shadowed, [Shadowed { source: "quay.io".to_owned(), by: path }]);
}

#[test]
fn nothing_is_written_to_a_node_whose_files_break_every_pull_and_the_file_is_named() {
    let broken = with_drop_ins(&[("10-x.conf", "[[registry]]\nlocation = \"https://a.io\"\n")]);
    let unusable = ForeignFiles {
        unusable: vec![("/etc/x.conf".to_owned(), "it is a symbolic link to a directory".to_owned())],
        ..ForeignFiles::default()
    };
    let boot = ForeignFiles { boot: Some(drop_in("40-hypermirror-boot.conf", "= [")), ..ForeignFiles::default() };
    let set = declared(vec![digest("quay.io", &["m.example/q"])]);
    let Err(refusal @ Refusal::Unjudged(_)) = decided(&set, &unusable).file else { panic!("it was judged") };
    let message = "the agent cannot read a file of this node and changes nothing until it can: /etc/x.conf: it is a symbolic link";
    assert!(refusal.to_string().starts_with(message), "{refusal}");
    for (foreign, named) in [(broken, "10-x.conf"), (boot, "40-hypermirror-boot.conf")] {
        let decision = decided(&set, &foreign);
        let Err(Refusal::ForeignFile(message)) = decision.file else { panic!("{decision:?}") };
        assert!(message.contains(named), "{message}");
    }
}

#[test]
fn an_equal_boot_file_needs_no_drop_in_and_additional_tables_of_one_are_reverted() {
    let set = declared(vec![digest("quay.io", &["m.example/q"])]);
    let same = text(&decided(&set, &ForeignFiles::default())).to_owned();
    let boot = |content: &str| ForeignFiles {
        boot: Some(drop_in("40-hypermirror-boot.conf", content)),
        ..ForeignFiles::default()
    };
    assert_eq!(decided(&set, &boot(&same)).file, Ok(None));
    let decision = decided(&DeclaredMirrors::default(), &boot(&same));
    assert!(text(&decision).contains("location = \"quay.io\"") && !text(&decision).contains("m.example"));
}

#[test]
fn entries_of_an_absent_kind_are_kept() {
    let unknown_kinds = vec!["ImageTagMirrorSet"];
    let declared = DeclaredMirrors { unknown_kinds, ..DeclaredMirrors::default() };
    let decision = decide(&declared, &ForeignFiles::default(), |kind| kind == "ImageTagMirrorSet");
    assert_eq!(decision.file, Err(Refusal::KindVanished("ImageTagMirrorSet")));
    assert_eq!(decide(&declared, &ForeignFiles::default(), |_| false).file, Ok(None));
}

#[test]
fn long_texts_are_cut() {
    let source = format!("quay.io/{}", "A".repeat(100_000));
    let decision = decided(&declared(vec![digest(&source, &["m.example/q"])]), &ForeignFiles::default());
    let longest = decision.rejected.iter().map(|report| report.message.chars().count()).max();
    assert_eq!(longest, Some(LONGEST_TEXT + 1));
}

/// What is larger is read by nobody again, not by us either.
#[test]
fn a_file_that_could_not_be_read_back_is_not_written() {
    let mirror = format!("m.example/{}", "x".repeat(200_000));
    let entries: Vec<_> = (0..25).map(|n| digest(&format!("s.example/{n}"), &[mirror.as_str()])).collect();
    let decision = decided(&declared(entries), &ForeignFiles::default());
    let Err(Refusal::TooLarge(bytes)) = decision.file else { panic!("{:?}", decision.rejected) };
    assert!(bytes > LARGEST);
    let too_many = DeclaredMirrors { too_many: Some("too many".to_owned()), ..DeclaredMirrors::default() };
    let refused = decided(&too_many, &ForeignFiles::default()).file.unwrap_err();
    assert_eq!(refused.to_string(), "too many; the previous file stays in use; declare fewer mirrors for this node");
}
