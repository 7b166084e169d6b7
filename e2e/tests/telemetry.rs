//! What the manager tells of itself: traces, logs, metrics.

use anyhow::{Context as _, Result};
use hypermirror_e2e::fleet::manager::ManagerLaunch;
use hypermirror_e2e::fleet::objects::idms;
use hypermirror_e2e::fleet::{Fleet, SOON};
use hypermirror_e2e::{Crds, Testbed, endpoint, eventually};
use tokio::io::AsyncReadExt as _;
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
    let bed = Testbed::builder().start().await?;
    let fleet = Fleet::install(bed.management(), &Crds::of_the_fleet()?).await?;
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
