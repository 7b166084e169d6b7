//! What stock operators are asked to do restarts pods, too.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Result;
use hypermirror_e2e::audit::Event;
use hypermirror_e2e::fleet::{NAMESPACE, TARGETS, deployments};

use super::flights::flights;
use super::stage::Stage;

#[tokio::test]
async fn stock_operators_are_triggered_within_the_budget_and_after_the_mark_was_written() -> Result<()> {
    let stage = Stage::start(3, Duration::from_millis(100)).await?;
    let (scene, fleet) = (&stage.scene, &stage.scene.fleet);
    // As the operators of stock HyperShift leave their Deployments.
    for name in stage.names() {
        for target in TARGETS {
            let parent = target == TARGETS[0];
            let manager = if parent { "hypershift-operator-manager" } else { "hypershift-controlplane-manager" };
            fleet.apply_as(manager, &deployments::target(name, target, Some("="), "=")).await?;
        }
    }
    let launch = scene.launch("manager").arg("--max-concurrent-rollouts=1").arg("--handover=1s");
    let manager = launch.start_ready(scene.management()).await?;
    manager.leads().await?;
    let mark = scene.audit.mark().await?;
    stage.edit().await?;
    stage.all_done().await?;

    assert_eq!(flights(scene, mark).await?.most, 1);
    let writes = scene.writes(mark).await?;
    let of = |cluster: &str, write: &Event| match write.resource.as_str() {
        "hostedclusters" => write.namespace == NAMESPACE && write.name == cluster,
        "deployments" => write.namespace == deployments::namespace(cluster),
        _ => false,
    };
    let mut order = Vec::new();
    for name in stage.names() {
        let mine: Vec<&Event> = writes.iter().filter(|write| of(name, write)).collect();
        let touch = mine.iter().position(|write| write.resource == "hostedclusters").expect("a touch");
        let marked = mine[..touch].iter().any(|write| {
            let patch = write.request_object.as_ref().map(ToString::to_string).unwrap_or_default();
            write.name == TARGETS[0] && patch.contains("hypermirror.dev~1rollout") && !patch.contains("/spec/")
        });
        assert!(marked, "{name} was asked before it was counted: {mine:#?}");
        order.extend(mine.iter().map(|write| (write.received, name)));
    }
    // One hosted cluster after the other: no write of one lies between two of another.
    order.sort_unstable();
    let mut names: Vec<&str> = order.into_iter().map(|(_, name)| name).collect();
    names.dedup();
    assert_eq!(names.len(), names.iter().collect::<BTreeSet<_>>().len(), "{names:?}");
    Ok(())
}
