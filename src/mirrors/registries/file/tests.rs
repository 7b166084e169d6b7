use super::*;

fn drop_in(content: &str) -> Result<RegistriesFile, FileError> {
    RegistriesFile::parse(content.as_bytes(), Role::DropIn)
}

fn message(content: &[u8]) -> String {
    match RegistriesFile::parse(content, Role::DropIn) {
        Ok(file) => panic!("accepted {:?} as {file:?}", String::from_utf8_lossy(content)),
        Err(error) => error.to_string(),
    }
}

/// Each of these makes skopeo and CRI-O refuse the whole configuration, with nearly these words.
const REFUSED: &[(&str, &str)] = &[
    ("[[registry]\nlocation = \"a.io\"\n", "toml: line 1: "),
    ("[[registry]]\nlocation = \"a.i", "toml: line 2: "),
    ("[[registry]]\nlocation = \"a.io\"\n[[registry.mirror]]\n", "invalid condition: mirror location is unset"),
    (
        "[[registry]]\nlocation = \"a.io\"\n[[registry.mirror]]\nlocation = \"/\"\n",
        "invalid condition: mirror location is unset",
    ),
    ("[[registry]]\nlocation = \"http://a.io\"\n", "invalid location 'http://a.io': URI schemes are not supported"),
    (
        "[[registry]]\nprefix = \"https://a.io/\"\nlocation = \"a.io\"\n",
        "invalid location 'https://a.io/': URI schemes are not supported",
    ),
    (
        "[[registry]]\nlocation = \"a.io\"\n[[registry.mirror]]\nlocation = \"https://m.io\"\n",
        "invalid location 'https://m.io': URI schemes are not supported",
    ),
    (
        "[[registry]]\nlocation = \"a.io\"\n[[registry.mirror]]\nlocation = \"m.io\"\npull-from-mirror = \"some\"\n",
        "unsupported pull-from-mirror value \"some\" for mirror \"m.io\"",
    ),
    (
        "[[registry]]\nlocation = \"a.io\"\npull-from-mirror = \"all\"\n",
        "pull-from-mirror must not be set for a non-mirror registry \"a.io\"",
    ),
    (
        "[[registry]]\nlocation = \"a.io\"\nmirror-by-digest-only = true\n[[registry.mirror]]\n\
             location = \"m.io\"\npull-from-mirror = \"all\"\n",
        "cannot set mirror usage mirror-by-digest-only for the registry (\"a.io\") and pull-from-mirror for \
             per-mirror (\"m.io\") at the same time",
    ),
    ("[[registry]]\nblocked = true\n", "invalid condition: both location and prefix are unset"),
    ("[[registry]]\nlocation = \"/\"\n", "invalid condition: both location and prefix are unset"),
    (
        "[[registry]]\nprefix = \"a.io\"\n",
        "invalid condition: location is unset and prefix is not in the format: *.example.com",
    ),
    (
        "[[registry]]\nprefix = \"*.a.io/b\"\n",
        "Wildcarded prefix should be in the format: *.example.com. Current prefix \"*.a.io/b\" is incorrectly \
             formatted",
    ),
    ("[[registry]]\nprefix = \"*.a.io:5\"\nlocation = \"b.io\"\n", "Wildcarded prefix should be in the format"),
    ("[[registry]]\nlocation = \"*.a.io@x\"\n", "Wildcarded prefix should be in the format"),
    (
        "[[registry]]\nlocation = \"a.io\"\n[[registry]]\nlocation = \"a.io/\"\nblocked = true\n",
        "registry 'a.io' is defined multiple times with conflicting 'blocked' setting",
    ),
    (
        "[[registry]]\nlocation = \"a.io\"\ninsecure = true\n[[registry]]\nprefix = \"b.io\"\nlocation = \"a.io\"\n",
        "registry 'a.io' is defined multiple times with conflicting 'insecure' setting",
    ),
    ("[registries.search]\nregistries = [\"a.io\"]\n", "registry must be in v2 format but is in v1"),
    ("[registries.block]\nregistries = []\n", "registry must be in v2 format but is in v1"),
    ("[[registry]]\nlocation = \"a.io\"\nlocation = \"b.io\"\n", "toml: line 3: "),
    (
        "[[registry]]\nlocation = \"a.io\"\nblocked = \"yes\"\n",
        "toml: line 3 (last key \"registry.blocked\"): incompatible types: TOML value has type string; destination \
             has type boolean",
    ),
    ("[[registry]]\nlocation = 1\n", "TOML value has type integer; destination has type string"),
    ("[registry]\nlocation = \"a.io\"\n", "TOML value has type table; destination has type slice"),
    ("registry = [1]\n", "TOML value has type integer; destination has type table"),
    ("unqualified-search-registries = \"a.io\"\n", "TOML value has type string; destination has type slice"),
    ("credential-helpers = [1]\n", "TOML value has type integer; destination has type string"),
    ("aliases = []\n", "TOML value has type array; destination has type table"),
    ("\u{feff}", "toml: line 1: files must not start with a byte-order mark"),
    ("# \n# \0\n", "toml: line 2: files cannot contain NULL bytes"),
    ("unqualified-search-registries = [\"a.io/b\"]\n", "Invalid unqualified-search-registries entry \"a.io/b\""),
    ("unqualified-search-registries = [\"\"]\n", "Invalid unqualified-search-registries entry \"\""),
    ("short-name-mode = \"sometimes\"\n", "invalid short-name mode: \"sometimes\""),
    ("[aliases]\napp = \"app\"\n", "validating short-name aliases: invalid alias \"app = app\""),
    ("[aliases]\n\"a.io/app\" = \"a.io/b\"\n", "validating short-name aliases"),
    ("[aliases]\napp = \"a.io/b:v1\"\n", "validating short-name aliases"),
    // Upper and lower case of one key: Go takes either, by chance.
    ("[[registry]]\nlocation = \"a.io\"\nLocation = \"b.io\"\n", "key \"registry.location\" is set twice"),
];

