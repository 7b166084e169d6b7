//! Contents that break a node, as files of others: the agent never makes such a node worse, and says what is wrong. Debian's
//! skopeo judges before and after. The numbers are those of the list that they were measured by.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test program: what goes wrong ends it

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use hypermirror::agent::desired::DeclaredMirrors;
use hypermirror::agent::files::Host;
use hypermirror::agent::node::NodeFile;
use hypermirror::mirrors::registries::DROP_IN;
use hypermirror::mirrors::{Layer, MirrorEntry, Origin, PullBy};
use hypermirror_api::NodeReason;
use tempfile::TempDir;

/// What a content does to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    /// No pull of any image works.
    Fatal,
    /// Fatal, and no node of today thinks so: skopeo is of 2022.
    FatalForOldReaders,
    /// It counts for nothing, or only for pulls that select its table.
    Harmless,
}

use Effect::{Fatal, FatalForOldReaders, Harmless};

const CONTENTS: &[(&str, &[u8], Effect)] = &[
    ("01 syntax", b"[[registry]\n", Fatal),
    ("02 mirror without location", b"[[registry]]\nlocation = \"a.example\"\n[[registry.mirror]]\ninsecure = true\n", Fatal),
    ("03 mirror is a slash", b"[[registry]]\nlocation = \"a.example\"\n[[registry.mirror]]\nlocation = \"/\"\n", Fatal),
    ("04 http", b"[[registry]]\nlocation = \"http://a.example\"\n", Fatal),
    ("05 https", b"[[registry]]\nprefix = \"https://a.example\"\nlocation = \"a.example\"\n", Fatal),
    ("06 docker", b"[[registry]]\nlocation = \"docker://a.example\"\n", Harmless),
    (
        "07 pull-from-mirror",
        b"[[registry]]\nlocation = \"a.example\"\n[[registry.mirror]]\nlocation = \"b.example\"\npull-from-mirror = \"no\"\n",
        Fatal,
    ),
    ("08 pull-from-mirror of the registry", b"[[registry]]\nlocation = \"a.example\"\npull-from-mirror = \"all\"\n", Fatal),
    (
        "09 two usages",
        b"[[registry]]\nlocation = \"a.example\"\nmirror-by-digest-only = true\n\
          [[registry.mirror]]\nlocation = \"b.example\"\npull-from-mirror = \"all\"\n",
        Fatal,
    ),
    ("10 neither", b"[[registry]]\ninsecure = true\n", Fatal),
    ("11 prefix alone", b"[[registry]]\nprefix = \"a.example\"\n", Fatal),
    ("12 wildcard with path", b"[[registry]]\nprefix = \"*.a.example/x\"\n", Fatal),
    ("13 wildcard with port", b"[[registry]]\nprefix = \"*.a.example:5000\"\n", Fatal),
    ("14 v1", b"[registries.search]\nregistries = [\"a.example\"]\n", Fatal),
    ("15 key twice", b"[[registry]]\nlocation = \"a.example\"\nlocation = \"b.example\"\n", Fatal),
    ("16 wrong type", b"[[registry]]\nlocation = \"a.example\"\nblocked = \"yes\"\n", Fatal),
    ("17 unknown key", b"colour = \"blue\"\n[[registry]]\nlocation = \"a.example\"\nshade = 1\n", Harmless),
    ("18 not UTF-8", b"# \xff\n", Fatal),
    ("19 byte-order mark", b"\xef\xbb\xbf[[registry]]\nlocation = \"a.example\"\n", Fatal),
    ("20 NUL", b"# \0\n", Fatal),
    ("21 empty", b"", Harmless),
    ("22 comments", b"# nothing\n", Harmless),
    ("23 CRLF", b"[[registry]]\r\nlocation = \"a.example\"\r\n", Harmless),
    ("24 cut in a string", b"[[registry]]\nlocation = \"a.exa", Fatal),
    ("25 cut after a table's head", b"[[registry]]\nlocation = \"a.example\"\n[[registry.mirror]]\n", Fatal),
    ("32 search registries", b"unqualified-search-registries = [\"https://a.example\"]\n", Fatal),
    ("33 short-name-mode", b"short-name-mode = \"sometimes\"\n", Fatal),
    ("34 empty short-name-mode", b"short-name-mode = \"\"\n", Harmless),
    ("35 alias", b"[aliases]\n\"a.example/x\" = \"y\"\n", Fatal),
    ("36 search registries, none", b"unqualified-search-registries = []\n", Harmless),
    ("37 upper case in a mirror", b"[[registry]]\nlocation = \"a.example\"\n[[registry.mirror]]\nlocation = \"b.example/UP\"\n", Harmless),
    ("38 tag in a mirror", b"[[registry]]\nlocation = \"a.example\"\n[[registry.mirror]]\nlocation = \"b.example/x:v1\"\n", Harmless),
    ("39 slash at the end", b"[[registry]]\nlocation = \"a.example\"\n[[registry.mirror]]\nlocation = \"b.example/x/\"\n", Harmless),
    ("40 two tables of one prefix", b"[[registry]]\nlocation = \"a.example\"\n[[registry]]\nlocation = \"a.example\"\n", Harmless),
    ("41 space", b"[[registry]]\nlocation = \"a.example\"\n[[registry.mirror]]\nlocation = \"b .example\"\n", Harmless),
    ("42 credential helper", b"credential-helpers = [\"not-installed\"]\n", Harmless),
    ("E2 insecure twice", b"[[registry]]\nlocation = \"a.example\"\n[[registry]]\nlocation = \"a.example\"\ninsecure = true\n", Fatal),
    (
        "E3 blocked under two prefixes",
        b"[[registry]]\nprefix = \"x.example\"\nlocation = \"a.example\"\n\
          [[registry]]\nprefix = \"y.example\"\nlocation = \"a.example\"\nblocked = true\n",
        Fatal,
    ),
];

