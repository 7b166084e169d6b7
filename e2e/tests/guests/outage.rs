//! Guest clusters that are down are reported with their reason and delay no others.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use hypermirror_e2e::eventually;
use hypermirror_e2e::faulty::{Answer, Faulty};
use hypermirror_e2e::fleet::SOON;

use super::stage::{Stage, found, name, object};

const A: &str = "registry.example/a";
/// The longest pause between two tries of a guest that is down, and what follows it.
const BACK: Duration = Duration::from_secs(40);

#[tokio::test]
async fn an_unreachable_or_silent_guest_delays_no_other_and_is_updated_when_it_returns() -> Result<()> {
    let stage = Stage::populated(3, &[(A, &["mirror.example/one"], None)]).await?;
    let _manager = stage.manager().await?;
    for guest in 0..3 {
        stage.condition(guest, "GuestSynced", "True", "AsExpected").await?;
    }
    let healthy = edit_duration(&stage, "mirror.example/two").await?;
    stage.cluster(1).stop_api_server().await?;
    stage.cluster(2).freeze_api_server().await?;
    for guest in [1, 2] {
        stage.edit(guest, &[(A, &["mirror.example/late"], None)]).await?;
    }
    let beside = edit_duration(&stage, "mirror.example/three").await?;
    // A black hole costs 10 s: whoever waits for one is seen.
    ensure!(beside < Duration::from_secs(5), "{beside:?}, {healthy:?} without them");
    for guest in [1, 2] {
        stage.condition(guest, "GuestSynced", "Unknown", "ConnectionDown").await?;
    }
    stage.fleet().reads(&[&name(1)], &format!("{A}=mirror.example/late")).await?;
    stage.cluster(1).start_api_server().await?;
    stage.cluster(2).thaw_api_server()?;
    for guest in [1, 2] {
        stage.fleet().condition_within(BACK, &name(guest), "GuestSynced", "True", "AsExpected").await?;
        has(&stage, guest, "mirror.example/late").await?;
    }
    Ok(())
}

/// How long until an edit stands in the guest 0.
async fn edit_duration(stage: &Stage, mirror: &str) -> Result<Duration> {
    let start = Instant::now();
    stage.edit(0, &[(A, &[mirror], None)]).await?;
    has(stage, 0, mirror).await?;
    Ok(start.elapsed())
}

async fn has(stage: &Stage, guest: usize, mirror: &str) -> Result<()> {
    let set = object("hypermirror.dev/v1alpha1", "NodeMirrorSet", "cluster");
    eventually(SOON, &format!("guest {guest} has {mirror}"), async || {
        let set = found(&stage.guests[guest], &set).await?.unwrap_or_default();
        ensure!(set["spec"]["digestMirrors"][0]["mirrors"][0] == mirror, "{set}");
        Ok(Some(()))
    })
    .await
}

#[tokio::test]
async fn each_failure_of_a_guest_has_its_own_reason_and_delays_no_other_guest() -> Result<()> {
    let stage = Stage::start(1).await?;
    let mut faulty = Vec::new();
    for answer in [Answer::Unavailable, Answer::Endless, Answer::HalfDead, Answer::EmptyPages] {
        faulty.push(Faulty::start(answer).await?);
    }
    let kubeconfigs = std::iter::once(stage.usual_kubeconfig(0)).chain(faulty.iter().map(Faulty::kubeconfig));
    for (guest, kubeconfig) in kubeconfigs.enumerate() {
        stage.hosted_cluster(guest, &[(A, &["mirror.example/one"], None)]).await?;
        stage.kubeconfig(guest, &kubeconfig?).await?;
    }
    let manager = stage.manager().await?;
    stage.condition(0, "GuestSynced", "True", "AsExpected").await?;
    let message = stage.condition(1, "GuestSynced", "Unknown", "ConnectionDown").await?;
    ensure!(message.contains("503"), "{message}");
    stage.condition(2, "GuestSynced", "False", "AnswerTooLarge").await?;
    let message = stage.condition(3, "GuestSynced", "Unknown", "ConnectionDown").await?;
    ensure!(message.contains("503"), "{message}");
    let message = stage.condition(4, "GuestSynced", "False", "PushFailed").await?;
    ensure!(message.contains("an empty page"), "{message}");
    let status = std::fs::read_to_string(format!("/proc/{}/status", manager.process.handle().id()))?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    let kilobytes: u64 = peak.trim().trim_end_matches(" kB").parse()?;
    ensure!(kilobytes < 200_000, "the manager held {kilobytes} kB");
    Ok(())
}
