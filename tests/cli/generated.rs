use std::path::Path;

use serde_json::Value;

use super::fixtures::{Files, run_as};

#[test]
fn the_crds_are_those_of_the_manifests() {
    let mut all = String::new();
    for side in ["management", "guest"] {
        let crds = Files::new(&[]).run(&["crd", "--for", side]).out();
        let path = format!("{}/manifests/crd/{side}.yaml", env!("CARGO_MANIFEST_DIR"));
        assert_eq!(crds, std::fs::read_to_string(path).unwrap(), "make manifests");
        all += &crds;
    }
    let documents = |text: &str| text.matches("kind: CustomResourceDefinition").count();
    assert_eq!(documents(&Files::new(&[]).run(&["crd"]).out()), documents(&all));
}

#[test]
fn the_patch_of_hypershifts_crd_adds_one_field_to_the_right_version() {
    let patch = Files::new(&[]).run(&["crd", "hostedcluster-patch"]).out();
    let patch: json_patch::Patch = serde_json::from_str(&patch).unwrap();
    let crd = concat!(env!("CARGO_MANIFEST_DIR"), "/e2e/crds/hostedclusters.yaml");
    let mut crd: Value = serde_yaml::from_str(&std::fs::read_to_string(crd).unwrap()).unwrap();
    let before = crd.clone();
    json_patch::patch(&mut crd, &patch).unwrap();
    let field = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/imageMirrorConfigRef";
    assert_eq!(crd.pointer(field).unwrap()["required"], serde_json::json!(["name"]));
    let once = crd.clone();
    json_patch::patch(&mut crd, &patch).unwrap();
    assert_eq!(crd, once);
    let mut other = before;
    other["spec"]["versions"][0]["name"] = "v1".into();
    assert!(json_patch::patch(&mut other, &patch).is_err());
}

#[test]
fn each_shell_has_its_completion() {
    for shell in ["bash", "zsh", "fish"] {
        let script = Files::new(&[]).run(&["completion", shell]).out();
        for word in ["control-plane", "uninstall", "node-pool", "agent-image"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    Files::new(&[]).run(&["completion", "tcsh"]).refused(2);
}

#[test]
fn as_a_plugin_it_speaks_of_kubectl() {
    let files = Files::new(&[]);
    let plugin = files.path().join("kubectl-hypermirror");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_hypermirror"), &plugin).unwrap();
    let help = run_as(Path::new(&plugin), files.path(), &["render", "overrides", "--help"], "").out();
    assert!(help.contains("Usage: kubectl hypermirror render overrides"), "{help}");
}

#[test]
fn the_agents_own_program_has_the_flags_of_the_subcommand() {
    let files = Files::new(&[]);
    let program = Path::new(env!("CARGO_BIN_EXE_hypermirror-agent"));
    let flags = |help: &str| {
        let words = help.split_whitespace().filter(|word| word.starts_with("--")).map(str::to_owned);
        let mut words: Vec<_> = words.filter(|word| !word.starts_with("--version")).collect();
        words.sort();
        words
    };
    for action in [&[][..], &["cleanup"]] {
        let own = run_as(program, files.path(), &[action, &["--help"]].concat(), "").out();
        assert!(own.contains("Usage: hypermirror-agent"), "{own}");
        let subcommand = files.run(&[&["agent"], action, &["--help"]].concat()).out();
        assert_eq!(flags(&own), flags(&subcommand));
    }
    assert!(run_as(program, files.path(), &["--version"], "").out().starts_with("hypermirror-agent "));
    let stderr = run_as(program, files.path(), &[], "").refused(2);
    assert!(stderr.contains("set --node-name or NODE_NAME"), "{stderr}");
}

#[test]
fn bad_usage_is_exit_code_2_and_help_is_none() {
    let files = Files::new(&[]);
    files.run(&["frobnicate"]).refused(2);
    files.run(&["render", "overrides", "-o", "xml"]).refused(2);
    assert!(files.run(&["--help"]).out().contains("Exit codes"));
    assert!(files.run(&["--version"]).out().starts_with("hypermirror "));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    use std::process::{Command, Stdio};
    let mut child = Command::new(env!("CARGO_BIN_EXE_hypermirror"))
        .args(["completion", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

#[test]
fn each_command_has_its_man_page() {
    let files = Files::new(&[]);
    assert_eq!(files.run(&["man", "share/man1"]).out(), "");
    let page = |name: &str| std::fs::read_to_string(files.path().join("share/man1").join(name)).unwrap();
    for name in ["hypermirror.1", "hypermirror-explain.1", "hypermirror-render-node.1", "hypermirror-agent-cleanup.1"] {
        assert!(page(name).contains(concat!("v", env!("CARGO_PKG_VERSION"))), "{name}");
    }
    // Of the program of this name, and not of the command: both are called the same, and have the same flags.
    assert!(page("hypermirror-agent.1").contains("\\-\\-node\\-name"));
    let stderr = files.run(&["man", "/dev/null/pages"]).refused(1);
    assert!(stderr.contains("failed to create /dev/null/pages: "), "{stderr}");
}
