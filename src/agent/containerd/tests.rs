use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;
use crate::mirrors::fixtures::{digest, never, tag};
use crate::mirrors::{MirrorEntry, containerd::HEADER};

const CERTS: &str = "etc/containerd/certs.d";

struct Node {
    root: TempDir,
    files: ContainerdFiles,
}

impl Node {
    fn new(config: &str) -> Self {
        let root = TempDir::new().unwrap();
        fs::create_dir_all(root.path().join("etc/containerd")).unwrap();
        if !config.is_empty() {
            fs::write(root.path().join("etc/containerd/config.toml"), config).unwrap();
        }
        let files = ContainerdFiles::new(Host::open(root.path()).unwrap(), CONFIG.to_owned());
        Self { root, files }
    }

    fn configured() -> Self {
        Self::new(
            "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".registry]\nconfig_path = \"/etc/containerd/certs.d\"\n",
        )
    }

    fn path(&self, registry: &str) -> PathBuf {
        self.root.path().join(CERTS).join(registry).join("hosts.toml")
    }

    fn write(&self, path: &str, content: &str) {
        let path = self.root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn pass(&mut self, entries: Vec<MirrorEntry>) -> Pass {
        self.files.reconcile(&DeclaredMirrors { entries, ..DeclaredMirrors::default() }, Vec::new())
    }

    fn listed(&self) -> Vec<String> {
        self.files.host().names("/etc/containerd/certs.d").unwrap()
    }
}

#[test]
fn files_follow_the_declared_mirrors_and_are_written_only_if_they_differ() {
    let mut node = Node::configured();
    let entries = || vec![digest("a.io", "m.io/a"), never(digest("b.io:5000", "m.io/b"))];
    let pass = node.pass(entries());
    assert!(pass.is_changed && pass.snapshot.applied.is_good(), "{:?}", pass.snapshot.applied);
    assert_eq!((pass.snapshot.sources, node.listed()), (2, vec!["a.io".to_owned(), "b.io:5000".to_owned()]));
    let text = fs::read_to_string(node.path("a.io")).unwrap();
    assert!(text.starts_with(HEADER) && text.contains("https://m.io/v2/a"), "{text}");
    let metadata = fs::metadata(node.path("a.io")).unwrap();
    assert_eq!(metadata.mode() & 0o777, 0o644);

    let again = node.pass(entries());
    assert!(!again.is_changed && again.snapshot.content_hash == pass.snapshot.content_hash);
    assert_eq!(fs::metadata(node.path("a.io")).unwrap().ino(), metadata.ino());

    // An edit by a person does not stay. The agent starts again, with the files on disk as its only state.
    node.write(&format!("{CERTS}/a.io/hosts.toml"), &format!("{HEADER}\nserver = \"https://evil.io\"\n"));
    node.files = ContainerdFiles::new(Host::open(node.root.path()).unwrap(), CONFIG.to_owned());
    assert!(node.pass(entries()).is_changed);
    assert_eq!(fs::read_to_string(node.path("a.io")).unwrap(), text);

    let pass = node.pass(vec![digest("a.io", "m.io/a")]);
    assert!(pass.is_changed && node.listed() == ["a.io"], "the directory of b.io is gone, too: {:?}", node.listed());
    assert!(node.pass(Vec::new()).is_changed && node.listed().is_empty());
    assert!(node.pass(Vec::new()).snapshot.content_hash.is_empty());
}

#[test]
fn files_of_others_are_never_changed() {
    let mut node = Node::configured();
    let foreign = "server = \"https://a.io\"\n[host.\"https://theirs.io\"]\n";
    node.write(&format!("{CERTS}/a.io/hosts.toml"), foreign);
    node.write(&format!("{CERTS}/b.io/ca.crt"), "PEM");
    node.write(&format!("{CERTS}/_default/hosts.toml"), foreign);
    node.write(&format!("{CERTS}/c.io"), "a file");
    node.write("elsewhere/x", "");
    symlink("/elsewhere", node.root.path().join(CERTS).join("d.io")).unwrap();
    let entries = ["a.io", "b.io", "c.io", "d.io"].map(|source| digest(source, "m.io"));
    let pass = node.pass(entries.to_vec());
    assert!(pass.snapshot.applied.is_good(), "{:?}", pass.snapshot.applied);
    let shadowed: Vec<&str> = pass.snapshot.shadowed.iter().map(|shadowed| shadowed.source.as_str()).collect();
    assert_eq!(shadowed, ["a.io", "c.io", "d.io"]);
    assert!(pass.snapshot.warnings.iter().any(|warning| warning.reason == "HidesDefault"));
    assert_eq!(fs::read_to_string(node.path("a.io")).unwrap(), foreign);
    assert!(!node.root.path().join("elsewhere/hosts.toml").exists(), "nothing is written through a link");
    let ours = fs::read_to_string(node.path("b.io")).unwrap();
    assert!(ours.contains("ca = [\"/etc/containerd/certs.d/b.io/ca.crt\"]"), "{ours}");

    node.pass(Vec::new());
    assert!(!node.path("b.io").exists() && node.root.path().join(CERTS).join("b.io/ca.crt").exists());
    assert_eq!(node.listed(), ["_default", "a.io", "b.io", "c.io", "d.io"]);
    assert_eq!(cleanup(node.files.host(), CONFIG).unwrap(), 0);
}