#[test]
fn content_that_breaks_every_pull_is_refused() {
    for (content, expected) in REFUSED {
        let message = message(content.as_bytes());
        assert!(message.contains(expected), "{content:?}: {message}");
    }
    let message = message(b"# fine\n# \xff\n");
    assert_eq!(message, "toml: line 2: invalid UTF-8 byte: 0xff");
}

/// TOML 1.1, which `github.com/BurntSushi/toml` v1.5 refuses.
#[test]
fn later_toml_is_refused() {
    for content in [
        "x = {a = 1,\nb = 2}",
        "x = {a = 1,}",
        "x = {a.b = 1,\n}",
        "x = [{a = 1}, {\n}]",
        "x = \"\\e\"",
        "x = \"\\x41\"",
        "x = \"\"\"\n\\e\"\"\"",
        "\"\\e\" = 1",
        "x = {\"\\x41\" = 1}",
        "x = 07:32",
        "x = 9223372036854775808",
    ] {
        assert!(message(content.as_bytes()).starts_with("toml: line "), "{content:?}");
    }
    for content in [
        "x = {a = [\n1,\n], b.c = {d = '''\n,}'''}}",
        "x = [\n{a = 1},\n]",
        "x = \"\\\\e\"",
        "x = '\\e'",
        "x = '''\n\\x'''",
        "x = 07:32:00",
        "x = -9223372036854775808",
        "x = 0x7fffffffffffffff",
        "x = 1_000",
    ] {
        assert_eq!(drop_in(content).map(|file| file.tables), Ok(Vec::new()), "{content:?}");
    }
}

