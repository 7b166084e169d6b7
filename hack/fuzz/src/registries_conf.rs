//! A node's registries.conf and drop-ins, and the drop-in that hypermirror writes for them.

use hypermirror::mirrors::merge::merge_layer;
use hypermirror::mirrors::registries::{
    DROP_IN, RegistriesConfig, RegistriesFile, Role, attribute, explain, judge, render, with_ours,
};
use hypermirror::mirrors::validate::{Consumer, validate};
use hypermirror::mirrors::{DeclaredPolicy, Layer, MirrorEntry, Origin, Policy, PullBy, Resolved};

use crate::parts;

const MAIN: &str = "registries.conf";
const NAMES: [&str; 3] = ["registries.conf.d/00-a.conf", "registries.conf.d/50-b.conf", "registries.conf.d/99-c.conf"];
const OURS: &str = "registries.conf.d/50-hypermirror.conf";

pub fn check(input: &[u8]) {
    let parts = parts(input);
    let mut contents = parts.iter().map(String::as_bytes);
    let main = contents.next().map(|content| (MAIN, content));
    let drop_ins: Vec<(&str, &[u8])> = NAMES.into_iter().zip(contents).collect();
    // Only this parser accepts input that is not valid UTF-8.
    let _ = RegistriesFile::parse(input, Role::Main);
    let _ = RegistriesFile::parse(input, Role::DropIn);
    let Ok(verdict) = judge(main, drop_ins.iter().copied()) else {
        assert!(
            RegistriesConfig::load(main, drop_ins.iter().copied()).is_err(),
            "validation rejects the same files as a node"
        );
        return;
    };
    let foreign = verdict.config;
    assert_eq!(RegistriesConfig::load(main, drop_ins.iter().copied()).as_ref(), Ok(&foreign));
    let set = mirrors_of(&foreign);
    let rendered = render(&set, &foreign);
    assert_eq!(render(&set, &foreign), rendered, "rendering is deterministic");
    let Ok(rendered) = rendered else { panic!("no drop-in for files that a node accepts: {rendered:?}") };
    let Ok(node) = with_ours(&foreign, &rendered) else { panic!("a node rejects {rendered:?}") };
    if let Some(text) = &rendered.text {
        let all = drop_ins.iter().copied().chain([(OURS, text.as_bytes())]);
        let loaded = RegistriesConfig::load(main, all);
        let tables = loaded.as_ref().map(|loaded| loaded.tables().map(|loaded| loaded.table.clone()).collect());
        let expected: Vec<_> = node.tables().map(|loaded| loaded.table.clone()).collect();
        assert_eq!(tables, Ok(expected), "the tables on the node differ from the predicted ones");
    }
    check_pulls(&node, &set, &foreign);
}

fn check_pulls(node: &RegistriesConfig, set: &Resolved, foreign: &RegistriesConfig) {
    for name in set.sources.keys().map(|source| source.replacen("*.", "probe.", 1)) {
        for image in [format!("{name}/probe:tag"), name] {
            let mut explanation = explain(node, &image);
            attribute(&mut explanation, DROP_IN, set, foreign);
            assert_eq!(explanation.image, image);
        }
    }
}

/// Mirrors for the valid sources in the node's own files, and for one more source.
fn mirrors_of(foreign: &RegistriesConfig) -> Resolved {
    let prefixes = foreign.tables().map(|loaded| loaded.table.prefix.clone());
    let sources = ["quay.example/team".to_owned()].into_iter().chain(prefixes);
    let entries: Vec<MirrorEntry> = sources.enumerate().map(|(index, source)| entry(index, source)).collect();
    merge_layer(&validate(&entries, Consumer::Node).entries)
}

fn entry(index: usize, source: String) -> MirrorEntry {
    let never = index % 3 == 1;
    MirrorEntry {
        pull_by: if index.is_multiple_of(2) { PullBy::Digest } else { PullBy::Tag },
        source,
        mirrors: vec!["mirror.example/a".to_owned(), "other.example:5000/b".to_owned()],
        policy: never.then_some(DeclaredPolicy::Known(Policy::NeverContactSource)),
        insecure: index % 5 == 4,
        list: "spec.imageDigestMirrors",
        origin: Origin {
            kind: "ImageDigestMirrorSet".to_owned(),
            namespace: None,
            name: "fuzz".to_owned(),
            key: None,
            document: None,
            index,
            layer: Layer::Management,
        },
    }
}
