//! Whatever a manifest holds, no control character of it reaches a terminal.

use super::fixtures::{Files, Ran};

/// What sets a title, clears a screen, writes a clipboard, turns a text round, or ends a line.
const HOSTILE: [(&str, &str); 7] = [
    ("\\e]0;PWNED\\a\\e[2J", "title"),
    ("\\x9b2J\\x9d0;x\\x9c", "c1"),
    ("\\u202eevil\\u2066", "bidi"),
    ("a\\u2028b\\u2029c", "separators"),
    ("\\x7f\\x08\\r", "delete"),
    ("\\u061c\\u200e\\u200f", "marks"),
    ("x\\n0 errors, 0 warnings", "line"),
];

/// Each text at each place: kinds, names, fields, values, keys and texts of ConfigMaps, conditions of reports.
fn manifests(text: &str) -> String {
    let idms = format!("kind: \\\"{}\\\"", text.replace('\\', "\\\\\\\\"));
    format!(
        "apiVersion: config.openshift.io/v1
kind: ImageDigestMirrorSet
metadata: {{name: \"n{text}\"}}
spec:
  \"field{text}\": 1
  imageDigestMirrors:
  - {{source: \"s.example/{text}\", mirrors: [\"m.example/{text}\"], mirrorSourcePolicy: \"p{text}\", \"f{text}\": 1}}
  - {{source: s.example/x, mirrors: [m.example/x]}}
---
apiVersion: v1
kind: \"Kind{text}\"
---
apiVersion: hypershift.openshift.io/v1beta1
kind: HostedCluster
metadata:
  name: \"c\"
  namespace: n
  annotations:
    hypermirror.dev/management-mirrors: \"v{text}\"
    hypermirror.dev/node-delivery: \"d{text}\"
    hypermirror.dev/image-mirror-config-ref: m
spec:
  imageContentSources: [{{source: \"s{text}\", mirrors: [\"m{text}\"]}}]
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: m, namespace: n}}
data:
  idms.yaml: \"{idms}\"
  \"key{text}\": x
---
apiVersion: hypermirror.dev/v1alpha1
kind: HostedClusterMirrors
metadata: {{name: \"c\", namespace: n}}
spec: {{}}
status:
  conditions:
  - {{type: Ready, status: \"False\", reason: WriteFailed, message: \"m{text}\", lastTransitionTime: \"2026-01-01T00:00:00Z\"}}
  - {{type: GuestSynced, status: \"False\", reason: PushFailed, message: \"g{text}\", lastTransitionTime: \"2026-01-01T00:00:00Z\"}}
  findings: [{{severity: \"E{text}\", reason: r, origin: \"o{text}\", message: \"f{text}\"}}]
"
    )
}

fn assert_clean(run: &Ran, what: &str) {
    for text in [&run.stdout, &run.stderr] {
        let bad =
            text.chars().find(|letter| hypermirror::printable::is_control(*letter) && !matches!(letter, '\n' | '\t'));
        assert_eq!(bad, None, "{what}: {text:?}");
    }
    assert!(run.code < 3, "{what}: {}", run.stderr);
}

const COMMANDS: [&[&str]; 14] = [
    &["check"],
    &["check", "-o", "json"],
    &["check", "-o", "yaml"],
    &["status"],
    &["status", "-o", "json"],
    &["status", "-o", "yaml"],
    &["diff"],
    &["diff", "-o", "yaml"],
    &["render", "overrides"],
    &["render", "overrides", "-o", "yaml"],
    &["render", "node"],
    &["render", "guest"],
    &["migrate"],
    &["explain", "s.example/x@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"],
];

#[test]
fn no_command_hands_a_control_character_of_a_manifest_to_the_terminal() {
    for (text, name) in HOSTILE {
        let files = Files::new(&[("m.yaml", &manifests(text))]);
        for command in COMMANDS {
            let run = files.run(&[command, &["-f", "m.yaml"]].concat());
            assert_clean(&run, &format!("{name}, {command:?}"));
        }
        let run = files.run(&["check", "-f", "m.yaml"]);
        assert!(run.stdout.contains("PushFailed"), "the input is read: {}", run.stderr);
        let forged = run.stdout.lines().chain(run.stderr.lines()).filter(|line| line.starts_with("0 errors"));
        assert_eq!(forged.count(), 0, "{name}");
    }
}

#[test]
fn no_text_that_does_not_parse_and_no_argument_does_either() {
    let hostile = "\u{202e}\u{9b}2J";
    let texts = [
        format!("kind: [{hostile}"),
        format!("{hostile}: {{{{ x }}}}"),
        format!("- {hostile}\n- b"),
        format!("\"{hostile}\""),
    ];
    for text in &texts {
        let files = Files::new(&[("m.yaml", text)]);
        assert_clean(&files.run(&["check", "-f", "m.yaml"]), text);
        assert_clean(&files.run(&["explain", "a", "--registries-conf", "m.yaml"]), text);
    }
    let files = Files::new(&[]);
    let argument = format!("{hostile}\u{1b}[2J");
    for arguments in [
        ["explain", argument.as_str(), "--registries-conf-dir", "."],
        ["check", "-f", argument.as_str(), "--context=x"],
        ["check", argument.as_str(), "-f", "."],
        ["check", "-f", ".", "--hosted-cluster-selector=x\u{1b}[2J"],
    ] {
        assert_clean(&files.run(&arguments), &format!("{arguments:?}"));
    }
}

#[test]
fn json_and_yaml_have_the_values_of_the_manifest() {
    let set = "apiVersion: config.openshift.io/v1\nkind: ImageDigestMirrorSet\nmetadata: {name: a}\nspec:\n  imageDigestMirrors:\n  - {source: \"s\\u202e\\x9b\", mirrors: []}\n";
    let files = Files::new(&[("m.yaml", set)]);
    for format in ["json", "yaml"] {
        let run = files.run(&["check", "-f", "m.yaml", "-o", format]);
        let rows: serde_json::Value = serde_yaml::from_str(&run.stdout).unwrap();
        assert_eq!(rows[0]["value"], "s\u{202e}\u{9b}", "{format}: {}", run.stdout);
    }
}
