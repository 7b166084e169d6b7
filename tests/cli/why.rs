//! The arguments of `why`. Pods are explained in the scenarios.

use super::fixtures::Files;

#[test]
fn calls_that_nobody_means_are_bad_usage() {
    let files = Files::new(&[]);
    for arguments in [
        &["why"][..],
        &["why", "../secrets"],
        &["why", "a/b"],
        &["why", "web", "-n", "a/b"],
        &["why", "web", "--hosted-cluster", "west"],
    ] {
        files.run(arguments).refused(2);
    }
    let message = files.run(&["why", "web"]).refused(3);
    assert!(message.contains("no cluster is configured") && message.lines().count() == 1, "{message}");
}

#[test]
fn data_follows_the_committed_schema() {
    let schema = Files::new(&[]).run(&["why", "--schema"]).out();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/why.schema.json");
    assert_eq!(schema, std::fs::read_to_string(path).unwrap(), "make manifests");
}
