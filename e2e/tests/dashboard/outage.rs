//! An API server that does not answer.

use anyhow::{Result, ensure};
use hypermirror_e2e::fleet::SOON;
use hypermirror_e2e::{Scene, eventually};

use super::served::Dashboard;

#[tokio::test]
async fn pages_say_that_the_api_server_does_not_answer_and_recover_by_themselves() -> Result<()> {
    let scene = Scene::start().await?;
    scene.fleet.hosted_cluster("a", &[], "=").await?;
    let kubeconfig = scene.management().kubeconfig_path();
    let known = Dashboard::start(&kubeconfig).await?;
    assert_eq!(known.get("/").await?.code, 200);
    let new = Dashboard::start(&kubeconfig).await?;

    scene.management().freeze_api_server().await?;
    let (old, nothing) = tokio::join!(
        eventually(SOON, "the page with old data says so", async || {
            let reply = known.get("/").await?;
            ensure!(reply.code == 200 && reply.body.contains("clusters/</span>a"), "{reply:?}");
            ensure!(reply.body.contains("These data are old."), "{}", reply.body);
            Ok(Some(()))
        }),
        new.get("/")
    );
    scene.management().thaw_api_server()?;
    old?;
    let nothing = nothing?;
    assert!(nothing.code == 502 && nothing.body.contains("Cannot read the current cluster"), "{nothing:?}");
    eventually(SOON, "both show the fleet", async || {
        for dashboard in [&known, &new] {
            let reply = dashboard.get("/").await?;
            ensure!(reply.code == 200 && !reply.body.contains("These data are old."), "{reply:?}");
        }
        Ok(Some(()))
    })
    .await
}
