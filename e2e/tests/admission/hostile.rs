//! Whoever reaches the webhook's port, and whoever may create a Deployment.

use anyhow::{Context as _, Result, ensure};
use hypermirror_e2e::fleet::admission::Admission;
use hypermirror_e2e::fleet::{NAMESPACE, PROBES, TARGETS, deployments};
use hypermirror_e2e::hostile::{connect, post, reviews};
use hypermirror_e2e::{Fleet, Process, Scene};
use kube::api::PostParams;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

/// The most memory that a process ever had, in MiB.
fn peak(process: &Process) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.handle().id()))?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    Ok(peak.trim().trim_end_matches(" kB").parse::<u64>()? / 1024)
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_bodies_and_silent_connections_cost_the_webhook_nothing() -> Result<()> {
    let scene = Scene::start().await?;
    let (fleet, admission) = (&scene.fleet, Admission::webhook()?);
    let Admission::Webhook(port) = admission else { return Ok(()) };
    fleet.admit(admission).await?;
    let manager = admission.serve(scene.launch("manager")).start_ready(scene.management()).await?;
    fleet.admits().await?;
    let before = peak(&manager.process)?;
    let bodies = reviews();
    let alone = post(port, bodies[0].len(), &bodies[0]).await?;
    ensure!(alone.contains(" 400 "), "{alone}");
    let posts = bodies.iter().cycle().take(20).map(|body| post(port, body.len(), body));
    let answers = futures::future::join_all(posts).await;
    // They are read one at a time, with pauses: whoever waits for too long is sent away.
    let is_bounded = |line: &String| [" 200 ", " 400 ", " 503 "].iter().any(|status| line.contains(status));
    ensure!(answers.iter().flatten().all(is_bounded), "{answers:?}");
    let too_large = post(port, 4_000_000, "").await?;
    ensure!(too_large.contains(" 413 "), "{too_large}");
    let after = peak(&manager.process)?;
    eprintln!("peak {before} MiB before, {after} MiB after {} hostile bodies", answers.len());
    ensure!(after < before + 64, "{before} MiB before, {after} MiB after");
    // Many connections that say nothing, or begin a request and never end it.
    let mut silent = Vec::new();
    for _ in 0..256 {
        silent.push(TcpStream::connect(("127.0.0.1", port)).await?);
    }
    let mut begun = Vec::new();
    for _ in 0..64 {
        let mut stream = connect(port).await?;
        stream.write_all(b"POST /admit HTTP/1.1\r\n").await?;
        begun.push(stream);
    }
    ensure!(fleet.restores_entry("ignition-server").await?, "an honest review is not answered");
    Ok(())
}

/// What is stored of a new Deployment with this annotation.
async fn created(fleet: &Fleet, namespace: Option<&str>, overrides: &str) -> Result<Value> {
    created_with(fleet, namespace, overrides, |_| {}).await
}

async fn created_with(
    fleet: &Fleet,
    namespace: Option<&str>,
    overrides: &str,
    change: impl Fn(&mut Value),
) -> Result<Value> {
    let mut object = deployments::target(PROBES, TARGETS[1], Some("="), "=");
    if let Some(namespace) = namespace {
        object["metadata"]["namespace"] = json!(namespace);
    }
    object["metadata"]["annotations"] = json!({"hypermirror.dev/overrides": overrides});
    change(&mut object["spec"]["template"]["spec"]["containers"][0]);
    let params = PostParams { dry_run: true, ..PostParams::default() };
    let stored = fleet.api_of(&object)?.create(&params, &serde_json::from_value(object)?).await?;
    Ok(serde_json::to_value(stored)?)
}

/// The processor time of the API server so far, in hundredths of a second.
fn processor_time(scene: &Scene) -> Result<u64> {
    let id = scene.management().api_server_id().context("no API server")?;
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let field = |place: usize| fields.get(place).and_then(|field| field.parse::<u64>().ok()).context("no times");
    Ok(field(11)? + field(12)?)
}

#[tokio::test]
async fn a_hostile_annotation_costs_the_api_server_nothing() -> Result<()> {
    let scene = Scene::start().await?;
    let fleet = &scene.fleet;
    fleet.admit(Admission::Policy).await?;
    fleet.admits().await?;
    let short: Vec<String> = (0..30_000).map(|_| "a=b".to_owned()).collect();
    for (what, overrides) in [
        ("separators", ",".repeat(60_000)),
        ("more separators", ",".repeat(255_000)),
        ("short pairs", short.join(",")),
        ("one long word", "a".repeat(200_000)),
    ] {
        for namespace in [None, Some(NAMESPACE)] {
            let before = processor_time(&scene)?;
            let stored = created(fleet, namespace, &overrides).await.with_context(|| what.to_owned())?;
            eprintln!("{what} in {namespace:?}: {} ms of the API server", (processor_time(&scene)? - before) * 10);
            ensure!(deployments::env_values(&stored) == ["="], "{what} is appended");
        }
    }
    let words: Vec<String> = (0..30_000).map(|n| format!("w{n}")).collect();
    let variables: Vec<Value> = (0..20_000).map(|n| json!({"name": format!("V{n}"), "value": "x"})).collect();
    for list in ["args", "env"] {
        let before = processor_time(&scene)?;
        let long =
            |container: &mut Value| container[list] = if list == "env" { json!(variables) } else { json!(words) };
        let stored = created_with(fleet, None, "a=b", long).await.with_context(|| list.to_owned())?;
        eprintln!("long {list}: {} ms of the API server", (processor_time(&scene)? - before) * 10);
        let expected: &[&str] = if list == "env" { &[] } else { &["="] };
        ensure!(deployments::env_values(&stored) == expected, "appended to long {list}");
    }
    // An honest map of the same size is appended, and only where HyperShift runs a control plane.
    let honest: Vec<String> = (0..3_000).map(|n| format!("r-{n:04}.example/a=mirror.example/a/{n}")).collect();
    let honest = honest.join(",");
    ensure!((110_000..131_072).contains(&honest.len()), "{} bytes", honest.len());
    ensure!(deployments::env_values(&created(fleet, None, &honest).await?) == ["=", &honest]);
    ensure!(deployments::env_values(&created(fleet, Some(NAMESPACE), &honest).await?) == ["="]);
    Ok(())
}
