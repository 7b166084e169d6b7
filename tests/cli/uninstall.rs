use super::fixtures::Files;

#[test]
fn without_a_terminal_confirmation_by_flag_is_required() {
    let stderr = Files::new(&[]).run(&["uninstall"]).refused(2);
    assert_eq!(stderr, "error: no terminal to confirm on; use --yes to uninstall without confirmation\n");
}

#[test]
fn it_needs_a_cluster_and_rejects_manifests() {
    let files = Files::new(&[]);
    assert!(files.run(&["uninstall", "--yes"]).refused(1).starts_with("error: no cluster to read"));
    files.run(&["uninstall", "--yes", "-f", "."]).refused(2);
    files.run(&["uninstall", "--yes", "--timeout", "soon"]).refused(2);
    files.run(&["uninstall", "--yes", "--hosted-cluster", "west"]).refused(2);
}