/// Not contents but what stands under a name.
const PLACES: &[(&str, Effect)] = &[
    ("26 hidden file", Fatal),
    ("27 other name", Harmless),
    ("28 directory", Harmless),
    ("29 dangling link", FatalForOldReaders),
    ("30 link to a file", Fatal),
    ("31 link to a directory", Fatal),
];

const BROKEN: &[u8] = b"[[registry]\n";

/// A node whose file system is also a home that skopeo reads its configuration from.
struct Node {
    root: TempDir,
    file: NodeFile,
}

impl Node {
    fn new() -> Self {
        let root = TempDir::new().unwrap();
        fs::create_dir_all(root.path().join("etc/containers/registries.conf.d")).unwrap();
        fs::write(root.path().join("etc/containers/registries.conf"), "").unwrap();
        fs::create_dir(root.path().join(".config")).unwrap();
        symlink("../etc/containers", root.path().join(".config/containers")).unwrap();
        let file = NodeFile::new(Host::open(root.path()).unwrap(), false);
        Self { root, file }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.root.path().join("etc/containers/registries.conf.d").join(name)
    }

    fn place(&self, place: &str, prefix: &str) -> String {
        let name = format!("{prefix}-x.conf");
        match place.get(..2) {
            Some("26") => {
                fs::write(self.path(".x.conf"), BROKEN).unwrap();
                return ".x.conf".to_owned();
            }
            Some("27") => fs::write(self.path("x.CONF"), BROKEN).unwrap(),
            Some("28") => fs::create_dir(self.path(&name)).unwrap(),
            Some("29") => symlink("nowhere", self.path(&name)).unwrap(),
            Some("30") => {
                fs::write(self.path("target"), BROKEN).unwrap();
                symlink("target", self.path(&name)).unwrap();
            }
            _ => {
                fs::create_dir(self.path("d")).unwrap();
                symlink("d", self.path(&name)).unwrap();
            }
        }
        name
    }

