use super::*;

fn load<'f>(main: &'f str, drop_ins: &[(&'f str, &'f str)]) -> Result<RegistriesConfig, ConfigError> {
    let drop_ins = drop_ins.iter().map(|(name, content)| (*name, content.as_bytes()));
    RegistriesConfig::load(Some(("registries.conf", main.as_bytes())), drop_ins)
}

fn table(prefix: &str, mirror: &str) -> String {
    format!("[[registry]]\nlocation = {prefix:?}\n[[registry.mirror]]\nlocation = {mirror:?}\n")
}

fn file(content: &str) -> RegistriesFile {
    RegistriesFile::parse(content.as_bytes(), Role::DropIn).unwrap()
}

fn names(config: &RegistriesConfig) -> Vec<&str> {
    config.files().map(|(name, _)| name).collect()
}

#[test]
fn a_later_file_replaces_tables_whole() {
    let base = format!("{}[[registry]]\nlocation = \"b.io\"\nblocked = true\n", table("a.io", "m.io"));
    let (first, second) = (table("a.io", "n.io"), "[[registry]]\nprefix = \"b.io\"\nlocation = \"c.io\"\n");
    let config = load(&base, &[("20-b.conf", second), ("10-a.conf", &first)]).unwrap();
    let found = config.find("a.io/app").unwrap();
    assert_eq!((found.file.as_str(), found.table.mirrors[0].location.as_str()), ("10-a.conf", "n.io"));
    let found = config.find("b.io/app").unwrap();
    assert_eq!((found.file.as_str(), found.table.blocked, found.table.location.as_str()), ("20-b.conf", false, "c.io"));
    let replaced = |prefix: &str, by: &str| Replaced {
        prefix: prefix.to_owned(),
        file: "registries.conf".to_owned(),
        by: by.to_owned(),
    };
    assert_eq!(config.replaced(), [replaced("a.io", "10-a.conf"), replaced("b.io", "20-b.conf")]);
    assert_eq!(config.find("c.io/app"), None);
}

#[test]
fn drop_ins_come_in_byte_order_and_only_conf_files_count() {
    let names_in = ["a.conf", "Z.conf", "9-a.conf", "10-a.conf", ".50-x.conf", "b.CONF", "c.conf.bak", "d", "é.conf"];
    let config = load("", &names_in.map(|name| (name, ""))).unwrap();
    let expected = ["registries.conf", ".50-x.conf", "10-a.conf", "9-a.conf", "Z.conf", "a.conf", "é.conf"];
    assert_eq!(names(&config), expected);
}

#[test]
fn directories_count_in_the_order_in_which_they_are_named() {
    let config = load("", &[("/sys/9.conf", ""), ("/usr/1.conf", ""), ("/sys/1.conf", "")]).unwrap();
    assert_eq!(names(&config), ["registries.conf", "/sys/1.conf", "/sys/9.conf", "/usr/1.conf"]);
}

#[test]
fn a_further_drop_in_is_ordered_by_name() {
    let config = load("", &[("/sys/10.conf", ""), ("/sys/99.conf", ""), ("/usr/10.conf", "")]).unwrap();
    let with = |name: &str| {
        let config = config.with_drop_in(name, RegistriesFile::default());
        names(&config).iter().position(|known| *known == name).unwrap()
    };
    assert_eq!(with("/sys/50.conf"), 2);
    assert_eq!(with("50.conf"), 2);
    assert_eq!(with("/sys/999.conf"), 3);
    assert_eq!(with("/usr/50.conf"), 4);
    assert_eq!(with("/other/50.conf"), 1);
    assert_eq!(with("/sys/10.conf"), 1);
    assert_eq!(names(&RegistriesConfig::default().with_drop_in("50.conf", RegistriesFile::default())), ["50.conf"]);
    let main_only = load("", &[]).unwrap().with_drop_in("50.conf", RegistriesFile::default());
    assert_eq!(names(&main_only), ["registries.conf", "50.conf"]);
}

#[test]
fn a_drop_in_of_the_same_name_is_replaced() {
    let old = table("a.io", "m.io");
    let config = load("", &[("50.conf", &old)]).unwrap();
    let config = config.with_drop_in("50.conf", file(&table("b.io", "n.io")));
    assert_eq!(config.tables().map(|loaded| loaded.table.prefix.as_str()).collect::<Vec<_>>(), ["b.io"]);
    assert_eq!(config.replaced(), []);
}

#[test]
fn top_level_keys_are_replaced_if_present() {
    let base = "unqualified-search-registries = [\"a.io\"]\ncredential-helpers = [\"x\"]\nshort-name-mode = \"enforcing\"\n\
                [aliases]\napp = \"a.io/app\"\nweb = \"a.io/web\"\n";
    let config = load(base, &[("1.conf", "short-name-mode = \"\"\n")]).unwrap();
    assert_eq!(config.unqualified_search_registries(), Some(&["a.io".to_owned()][..]));
    assert_eq!(config.short_name_mode(), Some("enforcing"));
    let later = "unqualified-search-registries = []\nshort-name-mode = \"disabled\"\n[aliases]\napp = \"\"\n";
    let config = load(base, &[("1.conf", later)]).unwrap();
    assert_eq!(config.unqualified_search_registries(), Some(&[][..]));
    assert_eq!(config.credential_helpers(), Some(&["x".to_owned()][..]));
    assert_eq!(config.short_name_mode(), Some("disabled"));
    assert_eq!((config.alias("app"), config.alias("web"), config.alias("none")), (None, Some("a.io/web"), None));
}

#[test]
fn an_error_names_the_file() {
    let error = load("", &[("10-a.conf", ""), ("20-b.conf", "[[registry]]\n")]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "loading drop-in registries configuration \"20-b.conf\": invalid condition: both location and prefix are unset"
    );
    let error = load("[[registry]]\n", &[]).unwrap_err();
    assert!(error.to_string().starts_with("loading registries configuration \"registries.conf\": "), "{error}");
}

/// `FindRegistry`: contradictions between files are none, an equally long wildcard wins, ports and digests end a
/// prefix.
#[test]
fn the_longest_prefix_is_found() {
    let base = "[[registry]]\nprefix = \"*.example.test\"\n[[registry]]\nlocation = \"a.example.test\"\n\
                [[registry]]\nlocation = \"b.io\"\n[[registry]]\nlocation = \"b.io/ns\"\nblocked = true\n";
    let config = load(base, &[]).unwrap();
    let find = |name| config.find(name).map(|found| found.table.prefix.as_str());
    for (name, expected) in [
        ("a.example.test/app", Some("*.example.test")),
        ("example.test/app", None),
        ("b.io/app", Some("b.io")),
        ("b.io:5000/app", Some("b.io")),
        ("b.io/ns", Some("b.io/ns")),
        ("b.io/ns/app", Some("b.io/ns")),
        ("b.io/nsx", Some("b.io")),
        ("b.iox/app", None),
        ("*.example.test", Some("*.example.test")),
    ] {
        assert_eq!(find(name), expected, "{name}");
    }
}
