//! Edits all hosted clusters at the same time and measures the time until the guest clusters that are up have the edit, with
//! and without guest clusters that are down.

use std::pin::pin;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures::StreamExt as _;
use futures::future::{join_all, try_join_all};
use hypermirror_bench::Spread;
use hypermirror_e2e::Fleet;
use hypermirror_e2e::fleet::objects::resource_of;
use kube::Api;
use kube::api::DynamicObject;
use kube::runtime::watcher::{self, watcher};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::Arguments;
use crate::dead::Dead;
use crate::stage::{LIMIT, Stage, name};

/// A guest cluster that is up, with a watch.
type Seen = watch::Receiver<String>;

pub async fn measure(arguments: &Arguments) -> Result<()> {
    let alive = arguments.guests - arguments.dead;
    let started = Instant::now();
    let stage = Stage::start(alive).await?;
    eprintln!("{alive} guest clusters are ready after {:.0} s", started.elapsed().as_secs_f64());
    let mut watches = JoinSet::new();
    let seen: Result<Vec<Seen>> = stage.guests.iter().map(|guest| follow(guest, &mut watches)).collect();
    let seen = seen?;
    let dead = Dead::start(arguments.dead, stage.scene.bed.guest(0)).await?;
    let all: Vec<usize> = (0..arguments.guests).collect();
    for index in alive..arguments.guests {
        stage.scene.fleet.hosted_cluster(&name(index), &[], "=").await?;
    }
    let mut edits = 0..;
    let mut block = async |times: usize| {
        let mut delays = Vec::new();
        for _ in 0..times {
            let edit = edits.next().context("no number")?;
            delays.extend(edit_all(&stage, &all, &seen, &format!("mirror.example/edit-{edit}")).await?);
        }
        Ok::<_, anyhow::Error>(delays)
    };
    block(2).await?;
    let (mut without, mut with, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=arguments.rounds {
        let before = block(arguments.edits_of_all).await?;
        bury(&stage, alive, &dead).await?;
        let beside = block(arguments.edits_of_all).await?;
        raise(&stage, alive, &dead).await?;
        println!("round {round}: without failed guest clusters {}; with {}", told(&before), told(&beside));
        ratios.push(slowest(&beside) / slowest(&before));
        without.extend(before);
        with.extend(beside);
    }
    println!(
        "\n{alive} available guest clusters, {} failed ones; time from sending an edit to the set in the guest cluster:",
        arguments.dead
    );
    println!("without failed guest clusters: {}", told(&without));
    println!("with failed guest clusters: {}", told(&with));
    println!(
        "ratio of the 99th percentiles: {:.2} in total, per round {:.2}",
        slowest(&with) / slowest(&without),
        Spread::of(ratios)
    );
    Ok(())
}

fn slowest(delays: &[f64]) -> f64 {
    Spread::percentile(delays.iter().copied(), 99)
}

fn told(delays: &[f64]) -> String {
    let spread = Spread::of(delays.iter().copied());
    format!("{spread:.0} ms, 99th percentile {:.0} ms ({} times)", slowest(delays), delays.len())
}

/// Assigns the guest clusters that are down, and waits until the reports show that.
async fn bury(stage: &Stage, alive: usize, dead: &Dead) -> Result<()> {
    for (place, kubeconfig) in dead.kubeconfigs.iter().enumerate() {
        stage.connect(alive + place, kubeconfig).await?;
    }
    for place in 0..dead.kubeconfigs.len() {
        stage.condition(alive + place, "GuestSynced", "ConnectionDown").await?;
    }
    Ok(())
}

async fn raise(stage: &Stage, alive: usize, dead: &Dead) -> Result<()> {
    for place in 0..dead.kubeconfigs.len() {
        stage.disconnect(alive + place).await?;
    }
    for place in 0..dead.kubeconfigs.len() {
        stage.condition(alive + place, "GuestSynced", "KubeconfigMissing").await?;
    }
    Ok(())
}

/// Edits all hosted clusters at the same time. Returns the time of each guest cluster that is up, in milliseconds.
async fn edit_all(stage: &Stage, all: &[usize], seen: &[Seen], mirror: &str) -> Result<Vec<f64>> {
    let edits = all.iter().map(|index| stage.edit(*index, mirror));
    let started = Instant::now();
    let arrivals = seen.iter().map(|seen| async move {
        let mut seen = seen.clone();
        let arrived = seen.wait_for(|found| found == mirror);
        tokio::time::timeout(LIMIT, arrived).await.context("an edit was not applied in time")??;
        Ok::<_, anyhow::Error>(started.elapsed().as_secs_f64() * 1000.0)
    });
    let (sent, delays) = futures::join!(join_all(edits), try_join_all(arrivals));
    sent.into_iter().collect::<Result<Vec<()>>>()?;
    // Wait for the reports, so that they are not part of the next edit.
    tokio::time::sleep(Duration::from_secs(2)).await;
    delays
}

/// Watches the set of a guest cluster, because polling would add load.
fn follow(guest: &Fleet, watches: &mut JoinSet<()>) -> Result<Seen> {
    let object = json!({"apiVersion": "hypermirror.dev/v1alpha1", "kind": "NodeMirrorSet"});
    let api: Api<DynamicObject> = Api::all_with(guest.client.clone(), &resource_of(&object)?);
    let (tell, seen) = watch::channel(String::new());
    watches.spawn(async move {
        let mut events = pin!(watcher(api, watcher::Config::default()));
        while let Some(event) = events.next().await {
            if let Ok(watcher::Event::Apply(set) | watcher::Event::InitApply(set)) = event {
                let mirror = set.data["spec"]["digestMirrors"][0]["mirrors"][0].as_str();
                tell.send_replace(mirror.unwrap_or_default().to_owned());
            }
        }
    });
    Ok(seen)
}
