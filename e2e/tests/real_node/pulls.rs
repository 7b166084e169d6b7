//! Pulls go on while everything changes.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures::future::try_join_all;
use hypermirror_e2e::binaries::Servers;
use hypermirror_e2e::image::{Image, ImageSource};
use hypermirror_e2e::node::Crictl;
use hypermirror_e2e::{Served, needs_node, port};
use tokio::time::{Instant, interval};

use super::stage::Stage;

/// A minute of it gave no failure either; more of the same is not worth everybody's time.
const SPAN: Duration = Duration::from_secs(20);
const EDITS: Duration = Duration::from_secs(1);
const CLIENTS: usize = 4;
/// What is logged at level debug when CRI-O has new registries.
const APPLIED: &str = "Applied new registry configuration";

/// Pulls one image again and again; answers how often, and what failed.
async fn client(crictl: &Crictl, reference: &str, end: Instant) -> Result<(usize, Vec<String>)> {
    let (mut pulls, mut failures) = (0, Vec::new());
    while Instant::now() < end {
        let outcome = crictl.try_run(&["pull", reference]).await?;
        pulls += 1;
        if outcome.success {
            crictl.remove_image(reference).await?;
        } else {
            failures.push(outcome.stderr);
        }
    }
    Ok((pulls, failures))
}

#[tokio::test]
async fn no_pull_of_four_clients_fails_under_an_edit_every_second() -> Result<()> {
    needs_node!();
    let stage = Stage::enter().await?;
    let (one, two) = (Served::start("copy/any").await?, Served::start("copy/any").await?);
    let source = format!("127.0.0.1:{}/ns", port::free()?);
    let mirrors = [&one, &two].map(|served| format!("{}/copy", served.registry.host()));
    let mut references = Vec::new();
    for number in 0..CLIENTS {
        let name = format!("client-{number}");
        // A layer of its own: one client removes an image while another one pulls, and the storage of CRI-O can lose a
        // layer that both have.
        let program = ImageSource::new(&format!("/{name}"), Servers::from_env().find("pause")?).marker(&name);
        let image = Image::build(&one.directory().join(&name), &program)?;
        for served in [&one, &two] {
            image.push(served.registry.host(), &format!("copy/{name}")).await?;
        }
        references.push(format!("{source}/{name}@{}", image.digest()));
    }
    stage.declare(&[(&source, &[&mirrors[0]], None)]).await?;
    let mark = stage.node().mark()?;
    let end = Instant::now() + SPAN;
    let edits = async {
        let mut ticks = interval(EDITS);
        let mut count = 0_usize;
        while Instant::now() < end {
            ticks.tick().await;
            count += 1;
            stage.edit(&[(&source, &[&mirrors[count % 2]], None)]).await?;
        }
        Ok(count)
    };
    let clients = references.iter().map(|reference| client(stage.node().crictl(), reference, end));
    let (edits, clients) = tokio::try_join!(edits, try_join_all(clients))?;
    let pulls: usize = clients.iter().map(|(pulls, _)| pulls).sum();
    let failures: Vec<&String> = clients.iter().flat_map(|(_, failures)| failures).collect();
    let applied = stage.node().logged_since(mark)?.matches(APPLIED).count();
    println!("{pulls} pulls under {edits} edits, of which CRI-O read {applied}: {} failed", failures.len());
    ensure!(failures.is_empty(), "{failures:#?}");
    ensure!(applied * 2 > edits, "{applied} of {edits} edits came to CRI-O");
    for served in [&one, &two] {
        let asked = served.registry.requests("GET /v2/copy/client-0/manifests/")?;
        ensure!(!asked.is_empty(), "only one of the mirrors was asked");
    }
    ensure!(pulls > CLIENTS * 4, "{pulls} pulls");
    stage.declare(&[]).await.map(|_| ()).context("the last edit")
}
