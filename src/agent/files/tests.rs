use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use tempfile::TempDir;

use super::write::{PENDING, TEMPORARY};
use super::*;

struct Root {
    directory: TempDir,
    host: Host,
}

impl Root {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        fs::create_dir_all(directory.path().join("etc/containers/registries.conf.d")).unwrap();
        let host = Host::open(directory.path()).unwrap();
        Self { directory, host }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join("etc/containers/registries.conf.d").join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).unwrap();
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("")).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort_unstable();
        names
    }

    fn own(&self) -> Own {
        self.host.read_all().unwrap().own
    }

    fn set(&self, text: Option<&str>, replaces: bool, mark: bool) -> Result<(), WriteError> {
        let file = text.map_or(FileChange::Remove, |text| FileChange::Write(text.to_owned()));
        self.host.apply(&Change { file, replaces, legacy: Vec::new() }, mark)
    }
}

fn headed(rest: &str) -> String {
    format!("{HEADER}\n{rest}")
}

#[test]
fn a_file_of_the_agent_is_identified_by_its_first_line() {
    let long = format!("{HEADER}{}", "x".repeat(100_000));
    for (content, is_ours) in [
        (headed("x"), true),
        (HEADER.to_owned(), true),
        (String::new(), true),
        (format!("{HEADER}\r\nx"), false),
        (format!("{HEADER} \n"), false),
        (format!("\n{HEADER}\n"), false),
        (format!(" {HEADER}\n"), false),
        (long, false),
        ("y".repeat(100_000), false),
        ("[[registry]]\n".to_owned(), false),
    ] {
        let root = Root::new();
        root.write(DROP_IN, &content);
        let own = root.own();
        assert_eq!(matches!(own, Own::Ours(_)), is_ours, "{content:.60}: {own:?}");
        assert_eq!(matches!(own, Own::Foreign(_)), !is_ours);
    }
}

#[test]
fn links_and_directories_of_the_same_name_are_foreign_and_never_followed() {
    let root = Root::new();
    let target = root.directory.path().join("target");
    fs::write(&target, headed("")).unwrap();
    symlink(&target, root.path(DROP_IN)).unwrap();
    assert!(matches!(root.own(), Own::Foreign(_)));
    fs::remove_file(root.path(DROP_IN)).unwrap();
    fs::create_dir(root.path(DROP_IN)).unwrap();
    assert!(matches!(root.own(), Own::Foreign(_)));
}

#[test]
fn a_file_that_came_meanwhile_is_not_replaced() {
    let root = Root::new();
    root.write(DROP_IN, "somebody's\n");
    root.set(Some(&headed("")), false, false).unwrap_err();
    assert_eq!(fs::read_to_string(root.path(DROP_IN)).unwrap(), "somebody's\n");
}