    fn reconcile(&mut self, mirror: &str) -> (NodeReason, String) {
        let snapshot = self.file.reconcile(&declared(mirror), Vec::new()).snapshot;
        (snapshot.applied.reason, snapshot.applied.message)
    }

    fn ours(&self) -> Option<String> {
        fs::read_to_string(self.path(DROP_IN)).ok()
    }

    /// What skopeo tries for an image that nobody's table is about; nothing if the configuration is unusable.
    fn tried(&self) -> Vec<String> {
        skopeo(self.root.path(), "127.0.0.1:1/other/app:v1")
    }
}

fn declared(mirror: &str) -> DeclaredMirrors {
    let origin = Origin {
        kind: "NodeMirrorSet".to_owned(),
        namespace: None,
        name: "cluster".to_owned(),
        key: None,
        document: None,
        index: 0,
        layer: Layer::HostedCluster,
    };
    let entry = MirrorEntry {
        pull_by: PullBy::Digest,
        source: "quay.example".to_owned(),
        mirrors: vec![mirror.to_owned()],
        policy: None,
        insecure: false,
        list: "spec.digestMirrors",
        origin,
    };
    DeclaredMirrors { entries: vec![entry], ..DeclaredMirrors::default() }
}

fn skopeo(home: &Path, image: &str) -> Vec<String> {
    let output = Command::new("skopeo")
        .args(["--debug", "inspect", "--raw", &format!("docker://{image}")])
        .env_clear()
        .env("HOME", home)
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .output()
        .expect("skopeo does not start: apt-get install skopeo, or make test, which installs it");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let tried = text.lines().filter_map(|line| Some(line.split_once("Trying to access \\\"")?.1.split_once("\\\"")?.0));
    tried.map(str::to_owned).collect()
}

/// The node's file is there already, then the content comes, then an edit.
fn check(what: &str, effect: Effect, prefix: &str, put: impl Fn(&Node) -> String) {
    let mut node = Node::new();
    assert_eq!(node.reconcile("m.example/old").0, NodeReason::AsExpected);
    let old = node.ours();
    let name = put(&node);
    let before = node.tried();
    assert_eq!(before.is_empty(), effect != Harmless, "{what} at {prefix}: skopeo tried {before:?}");
    let (reason, message) = node.reconcile("m.example/new");
    if effect == Fatal {
        assert_eq!(reason, NodeReason::ForeignFileInvalid, "{what} at {prefix}: {message}");
        assert!(message.contains(&name), "{what} at {prefix}: {message}");
        assert_eq!(node.ours(), old, "{what} at {prefix}: the last good file stays");
    } else {
        assert_eq!(reason, NodeReason::AsExpected, "{what} at {prefix}: {message}");
        assert!(node.ours().is_some_and(|ours| ours.contains("m.example/new")), "{what} at {prefix}");
    }
    assert_eq!(node.tried(), before, "{what} at {prefix}: the same as before for an image that is nobody's");
}

#[test]
fn no_content_of_another_file_makes_the_agent_harm_a_node() {
    for prefix in ["10", "90"] {
        for (what, content, effect) in CONTENTS {
            check(what, *effect, prefix, |node| {
                let name = format!("{prefix}-x.conf");
                fs::write(node.path(&name), content).unwrap();
                name
            });
        }
        for (place, effect) in PLACES {
            check(place, *effect, prefix, |node| node.place(place, prefix));
        }
    }
    assert_eq!(CONTENTS.len() + PLACES.len(), 44, "42, and two that are known by letters");
}

#[test]
fn the_main_file_is_checked_too() {
    for (what, content, effect) in CONTENTS.iter().filter(|(what, ..)| !what.starts_with("14")) {
        let mut node = Node::new();
        fs::write(node.root.path().join("etc/containers/registries.conf"), content).unwrap();
        let reason = node.reconcile("m.example/new").0;
        let expected = if *effect == Fatal { NodeReason::ForeignFileInvalid } else { NodeReason::AsExpected };
        assert_eq!((reason, node.ours().is_none()), (expected, *effect == Fatal), "{what}");
    }
}
