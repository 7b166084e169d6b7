//! How children are started, read and ended, with the shell as the child.

use super::*;

const LIMIT: Duration = Duration::from_secs(10);

fn shell(directory: &tempfile::TempDir, script: &str) -> Launch {
    Launch::new("sh", "/bin/sh", directory.path()).args(["-c", script])
}

#[test]
fn a_field_is_found_beside_the_message_and_below_fields() {
    let flat = r#"{"message":"listening","address":"127.0.0.1:1"}"#;
    let nested = r#"{"level":"INFO","fields":{"message":"listening","port":1}}"#;
    assert_eq!(log_field(flat, "listening", "address").as_deref(), Some("127.0.0.1:1"));
    assert_eq!(log_field(nested, "listening", "port").as_deref(), Some("1"));
    assert_eq!(log_field(flat, "other", "address"), None);
    assert_eq!(log_field("not JSON", "listening", "address"), None);
}

#[tokio::test]
async fn a_logged_address_is_returned_as_soon_as_it_is_logged() {
    let directory = tempfile::tempdir().unwrap();
    let script = r#"echo '{"message":"up","address":"127.0.0.1:7"}'; exec sleep 60"#;
    let mut process = shell(&directory, script).spawn().unwrap();
    assert_eq!(process.wait_for_log_field("up", "address", LIMIT).await.unwrap(), "127.0.0.1:7");
    assert!(!process.stop().await.unwrap().success());
}

#[tokio::test]
async fn a_process_that_ends_instead_of_logging_is_reported_with_its_log() {
    let directory = tempfile::tempdir().unwrap();
    let mut process = shell(&directory, "echo broken >&2; exit 3").spawn().unwrap();
    assert_eq!(process.ended(LIMIT).await.unwrap().code(), Some(3));
    let error = process.wait_for_log_field("up", "address", Duration::from_millis(100)).await.unwrap_err();
    let error = format!("{error:#}");
    assert!(error.contains("broken") && error.contains("it exited (exit status: 3)"), "{error}");
}

#[tokio::test]
async fn a_frozen_process_is_ended_too() {
    let directory = tempfile::tempdir().unwrap();
    let mut process = shell(&directory, "exec sleep 60").spawn().unwrap();
    process.handle().signal(Signal::STOP).unwrap();
    process.stop().await.unwrap();
}

#[tokio::test]
async fn dropping_ends_a_child_and_leaves_a_detached_one() {
    let directory = tempfile::tempdir().unwrap();
    let ids: Vec<u32> = [false, true]
        .map(|detached| shell(&directory, "exec sleep 60").detached(detached).spawn().unwrap().handle().id())
        .to_vec();
    assert!(Handle::open(ids[0]).unwrap().is_none());
    let left = Handle::open(ids[1]).unwrap().expect("the detached child runs on");
    left.terminate().unwrap();
    assert!(left.ended_within(LIMIT).await);
}
