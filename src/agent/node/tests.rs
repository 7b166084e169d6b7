use std::fs;

use super::*;
use crate::mirrors::{Layer, MirrorEntry, Origin, PullBy};

struct Scene {
    root: tempfile::TempDir,
    file: NodeFile,
}

impl Scene {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("etc/containers/registries.conf.d")).unwrap();
        let file = NodeFile::new(Host::open(root.path()).unwrap(), true);
        Self { root, file }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.root.path().join("etc/containers/registries.conf.d").join(name)
    }

    fn ours(&self) -> Option<String> {
        fs::read_to_string(self.path(DROP_IN)).ok()
    }

    fn reconcile(&mut self, mirrors: &[&str]) -> Pass {
        let observed = ObservedSet { name: mirrors.concat(), ..ObservedSet::default() };
        self.file.reconcile(&declared(mirrors), vec![observed])
    }
}

fn declared(mirrors: &[&str]) -> DeclaredMirrors {
    let origin = Origin {
        kind: "NodeMirrorSet".to_owned(),
        namespace: None,
        name: "cluster".to_owned(),
        key: None,
        document: None,
        index: 0,
        layer: Layer::HostedCluster,
    };
    let entry = |mirror: &&str| MirrorEntry {
        pull_by: PullBy::Digest,
        source: "quay.io".to_owned(),
        mirrors: vec![(*mirror).to_owned()],
        policy: None,
        insecure: false,
        list: "spec.digestMirrors",
        origin: origin.clone(),
    };
    DeclaredMirrors { entries: mirrors.iter().map(entry).collect(), ..DeclaredMirrors::default() }
}

#[test]
fn a_file_that_is_up_to_date_is_not_written() {
    let mut scene = Scene::new();
    assert!(scene.reconcile(&["m.io/a"]).is_changed);
    let written = fs::metadata(scene.path(DROP_IN)).unwrap().modified().unwrap();
    let again = scene.reconcile(&["m.io/a"]);
    assert!(!again.is_changed);
    assert_eq!(fs::metadata(scene.path(DROP_IN)).unwrap().modified().unwrap(), written);
    let gone = scene.reconcile(&[]);
    assert!(gone.is_changed && scene.ours().is_none());
    assert_eq!(gone.snapshot.content_hash, "");
}

#[test]
fn while_another_file_is_broken_the_last_good_one_stays_with_the_sets_that_it_was_made_of() {
    let mut scene = Scene::new();
    let good = scene.reconcile(&["m.io/a"]).snapshot;
    let before = scene.ours();
    fs::write(scene.path("90-x.conf"), "[[registry]\n").unwrap();
    let refused = scene.reconcile(&["m.io/b"]);
    assert_eq!(refused.snapshot.applied.reason, NodeReason::ForeignFileInvalid);
    assert_eq!((scene.ours(), refused.is_changed), (before, false));
    assert_eq!(refused.snapshot.observed_sets, good.observed_sets);
    assert_eq!(refused.snapshot.content_hash, good.content_hash);
    fs::remove_file(scene.path("90-x.conf")).unwrap();
    assert!(scene.reconcile(&["m.io/b"]).is_changed);
}

#[test]
fn a_foreign_file_of_the_same_name_is_never_touched() {
    let mut scene = Scene::new();
    fs::write(scene.path(DROP_IN), "# mine\n").unwrap();
    let pass = scene.reconcile(&["m.io/a"]);
    assert_eq!(pass.snapshot.applied.reason, NodeReason::NotOurFile);
    assert!(pass.snapshot.applied.message.contains("# mine"), "{}", pass.snapshot.applied.message);
    assert_eq!(scene.ours().as_deref(), Some("# mine\n"));
}

#[test]
fn the_agents_own_write_is_no_change_and_that_of_another_process_is() {
    let mut scene = Scene::new();
    scene.reconcile(&["m.io/a"]);
    assert!(!scene.file.is_news(DROP_IN.as_bytes()));
    for (name, is_news) in [
        (".50-hypermirror.conf.tmp", false),
        (".50-hypermirror.pending", false),
        ("notes.txt", false),
        ("10-x.conf", true),
        ("registries.conf.d", true),
        ("", true),
    ] {
        assert_eq!(scene.file.is_news(name.as_bytes()), is_news, "{name}");
    }
    fs::remove_file(scene.path(DROP_IN)).unwrap();
    assert!(scene.file.is_news(DROP_IN.as_bytes()));
    assert!(scene.reconcile(&["m.io/a"]).is_changed, "it is written again");
}

#[test]
fn an_edited_file_of_the_agent_is_written_again() {
    let mut scene = Scene::new();
    scene.reconcile(&["m.io/a"]);
    let good = scene.ours();
    fs::write(scene.path(DROP_IN), format!("{}\n# edited", crate::mirrors::registries::HEADER)).unwrap();
    assert!(scene.reconcile(&["m.io/a"]).is_changed);
    assert_eq!(scene.ours(), good);
}

#[test]
fn a_file_for_signatures_follows_the_policy_and_names_of_other_files_are_left_out() {
    let mut scene = Scene::new();
    let at = |scene: &Scene, name: &str| scene.root.path().join("etc/containers").join(name);
    let ours = |scene: &Scene| fs::read_to_string(at(scene, "registries.d/hypermirror.yaml")).ok();
    fs::create_dir_all(at(&scene, "registries.d")).unwrap();
    scene.reconcile(&["m.io/a"]);
    assert_eq!(ours(&scene), None, "no signature is demanded");

    let policy = r#"{"transports": {"docker": {"quay.io/app": [{"type": "sigstoreSigned", "keyPath": "/k"}]}}}"#;
    fs::write(at(&scene, "policy.json"), policy).unwrap();
    let pass = scene.reconcile(&["m.io/a"]);
    assert!(!pass.is_changed, "no reload is needed");
    let text = ours(&scene).unwrap();
    assert!(text.contains("\"m.io/a/app\": {\"use-sigstore-attachments\":true}"), "{text}");

    fs::write(at(&scene, "registries.d/other.yaml"), "docker: {m.io/a/app: {lookaside: 'https://m.io'}}\n").unwrap();
    let pass = scene.reconcile(&["m.io/a"]);
    assert_eq!(ours(&scene), None, "two files with one name break every pull");
    assert_eq!(pass.snapshot.warnings.last().map(|warning| warning.reason.as_str()), Some("SignaturesHidden"));

    // A file of somebody else with the name of the agent's stays, and so does a valid state of the mirrors.
    fs::remove_file(at(&scene, "registries.d/other.yaml")).unwrap();
    fs::write(at(&scene, "registries.d/hypermirror.yaml"), "docker: {}\n").unwrap();
    let pass = scene.reconcile(&["m.io/b"]);
    assert_eq!(ours(&scene).as_deref(), Some("docker: {}\n"));
    assert_eq!(pass.snapshot.warnings.last().map(|warning| warning.reason.as_str()), Some("SignaturesNotWritten"));
    assert!(pass.is_changed && pass.snapshot.applied.is_good());
}
