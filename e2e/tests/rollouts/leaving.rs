//! What is ours goes within the budget, too.

use std::time::Duration;

use anyhow::Result;
use hypermirror_e2e::eventually;
use hypermirror_e2e::fleet::TARGETS;
use hypermirror_e2e::fleet::deployments::annotation;
use hypermirror_e2e::fleet::objects::lease;
use serde_json::json;

use super::flights::flights;
use super::stage::{LONG, Stage};

#[tokio::test]
async fn removal_from_the_fleet_stays_within_the_budget_and_is_complete() -> Result<()> {
    let stage = Stage::start(8, Duration::from_millis(100)).await?;
    let (scene, fleet) = (&stage.scene, &stage.scene.fleet);
    let launch = scene.launch("manager").arg("--max-concurrent-rollouts=2").arg("--guest-agent=off");
    let _manager = launch.start_ready(scene.management()).await?;
    stage.edit().await?;
    stage.all_done().await?;
    let mark = scene.audit.mark().await?;
    fleet.merge(&lease(), &json!({"metadata": {"annotations": {"hypermirror.dev/uninstall": "true"}}})).await?;
    eventually(LONG, "the reports are gone", async || Ok(stage.reports().await?.is_empty().then_some(()))).await?;

    fleet.reads(&stage.names(), "=").await?;
    for name in stage.names() {
        for target in TARGETS {
            let deployment = fleet.deployment(name, target).await?;
            for key in ["hypermirror.dev/rollout", "hypermirror.dev/overrides"] {
                assert_eq!(annotation(&deployment, key), None, "{name} {target}");
            }
        }
    }
    let flights = flights(scene, mark).await?;
    assert_eq!((flights.most, flights.patches.len()), (2, 24));
    assert!(flights.left.is_empty());
    Ok(())
}