#[test]
fn files_of_other_owners_are_classified() {
    let root = Root::new();
    root.write("10-a.conf", "a");
    root.write("9-b.conf", "b");
    root.write(".hidden.conf", "h");
    root.write("notes.txt", "n");
    root.write("CAPITAL.CONF", "c");
    root.write("quay.conf", headed("# Source: ImageMirrorDigestSet quay\n"));
    root.write(BOOT_FILE, headed("boot"));
    fs::create_dir(root.path("directory.conf")).unwrap();
    symlink(root.path("directory.conf"), root.path("linked-directory.conf")).unwrap();
    symlink("/nowhere/at/all", root.path("dangling.conf")).unwrap();
    symlink("/etc/containers/elsewhere", root.path("linked.conf")).unwrap();
    fs::write(root.directory.path().join("etc/containers/elsewhere"), "e").unwrap();
    let seen = root.host.read_all().unwrap();
    let names: Vec<_> = seen.foreign.drop_ins.iter().map(|(name, _)| name.rsplit('/').next().unwrap()).collect();
    assert_eq!(
        names,
        [".hidden.conf", "10-a.conf", "9-b.conf", "linked.conf"],
        "an absolute link stays below the root"
    );
    assert_eq!(seen.foreign.boot.as_ref().map(|(_, content)| content.as_slice()), Some(headed("boot").as_bytes()));
    assert_eq!(seen.legacy.iter().map(|legacy| &*legacy.name).collect::<Vec<_>>(), ["quay.conf"]);
    assert!(seen.names_kind("ImageMirrorDigestSet") && !seen.names_kind("ImageMirror"));
    let trouble = |list: &[(String, String)]| {
        list.iter().map(|(file, _)| file.rsplit('/').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    // The link to a directory leads out of this root, by the test's own absolute path: nobody can see its target.
    assert_eq!(trouble(&seen.foreign.doubtful), ["dangling.conf", "linked-directory.conf"]);
    symlink("directory.conf", root.path("z.conf")).unwrap();
    assert_eq!(trouble(&root.host.read_all().unwrap().foreign.unusable), ["z.conf"]);
}

#[test]
fn endless_and_special_files_are_unusable_and_do_not_block() {
    let root = Root::new();
    let large = File::create(root.path("large.conf")).unwrap();
    large.set_len(1 << 40).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, root.path("pipe.conf"), FileType::Fifo, Mode::from_raw_mode(0o644), 0)
        .unwrap();
    let unusable = root.host.read_all().unwrap().foreign.unusable;
    let names: Vec<_> = unusable.iter().map(|(name, _)| name.rsplit('/').next().unwrap()).collect();
    assert_eq!(names, ["large.conf", "pipe.conf"]);
}

#[test]
fn a_write_leaves_one_whole_readable_file_and_the_mark() {
    let root = Root::new();
    root.set(Some(&headed("1")), false, true).unwrap();
    assert_eq!(root.names(), [PENDING, DROP_IN]);
    assert!(root.host.is_pending());
    let mode = fs::metadata(root.path(DROP_IN)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
    root.host.clear_pending().unwrap();
    root.set(Some(&headed("2")), true, false).unwrap();
    assert_eq!(root.own(), Own::Ours(headed("2").into_bytes()));
    root.set(None, true, true).unwrap();
    assert_eq!(root.names(), [PENDING]);
}

#[test]
fn after_a_crash_at_any_step_the_file_is_whole_and_the_reload_is_not_lost() {
    // What each step leaves if the process ends there; the old file is "1", the new one "2".
    for (step, temporary, name) in
        [("marked", None, "1"), ("torn", Some("# Gener"), "1"), ("written", Some("2"), "1"), ("named", None, "2")]
    {
        let root = Root::new();
        root.write(DROP_IN, headed(name));
        root.write(PENDING, "");
        if let Some(content) = temporary {
            root.write(TEMPORARY, content);
        }
        assert!(root.host.is_pending(), "{step}");
        root.host.remove_temporary().unwrap();
        assert_eq!(root.own(), Own::Ours(headed(name).into_bytes()), "{step}");
        assert!(root.host.read_all().unwrap().foreign.drop_ins.is_empty(), "no rest counts as a drop-in");
        root.set(Some(&headed("2")), true, true).unwrap();
        assert_eq!(root.names(), [PENDING, DROP_IN], "{step}");
    }
}

#[test]
fn files_of_the_seed_are_adopted_in_both_directories_and_the_boot_file_stays() {
    let root = Root::new();
    root.write("quay.conf", headed("# Source: ImageMirrorDigestSet quay\n"));
    root.write("zz.conf", headed(""));
    root.write("foreign.conf", "# Generated by somebody\n");
    root.write(BOOT_FILE, headed(""));
    let misspelt = root.directory.path().join("etc/containers/registry.conf.d");
    fs::create_dir(&misspelt).unwrap();
    fs::write(misspelt.join("old.conf"), headed("")).unwrap();
    fs::write(misspelt.join("foreign.conf"), "x").unwrap();
    let legacy = root.host.read_all().unwrap().legacy;
    root.host.apply(&Change { file: FileChange::Write(headed("all")), replaces: false, legacy }, true).unwrap();
    assert_eq!(root.names(), [PENDING, BOOT_FILE, DROP_IN, "foreign.conf"]);
    assert!(!misspelt.join("old.conf").exists() && misspelt.join("foreign.conf").exists());
}

#[test]
fn a_missing_directory_is_made_when_there_is_something_to_write() {
    let root = Root::new();
    fs::remove_dir(root.path("")).unwrap();
    root.set(None, false, true).unwrap();
    assert!(!root.path("").exists());
    root.set(Some(&headed("")), false, true).unwrap();
    assert!(root.path(DROP_IN).exists());
}

/// A file of an older agent may be larger than what is read back.
#[test]
fn a_large_file_with_the_first_line_of_the_agent_can_be_replaced_and_removed() {
    let root = Root::new();
    root.write(DROP_IN, headed(&"x".repeat(LARGEST)));
    let seen = root.host.read_all().unwrap();
    assert!(matches!(&seen.own, Own::Ours(content) if content.len() > LARGEST));
    assert!(seen.names_kind("ImageMirrorDigestSet"), "nobody knows what it does not name");
    root.set(Some(&headed("small")), true, true).unwrap();
    assert_eq!(root.own(), Own::Ours(headed("small").into_bytes()));
    root.write(DROP_IN, headed(&"x".repeat(LARGEST)));
    root.set(None, true, true).unwrap();
    assert_eq!(root.own(), Own::Absent);
    root.write(DROP_IN, "x".repeat(LARGEST + 1));
    assert!(matches!(root.own(), Own::Foreign(_)));
}

#[test]
fn a_drop_in_directory_that_is_a_link_to_nothing_is_an_error_and_no_empty_directory() {
    let root = Root::new();
    fs::remove_dir(root.path("")).unwrap();
    symlink("/nowhere", root.directory.path().join("etc/containers/registries.conf.d")).unwrap();
    let error = root.host.read_all().unwrap_err().to_string();
    assert_eq!(error, "/etc/containers/registries.conf.d is a dangling symbolic link");
    root.set(Some(&headed("")), false, true).unwrap_err();
}
