//! The stand-ins of guest clusters that benchmarks use get the same requests as real ones, and the same reports.

use std::collections::HashSet;

use anyhow::{Context as _, Result, ensure};
use hypermirror_e2e::audit::Event;
use hypermirror_e2e::fleet::SOON;
use hypermirror_e2e::fleet::objects::Entry;
use hypermirror_e2e::stub_guests::StubGuests;
use hypermirror_e2e::{Audit, audit::Mark, eventually};
use serde_json::Value;

use super::stage::{HCCO, Stage, name};

const REAL: usize = 0;
const STUB: usize = 1;
const SOURCE: &str = "registry.example/a";

/// Both clusters have the same sources, and the report shows them.
async fn edit(stage: &Stage, mirror: &str, generation: usize) -> Result<()> {
    let sources: [Entry<'_>; 1] = [(SOURCE, &[mirror], None)];
    for index in [REAL, STUB] {
        stage.edit(index, &sources).await?;
    }
    let wanted = format!("cluster@{generation}");
    for index in [REAL, STUB] {
        stage.fleet().wait_for_report(&name(index), &wanted, |report| report["guest"]["sets"][0] == wanted).await?;
    }
    Ok(())
}

/// Method and path of the manager's requests to the real guest cluster.
async fn requests_to_real(audit: &Audit, mark: Mark) -> Result<Vec<String>> {
    let method = |event: &Event| match event.verb.as_str() {
        "watch" => "WATCH",
        "patch" => "PATCH",
        "delete" => "DELETE",
        _ => "GET",
    };
    // A watch has a line at its start, and another one at its end.
    let counts = |event: &Event| (event.verb == "watch") == (event.stage == "ResponseStarted");
    let events = audit.since(mark).await?.into_iter().filter(|event| event.user == HCCO && counts(event));
    Ok(events.filter_map(|event| Some(format!("{} {}", method(&event), event.uri.split('?').next()?))).collect())
}

/// Requests in the order in which each was first sent. How often one is sent depends on time: the manager waits for kinds to be
/// served, and reads the status of nodes once for each of several events. Watches run beside the others, so they are sorted.
fn sequence(requests: &[String]) -> Vec<&String> {
    let mut seen = HashSet::new();
    let first = requests.iter().filter(|request| seen.insert(*request));
    let (mut watches, mut others): (Vec<_>, Vec<_>) = first.partition(|request| request.starts_with("WATCH"));
    watches.sort();
    others.extend(watches);
    others
}

/// What a report says about the guest cluster.
fn of_guest(report: &Value) -> Vec<String> {
    let conditions = report["conditions"].as_array().into_iter().flatten();
    let guests = conditions.filter(|condition| {
        ["GuestSynced", "NodesApplied", "BootstrapCovered"].contains(&condition["type"].as_str().unwrap_or_default())
    });
    let line = |condition: &Value| {
        format!("{} {} {} {}", condition["type"], condition["status"], condition["reason"], condition["message"])
    };
    guests.map(line).chain([report["guest"].to_string(), report["nodes"].to_string()]).collect()
}

#[tokio::test]
async fn a_stub_gets_the_requests_and_the_report_of_a_real_guest_cluster() -> Result<()> {
    let stage = Stage::populated(1, &[]).await?;
    let stubs = StubGuests::start(1, 0).await?;
    stage.hosted_cluster(STUB, &[]).await?;
    stage.kubeconfig(STUB, &stubs.kubeconfigs()?[0]).await?;
    let audit = stage.cluster(REAL).audit().await?;
    let mark = audit.mark().await?;
    let _manager = stage.manager().await?;
    for index in [REAL, STUB] {
        stage.condition(index, "GuestSynced", "True", "AsExpected").await?;
    }
    // Watches start after the report.
    let mut to_stub = Vec::new();
    let first = eventually(SOON, "both have the same requests", async || {
        let to_real = requests_to_real(&audit, mark).await?;
        to_stub.extend(stubs.take_requests(0)?);
        let (real, stub) = (sequence(&to_real), sequence(&to_stub));
        ensure!(real == stub, "real {real:#?}, stub {stub:#?}");
        Ok(Some(real.len()))
    })
    .await?;
    ensure!(first > 25, "{first} requests are too few for a first push");

    let mark = audit.mark().await?;
    edit(&stage, "mirror.example/one", 2).await?;
    let (to_real, to_stub) = (requests_to_real(&audit, mark).await?, stubs.take_requests(0)?);
    let (real, stub) = (sequence(&to_real), sequence(&to_stub));
    ensure!(real == stub, "real {real:#?}, stub {stub:#?}");
    ensure!(to_real.iter().any(|request| request.starts_with("PATCH") && request.ends_with("/nodemirrorsets/cluster")));

    let report = stage.fleet().report(&name(REAL)).await?;
    let synced = of_guest(&report);
    ensure!(synced.iter().any(|line| line.contains("GuestSynced")), "{report}");
    let stub = of_guest(&stage.fleet().report(&name(STUB)).await?);
    ensure!(synced == stub, "real {synced:#?}, stub {stub:#?}");
    let applied = stubs.take_applied();
    let last = applied.last().context("the stub did not record the set")?;
    ensure!(last.guest == 0 && last.mirrors == ["mirror.example/one"], "{last:?}");
    Ok(())
}