#[test]
fn what_containerd_cannot_do_is_reported_and_the_rest_is_applied() {
    let mut node = Node::configured();
    let pass = node.pass(vec![digest("a.io", "m.io"), tag("b.io", "m.io"), digest("*.c.io", "m.io")]);
    let rejected: Vec<(&str, &str)> =
        pass.snapshot.rejected.iter().map(|entry| (entry.reason.as_str(), entry.origin.as_str())).collect();
    assert_eq!(rejected, [("NotExpressible", "*.c.io"), ("NotExpressible", "b.io")]);
    assert_eq!(node.listed(), ["a.io"]);
}

#[test]
fn without_config_path_nothing_is_written_and_the_message_says_what_to_set() {
    let v3 = "version = 3\nimports = [\"conf.d/*.toml\"]\n[plugins.\"io.containerd.cri.v1.images\".registry]\n";
    for (config, text) in [
        ("", "does not exist"),
        ("version = 2\n", "config_path is not set"),
        (v3, "io.containerd.cri.v1.images"),
        ("version = \n", "failed to parse"),
        ("[plugins.\"io.containerd.grpc.v1.cri\".registry]\nconfig_path = \"certs.d\"\n", "not an absolute path"),
        (
            "version = 3\n[plugins.\"io.containerd.grpc.v1.cri\".registry]\nconfig_path = \"/etc/containerd/certs.d\"\n",
            "a table of containerd 1.x",
        ),
    ] {
        let mut node = Node::new(config);
        let pass = node.pass(vec![digest("a.io", "m.io")]);
        assert_eq!(pass.snapshot.applied.reason, NodeReason::RuntimeNotConfigured, "{config}");
        assert!(pass.snapshot.applied.message.contains(text), "{config}: {}", pass.snapshot.applied.message);
        assert!(!pass.is_changed && !node.root.path().join(CERTS).exists(), "{config}");
    }
    let mut node = Node::new(v3);
    node.write(
        "etc/containerd/conf.d/20.toml",
        "[plugins.\"io.containerd.cri.v1.images\".registry]\nconfig_path = \"/etc/containerd/certs.d:/etc/docker/certs.d\"\n",
    );
    node.write("etc/containerd/conf.d/10.other", "not toml");
    assert!(node.pass(vec![digest("a.io", "m.io")]).snapshot.applied.is_good());
    assert_eq!(node.listed(), ["a.io"]);
}

#[test]
fn a_list_of_directories_is_doubted_where_containerd_takes_it_for_one() {
    let list = "config_path = \"/etc/containerd/certs.d:/etc/docker/certs.d\"\n";
    let (old, new) = ("[plugins.\"io.containerd.grpc.v1.cri\"", "[plugins.\"io.containerd.cri.v1.images\"");
    for (config, is_doubted) in [
        (format!("version = 2\n{old}.registry]\n{list}"), false),
        (format!("version = 3\n{new}.registry]\n{list}"), true),
        (format!("version = 3\n{new}]\nuse_local_image_pull = true\n{new}.registry]\n{list}"), false),
        (format!("version = 3\n{new}]\ndiscard_unpacked_layers = true\n{new}.registry]\n{list}"), false),
        (format!("version = 3\n{new}.registry]\nconfig_path = \"/etc/containerd/certs.d\"\n"), false),
    ] {
        let mut node = Node::new(&config);
        let pass = node.pass(vec![digest("a.io", "m.io")]);
        assert!(pass.snapshot.applied.is_good() && node.listed() == ["a.io"], "{config}");
        let doubts: Vec<&str> = pass
            .snapshot
            .warnings
            .iter()
            .filter(|of| of.reason == "ConfigPathList")
            .map(|of| of.message.as_str())
            .collect();
        assert_eq!(doubts.len(), usize::from(is_doubted), "{config}");
        assert!(doubts.iter().all(|text| text.contains("set config_path = \"/etc/containerd/certs.d\"")), "{doubts:?}");
    }
}

#[test]
fn a_kind_that_vanished_keeps_its_files_and_cleanup_removes_all() {
    let mut node = Node::configured();
    node.pass(vec![digest("a.io", "m.io")]);
    node.write(&format!("{CERTS}/.hypermirror.tmp/hosts.toml"), "incomplete");
    let declared = DeclaredMirrors { unknown_kinds: vec!["ImageDigestMirrorSet"], ..DeclaredMirrors::default() };
    let pass = node.files.reconcile(&declared, Vec::new());
    assert_eq!(pass.snapshot.applied.reason, NodeReason::KindVanished);
    assert!(!pass.is_changed && node.path("a.io").exists());
    assert_eq!(cleanup(node.files.host(), CONFIG).unwrap(), 1);
    assert!(node.listed().is_empty(), "{:?}", node.listed());
}
