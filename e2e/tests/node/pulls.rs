//! Pulls: which registry CRI-O asks, and when that changes.

use anyhow::Result;
use hypermirror_e2e::{eventually, needs_node, process::Signal};

use super::{DropIn, LIMIT, Served, reload, shared};

#[tokio::test]
async fn a_pull_follows_a_drop_in_after_a_reload_and_not_before() -> Result<()> {
    needs_node!();
    let (_, node) = shared().await?;
    let source = Served::start("ns/follow:v1").await?;
    let mirror = Served::start("copy/follow:v1").await?;
    let (source_host, mirror_host) = (source.registry.host(), mirror.registry.host());
    let reference = format!("{source_host}/ns/follow:v1");
    let crictl = node.crictl();

    assert_eq!(crictl.pull(&reference).await?, source.id);
    let drop_in = DropIn::write(node, "follow.conf", &format!("{source_host}/ns"), &[&format!("{mirror_host}/copy")])?;
    assert_eq!(crictl.pull(&reference).await?, source.id);

    reload(node).await?;
    let mark = node.mark()?;
    assert_eq!(crictl.pull(&reference).await?, mirror.id);
    assert_eq!(node.tried_since(mark)?, [format!("{mirror_host}/copy/follow:v1")]);
    crictl.remove_image(&reference).await?;

    drop(drop_in);
    reload(node).await?;
    assert_eq!(crictl.pull(&reference).await?, source.id);
    Ok(())
}

#[tokio::test]
async fn a_node_of_its_own_can_be_hung_killed_and_restarted() -> Result<()> {
    needs_node!();
    let (bed, node) = super::end::own("hung").await?;
    let image = Served::start("ns/hung:v1").await?;
    let reference = format!("{}/ns/hung:v1", image.registry.host());

    node.freeze_crio(true).await?;
    let hung = node.crictl().try_run(&["--timeout", "1s", "version"]).await?;
    assert!(!hung.success, "{hung:?}");
    node.freeze_crio(false).await?;
    node.crio_answers().await?;

    let before = node.crio_id().await?;
    node.restart_crio().await?;
    assert_ne!(node.crio_id().await?, before);
    assert_eq!(node.crictl().pull(&reference).await?, image.id);

    node.end_crio(Signal::KILL).await?;
    assert!(node.crio_id().await.is_err());
    // The socket of the killed one is still there: only an answer counts.
    assert!(node.socket().exists());
    node.start_crio().await?;
    node.crio_answers().await?;
    node.crictl().pull(&reference).await?;
    drop(node);
    drop(bed);
    Ok(())
}

#[tokio::test]
async fn root_without_any_capability_may_make_crio_reload() -> Result<()> {
    needs_node!();
    let (_, node) = shared().await?;
    let mark = node.mark()?;
    let script = format!("kill -HUP {}", node.crio_id_inside().await?);
    let args = ["--bounding-set=-all", "--inh-caps=-all", "--no-new-privs", "/bin/sh", "-c", &script];
    let outcome = node.run("setpriv", &args).await?;
    assert!(outcome.success, "{outcome:?}");
    eventually(LIMIT, "CRI-O reloads", async || {
        Ok(node.logged_since(mark)?.contains("Applied new registry configuration").then_some(()))
    })
    .await
}