#[test]
fn harmless_content_is_accepted() {
    for content in [
        "",
        "# only comments\n",
        "[[registry]]\r\nlocation = \"a.io\"\r\n",
        "short-name-mode = \"\"\n",
        "unknown = 1\n[[registry]]\nlocation = \"a.io\"\nunknown.key = [{}]\n[registry.other]\n",
        "[registries]\n[registries.search]\n",
        "[[registry]]\nlocation = \"docker://a.io\"\n",
        "[[registry]]\nlocation = \"a.io\"\n[[registry.mirror]]\nlocation = \"m.io/A:v1 x\"\n",
        "[[registry]]\nprefix = \"/\"\nlocation = \"a.io\"\n",
        "registry = [{location = \"a.io\", mirror = [{location = \"m.io\"}]}]\n",
        "[aliases]\napp = \"a.io/app\"\nother = \"\"\n\"ns/x\" = \"docker.io/x\"\n",
        "additional-layer-store-auth-helper = \"x\"\n",
    ] {
        assert!(drop_in(content).is_ok(), "{content:?}: {:?}", drop_in(content));
    }
}

#[test]
fn tables_are_normalised() {
    let file = drop_in(
        "unqualified-search-registries = [\"a.io/\", \"b.io:5000\"]\n\
         [[registry]]\nLOCATION = \"a.io/ns//\"\nblocKed = true\n\
         [[registry.mirror]]\nlocation = \"m.io/\"\npull-from-mirror = \"digest-only\"\n\
         [[registry.mirror]]\nlocation = \"n.io\"\ninsecure = true\npull-from-mirror = \"all\"\n\
         [[registry]]\nprefix = \"*.b.io\"\n\
         [[registry]]\nprefix = \"c.io\"\nlocation = \"d.io/c\"\nmirror-by-digest-only = true\n\
         [[registry.mirror]]\nlocation = \"o.io\"\n",
    );
    let mirror = |location: &str, insecure, pull| MirrorTable { location: location.to_owned(), insecure, pull };
    let table = |prefix: &str, location: &str, mirrors| RegistryTable {
        prefix: prefix.to_owned(),
        location: location.to_owned(),
        mirrors,
        ..RegistryTable::default()
    };
    let mirrors = vec![mirror("m.io", false, PullFromMirror::DigestOnly), mirror("n.io", true, PullFromMirror::All)];
    let expected = RegistriesFile {
        tables: vec![
            RegistryTable { blocked: true, ..table("a.io/ns", "a.io/ns", mirrors) },
            table("*.b.io", "", Vec::new()),
            table("c.io", "d.io/c", vec![mirror("o.io", false, PullFromMirror::DigestOnly)]),
        ],
        unqualified_search_registries: Some(vec!["a.io".to_owned(), "b.io:5000".to_owned()]),
        ..RegistriesFile::default()
    };
    assert_eq!(file, Ok(expected));
}

#[test]
fn the_first_table_of_a_prefix_counts() {
    let file = drop_in(
        "[[registry]]\nlocation = \"a.io\"\n[[registry.mirror]]\nlocation = \"m.io\"\n\
         [[registry]]\nprefix = \"a.io\"\nlocation = \"b.io\"\n",
    );
    let file = file.unwrap();
    assert_eq!(file.tables.len(), 1);
    assert_eq!(file.tables[0].mirrors[0].location, "m.io");
    assert_eq!(file.hidden, ["a.io"]);
}

#[test]
fn the_main_file_may_have_the_old_format() {
    let old = "[registries.search]\nregistries = [\"a.io\"]\n[registries.insecure]\nregistries = [\"b.io\", \"c.io/\"]\n\
               [registries.block]\nregistries = [\"c.io\", \"d.io\"]\n";
    let file = RegistriesFile::parse(old.as_bytes(), Role::Main).unwrap();
    let flags: Vec<_> = file.tables.iter().map(|t| (t.prefix.as_str(), t.insecure, t.blocked)).collect();
    assert_eq!(flags, [("c.io", true, true), ("d.io", false, true), ("b.io", true, false)]);
    assert_eq!(file.unqualified_search_registries, Some(vec!["a.io".to_owned()]));

    let mixed = format!("short-name-mode = \"disabled\"\n{old}");
    assert_eq!(RegistriesFile::parse(mixed.as_bytes(), Role::Main), Err(FileError::MixedFormats));
    let schemes = "[registries.block]\nregistries = [\"http://a.io\"]\n";
    assert!(matches!(RegistriesFile::parse(schemes.as_bytes(), Role::Main), Err(FileError::Scheme(_))));
}
