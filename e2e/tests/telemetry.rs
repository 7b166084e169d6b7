//! What the manager tells of itself: traces, logs, metrics.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hypermirror_e2e::fleet::manager::ManagerLaunch;
use hypermirror_e2e::fleet::objects::idms;
use hypermirror_e2e::fleet::pods::Pods;
use hypermirror_e2e::fleet::{Fleet, SOON};
use hypermirror_e2e::prometheus::{Prometheus, dashboard_queries};
use hypermirror_e2e::{Crds, Scene, Testbed, endpoint, eventually};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// What every HTTP/2 connection, and so every OTLP exporter, says first (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// After one hosted cluster got its first map.
const SERIES: [&str; 10] = [
    "hypermirror_client_requests_total{verb=\"patch\",resource=\"deployments\",code=\"200\"} 3",
    "hypermirror_target_patches_total{outcome=\"ok\"} 3",
    "hypermirror_reconcile_duration_seconds_count{outcome=\"ok\"}",
    "hypermirror_sources 1",
    "hypermirror_source_conflicts 0",
    "hypermirror_findings{severity=\"Error\"} 0",
    "hypermirror_leader 1",
    "hypermirror_hosted_clusters 1",
    "hypermirror_targets 3",
    "hypermirror_targets_up_to_date 3",
];

#[tokio::test]
async fn reconciles_are_traced_logged_and_counted() -> Result<()> {
    let bed = Testbed::builder().management_kit(Fleet::kit(&Crds::of_the_fleet()?)?).start().await?;
    let fleet = Fleet::of(bed.management()).await?;
    fleet.hosted_cluster("a", &[], "=").await?;
    fleet.apply(&idms("one", &[("s.example", &["m.example/s"], None)])).await?;
    let collector = TcpListener::bind("127.0.0.1:0").await?;
    let manager = ManagerLaunch::new("manager", bed.management().directory())
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{}", collector.local_addr()?))
        .env("OTEL_BSP_SCHEDULE_DELAY", "200")
        .start_ready(bed.management())
        .await?;
    fleet.reads(&["a"], "s.example=m.example/s").await?;
    fleet.condition("a", "Ready", "True", "AsExpected").await?;

    let (mut connection, _) = tokio::time::timeout(SOON, collector.accept()).await.context("no export")??;
    let mut preface = [0; PREFACE.len()];
    connection.read_exact(&mut preface).await?;
    assert_eq!(preface, PREFACE);

    let log = manager.process.log()?;
    for line in log.lines() {
        serde_json::from_str::<serde_json::Value>(line).with_context(|| format!("not JSON: {line}"))?;
    }
    let metrics = eventually(SOON, "every series is there", async || {
        let metrics = endpoint::get(&manager.metrics).await?.body;
        for series in SERIES {
            anyhow::ensure!(metrics.contains(series), "{series} is not in\n{metrics}");
        }
        Ok(Some(metrics))
    })
    .await?;
    assert!(!metrics.contains("clusters-a"), "no object's name is a label");
    Ok(())
}

/// Hosted clusters that change one after another.
const CLUSTERS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prometheus_sees_the_lag_of_a_change_of_the_fleet_and_runs_every_rule_and_query() -> Result<()> {
    let scene = Scene::start().await?;
    let pods = Pods::run(&scene.fleet, Duration::from_millis(700));
    scene.fleet.hosted_clusters(&CLUSTERS, "=").await?;
    pods.available(&scene.fleet, &CLUSTERS).await?;
    let launch = scene.launch("manager").arg("--max-concurrent-rollouts=1");
    let manager = launch.start_ready(scene.management()).await?;
    manager.leads().await?;
    let address = manager.metrics.trim_start_matches("http://").trim_end_matches("/metrics").to_owned();
    let prometheus = Prometheus::start(scene.management().directory(), &[("hypermirror", &address)]).await?;
    prometheus.scrapes(1).await?;
    eventually(SOON, "nothing is pending", async || {
        Ok((prometheus.number("sum(hypermirror_control_planes_pending)").await? == Some(0.0)).then_some(()))
    })
    .await?;

    scene.fleet.apply(&idms("one", &[("s.example", &["m.example/s"], None)])).await?;
    scene.fleet.reads(&CLUSTERS, "s.example=m.example/s").await?;
    eventually(SOON, "nothing is pending any more", async || {
        let durations = "hypermirror_control_plane_update_duration_seconds_count";
        ensure!(prometheus.number(durations).await? == Some(6.0), "not all of them are counted");
        Ok((prometheus.number("hypermirror_targets_pending").await? == Some(0.0)).then_some(()))
    })
    .await?;
    let highest = async |expression: &str| {
        let query = format!("max_over_time({expression}[5m:500ms])");
        prometheus.number(&query).await?.with_context(|| format!("no samples of {expression}"))
    };
    let most = highest("sum(hypermirror_control_planes_pending)").await?;
    let waiting = highest("hypermirror_control_planes_pending{reason=\"RolloutWaiting\"}").await?;
    let (targets, oldest) = (
        highest("hypermirror_targets_pending").await?,
        highest("max(hypermirror_control_planes_pending_seconds)").await?,
    );
    eprintln!(
        "at most {most} hosted clusters pending, {waiting} waiting, {targets} targets, the oldest for {oldest} s"
    );
    assert!((4.0..=6.0).contains(&most) && waiting >= 3.0 && targets >= 12.0, "{most} {waiting} {targets}");
    assert!(oldest > 1.0, "{oldest}: they change one after another");

    for (rule, health) in prometheus.rules().await? {
        assert_eq!(health.trim(), "ok", "{rule}");
    }
    let queries = dashboard_queries()?;
    assert!(queries.len() > 30, "{}", queries.len());
    for query in &queries {
        prometheus.query(&query.expression).await.with_context(|| query.place.clone())?;
    }
    lint(&endpoint::get(&manager.metrics).await?.body).await
}

/// Checks a page by `promtool check metrics`.
async fn lint(page: &str) -> Result<()> {
    let mut promtool = tokio::process::Command::new("promtool");
    let promtool = promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = promtool.kill_on_drop(true).spawn().context("promtool is installed by hack/setup")?;
    child.stdin.take().context("no standard input")?.write_all(page.as_bytes()).await?;
    let ended = child.wait_with_output().await?;
    ensure!(ended.status.success(), "{}\n{page}", String::from_utf8_lossy(&ended.stderr));
    Ok(())
}
