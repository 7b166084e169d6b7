//! The bill of `copy --dry-run`, beside what registries count afterwards.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use http::HeaderName;
use hypermirror_e2e::MockRegistry;
use hypermirror_e2e::mock::{Answer, Area, Change, On, Rule};
use serde_json::{Value, json};

use super::stage::{ART, Stage};

const CARRIED: usize = 40;
const KINDS: [&str; 6] = ["lookups", "manifestReads", "lists", "blobReads", "blobWrites", "manifestWrites"];

/// What a registry was asked, by kind.
fn counted(registry: &MockRegistry) -> BTreeMap<&'static str, u64> {
    let mut counts = BTreeMap::new();
    for line in registry.lines() {
        let is = |method: &str, area: &str| line.starts_with(method) && line.contains(area);
        let kind = if line.starts_with("HEAD ") {
            "lookups"
        } else if line.contains("/blobs/uploads/") {
            "blobWrites"
        } else if is("GET ", "/manifests/") {
            "manifestReads"
        } else if is("GET ", "/blobs/") {
            "blobReads"
        } else if is("PUT ", "/manifests/") {
            "manifestWrites"
        } else {
            "lists"
        };
        *counts.entry(kind).or_default() += 1;
    }
    counts
}

fn cost<'a>(report: &'a Value, host: &str) -> Result<&'a Value> {
    let all = report["registries"].as_array().context("no registries")?;
    all.iter().find(|it| it["registry"] == host).with_context(|| report.to_string())
}

/// The estimate leaves out tokens, repeated requests and mounts that fail; here there are none. What is left is the order of
/// concurrent work, which may save a look-up: a tenth, and two requests where there are few.
fn is_close(estimated: u64, counted: u64) -> bool {
    estimated.abs_diff(counted) <= 2 + counted / 10
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bill_is_what_the_copy_costs_and_names_limits_and_time() -> Result<()> {
    let stage = Stage::set().await?;
    let (source, mirror) = (stage.source.host(), stage.second.host());
    {
        let mut store = stage.second.store();
        store.repository(ART).manifests.clear();
        store.repository(ART).blobs.clear();
    }
    let lines: Vec<String> = (0..CARRIED)
        .map(|number| format!("{}={mirror}/{ART}@{}\n", stage.image(number), stage.images[number].1))
        .collect();
    std::fs::write(stage.input().join("want.txt"), lines.concat())?;
    let header = |name: &'static str, value: &str| Change::Header(HeaderName::from_static(name), value.to_owned());
    let limits = vec![header("ratelimit-limit", "100;w=21600"), header("ratelimit-remaining", "76;w=21600")];
    stage.source.add(Rule::new(On::area(Area::Manifest), Answer::Changed(limits)));
    let copy = ["copy", "--plain-http", "--want", "want.txt"];
    let dry = stage.run_alone(&[&copy[..], &["--dry-run", "-o", "json"]].concat()).await?;
    let bill = dry.json()?;
    ensure!(dry.code == Some(0) && bill.get("seconds").is_none(), "{bill}");
    let quota = &cost(&bill, &source)?["quota"];
    ensure!(quota["remaining"] == 76 && quota["limit"] == 100 && quota["windowSeconds"] == 21_600, "{quota}");
    ensure!(quota["needed"].as_u64().is_some_and(|needed| needed > 76), "{quota}");
    let text = stage.run_alone(&[&copy[..], &["--dry-run"]].concat()).await?.stdout;
    ensure!(text.contains("time: unknown") && text.contains("not enough"), "{text}");

    stage.source.clear_requests();
    stage.second.clear_requests();
    let ran = stage.run_alone(&[&copy[..], &["-o", "json"]].concat()).await?;
    let report = ran.json()?;
    ensure!(ran.code == Some(0), "{ran:?}");
    for (host, registry) in [(&source, &stage.source), (&mirror, &stage.second)] {
        let (estimated, reported) = (&cost(&bill, host)?["requests"], &cost(&report, host)?["requests"]);
        let counted = counted(registry);
        for kind in KINDS {
            let count = counted.get(kind).copied().unwrap_or_default();
            let said = |value: &Value| value[kind].as_u64().unwrap_or_default();
            ensure!(is_close(said(estimated), count), "{host} {kind}: {count}, estimated {estimated}");
            ensure!(said(reported) == count, "{host} {kind}: {count}, reported {reported}");
        }
    }
    ensure!(bill["amount"]["bytes"] == report["amount"]["bytes"], "{bill} {report}");
    ensure!(bill["amount"]["totalBytes"].as_u64() >= bill["amount"]["bytes"].as_u64(), "{bill}");

    // The rate of this copy is good for the next bill.
    std::fs::write(stage.input().join("report.json"), json!({"bytesPerSecond": 1_000}).to_string())?;
    ensure!(report["bytesPerSecond"].as_u64().is_some_and(|rate| rate > 0), "{report}");
    let held = std::mem::take(stage.second.store().repository(ART));
    let rated = [&copy[..], &["--dry-run", "-o", "json", "--rate-from", "report.json"]].concat();
    let rated = stage.run_alone(&rated).await?.json()?;
    let bytes = rated["amount"]["bytes"].as_u64().context("no bytes")?;
    ensure!(rated["seconds"] == bytes.div_ceil(1_000) && bytes > 0, "{rated}");
    ensure!(!held.manifests.is_empty());
    Ok(())
}
