use super::*;

fn judgement(content: &[u8]) -> Result<Judgement, ConfigError> {
    judge(Some(("registries.conf", b"")), [("99-test.conf", content)])
}

/// What makes every pull of every image fail, as `containers/image` 5.23 and 5.38 were seen to do.
const FATAL: &[(&str, &[u8])] = &[
    ("01 TOML syntax", b"[[registry]\nlocation = \"a.example\"\n"),
    ("02 mirror without location", b"[[registry]]\nlocation = \"a.example\"\n[[registry.mirror]]\ninsecure = true\n"),
    ("03 mirror at /", b"[[registry]]\nlocation = \"a.example\"\n[[registry.mirror]]\nlocation = \"/\"\n"),
    ("04 scheme", b"[[registry]]\nlocation = \"http://a.example\"\n"),
    ("05 scheme in a prefix", b"[[registry]]\nprefix = \"https://a.example\"\nlocation = \"a.example\"\n"),
    ("05 scheme in a mirror", b"[[registry]]\nlocation = \"a.example\"\n[[registry.mirror]]\nlocation = \"https://m\"\n"),
    (
        "07 unknown pull-from-mirror",
        b"[[registry]]\nlocation = \"a.example\"\n[[registry.mirror]]\nlocation = \"m.example\"\npull-from-mirror = \"never\"\n",
    ),
    ("08 pull-from-mirror on the registry", b"[[registry]]\nlocation = \"a.example\"\npull-from-mirror = \"all\"\n"),
    (
        "09 both ways to say which pulls",
        b"[[registry]]\nlocation = \"a.example\"\nmirror-by-digest-only = true\n[[registry.mirror]]\nlocation = \"m.example\"\npull-from-mirror = \"tag-only\"\n",
    ),
    ("10 neither prefix nor location", b"[[registry]]\nblocked = true\n"),
    ("11 prefix alone", b"[[registry]]\nprefix = \"a.example\"\n"),
    ("12 wildcard with a path", b"[[registry]]\nprefix = \"*.example/x\"\n"),
    ("13 wildcard with a port", b"[[registry]]\nprefix = \"*.example:5000\"\n"),
    ("13 wildcard with a digest", b"[[registry]]\nprefix = \"*.example@x\"\n"),
    (
        "E2 one location, insecure and not",
        b"[[registry]]\nlocation = \"a.example\"\ninsecure = true\n[[registry]]\nprefix = \"b.example\"\nlocation = \"a.example\"\n",
    ),
    (
        "E3 one location, blocked and not",
        b"[[registry]]\nlocation = \"a.example\"\nblocked = true\n[[registry]]\nlocation = \"a.example\"\n",
    ),
    ("14 the old format", b"[registries.search]\nregistries = [\"a.example\"]\n"),
    ("15 a key twice", b"[[registry]]\nlocation = \"a.example\"\nlocation = \"b.example\"\n"),
    ("16 wrong type", b"[[registry]]\nlocation = \"a.example\"\nblocked = \"yes\"\n"),
    ("18 not UTF-8", b"# \xff\n"),
    ("19 byte order mark", b"\xef\xbb\xbf[[registry]]\nlocation = \"a.example\"\n"),
    ("20 NUL", b"# a\0b\n"),
    ("24 cut in a string", b"[[registry]]\nlocation = \"a.exa"),
    ("25 cut after a mirror's header", b"[[registry]]\nlocation = \"a.example\"\n[[registry.mirror]]\n"),
    ("32 bad search registry", b"unqualified-search-registries = [\"https://a.example\"]\n"),
    ("33 bad short-name-mode", b"short-name-mode = \"sometimes\"\n"),
    ("35 bad alias", b"[aliases]\n\"app\" = \"not/full\"\n"),
];

const HARMLESS: &[(&str, &[u8])] = &[
    ("17 unknown keys", b"unknown = 1\n[[registry]]\nlocation = \"a.example\"\nother = \"x\"\n"),
    ("21 empty", b""),
    ("22 comments", b"# nothing\n"),
    ("23 CRLF", b"[[registry]]\r\nlocation = \"a.example\"\r\n"),
    ("34 empty short-name-mode", b"short-name-mode = \"\"\n"),
    ("06 another scheme", b"[[registry]]\nlocation = \"docker://a.example\"\n"),
];

#[test]
fn files_that_break_every_pull_are_errors_and_named() {
    for (name, content) in FATAL {
        let error = judgement(content).expect_err(name);
        assert_eq!((error.file.as_str(), error.is_drop_in), ("99-test.conf", true), "{name}: {error}");
    }
}

#[test]
fn harmless_files_are_accepted() {
    for (name, content) in HARMLESS {
        let judgement = judgement(content).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(judgement.replaced.is_empty(), "{name}");
    }
}

#[test]
fn a_hidden_file_counts_and_another_ending_does_not() {
    let bad: &[u8] = b"[[registry]\n";
    assert!(judge(None, [(".50-x.conf", bad)]).is_err());
    for name in ["50-x.CONF", "50-x.conf.bak", "50-x", "README"] {
        assert!(judge(None, [(name, bad)]).is_ok(), "{name}");
    }
}

#[test]
fn tables_with_failing_pulls_are_named_with_an_example() {
    for (name, mirror, breaks) in [
        ("37 upper case path", "m.example/Upper", true),
        ("38 tag", "m.example/x:tag", true),
        ("41 space", "m.example/a b", true),
        ("L1 host without dot", "mirror/ns", true),
        ("L5 index.docker.io", "index.docker.io", true),
        ("fine", "m.example:5000/x", false),
        ("fine, a host alone", "m.example", false),
        ("fine, localhost", "localhost/x", false),
    ] {
        let content = format!("[[registry]]\nlocation = \"a.example\"\n[[registry.mirror]]\nlocation = \"{mirror}\"\n");
        let judgement = judgement(content.as_bytes()).unwrap();
        assert_eq!(!judgement.broken.is_empty(), breaks, "{name}: {:?}", judgement.broken);
        assert!(judgement.broken.iter().all(|broken| broken.prefix == "a.example" && !broken.error.is_empty()));
    }
}

#[test]
fn a_mirror_without_a_path_breaks_the_pulls_of_a_repository() {
    let content = b"[[registry]]\nlocation = \"a.example/ns/app\"\n[[registry.mirror]]\nlocation = \"m.example\"\n";
    let judgement = judgement(content).unwrap();
    assert_eq!(judgement.broken[0].example, "a.example/ns/app:tag");
}

#[test]
fn a_table_that_a_later_file_replaces_is_reported() {
    let table: &[u8] = b"[[registry]]\nlocation = \"a.example\"\n";
    let judgement = judge(None, [("d/10-a.conf", table), ("d/20-b.conf", table)]).unwrap();
    let [replaced] = judgement.replaced.as_slice() else { panic!("{:?}", judgement.replaced) };
    assert_eq!((replaced.file.as_str(), replaced.by.as_str()), ("d/10-a.conf", "d/20-b.conf"));
}
