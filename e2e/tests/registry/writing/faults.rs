//! Copies that break: no tag ever names what is not whole, and the next run moves only what is missing.

use std::sync::Arc;

use anyhow::{Result, ensure};
use http::{Method, StatusCode, header};
use hypermirror::registry::transfer::progress::{Arrival, CopyProgress};
use hypermirror::registry::transfer::{CancellationToken, Copier, CopyError, CopyOptions, Side};
use hypermirror::registry::wire::digest::Digest;
use hypermirror_e2e::MockRegistry;
use hypermirror_e2e::mock::{Answer, Area, Change, Fixed, On, Rule, Synthetic};
use serde_json::json;

use super::super::reading::client;
use super::{REPOSITORY, copied, copy, filled, job, received, side, whole};

const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
const SIZE: u64 = 1_000_000;

/// An image of one large layer, which takes no memory.
fn add_large(registry: &MockRegistry, tag: &str, seed: u64) -> String {
    let mut store = registry.store();
    let config = store.add_blob(REPOSITORY, "{}");
    let layer = store.add_synthetic(REPOSITORY, Synthetic::new(SIZE, seed));
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": IMAGE,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": &*config, "size": 2},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": &*layer, "size": SIZE}],
    });
    let digest = store.add_manifest(REPOSITORY, IMAGE, manifest.to_string());
    store.tag(REPOSITORY, tag, &digest);
    layer.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_cut_at_each_tenth_is_read_on_from_there() -> Result<()> {
    let (source, destination) = (MockRegistry::start().await?, MockRegistry::start().await?);
    add_large(&source, "v1", 1);
    for _ in 0..9 {
        let blob = On::area(Area::Blob).method(Method::GET);
        source.add(Rule::new(blob, Change::CutAfter(SIZE / 10)).times(1));
    }
    let client = client(None)?;
    let (from, to) = (side(&client, &source.url(), REPOSITORY)?, side(&client, &destination.url(), "copy/app")?);
    copied(vec![job(&from, "v1", &[to])]).await?;
    whole(&destination.store(), "copy/app")?;
    ensure!(received(&destination) <= SIZE + 2, "the destination noticed");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_cuts_at_each_tenth_has_no_tag_before_it_is_whole() -> Result<()> {
    let source = MockRegistry::start().await?;
    add_large(&source, "v1", 2);
    for tenth in 0..10 {
        let destination = MockRegistry::start().await?;
        let cut = On::area(Area::Upload).method(Method::PUT);
        destination.add(Rule::new(cut, Answer::Hangup { after: SIZE / 10 * tenth }).times(1));
        let client = client(None)?;
        let (from, to) = (side(&client, &source.url(), REPOSITORY)?, side(&client, &destination.url(), "copy/app")?);
        copied(vec![job(&from, "v1", &[to])]).await?;
        ensure!(whole(&destination.store(), "copy/app")? == 1);
        ensure!(received(&destination) <= 2 * (SIZE + 2), "{}", received(&destination));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_429_is_waited_out() -> Result<()> {
    let (source, _) = filled().await?;
    let destination = MockRegistry::start().await?;
    let slow = Fixed::status(StatusCode::TOO_MANY_REQUESTS).header(header::RETRY_AFTER, "1");
    for method in [Method::HEAD, Method::POST, Method::PUT] {
        destination.add(Rule::new(On::any().method(method), slow.clone()).skip(2).times(2));
    }
    let client = client(None)?;
    let (from, to) = (side(&client, &source.url(), REPOSITORY)?, side(&client, &destination.url(), "copy/app")?);
    copied(vec![job(&from, "multi", &[to])]).await?;
    whole(&destination.store(), "copy/app")?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_that_a_mirror_loses_after_its_head_is_sent_before_the_tag() -> Result<()> {
    let (source, destination) = (MockRegistry::start().await?, MockRegistry::start().await?);
    let layer = add_large(&source, "v1", 3);
    // It does not look at what manifests need, so that only we do; and it says once that it has the layer.
    destination.behave(|behavior| behavior.demands_content = false);
    let head = On::area(Area::Blob).method(Method::HEAD).containing(&layer);
    destination.add(Rule::new(head, Fixed::status(StatusCode::OK)).times(1));
    let client = client(None)?;
    let (from, to) = (side(&client, &source.url(), REPOSITORY)?, side(&client, &destination.url(), "copy/app")?);
    copied(vec![job(&from, "v1", &[to])]).await?;
    whole(&destination.store(), "copy/app")?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_bytes_make_no_tag() -> Result<()> {
    let (source, destination) = (MockRegistry::start().await?, MockRegistry::start().await?);
    add_large(&source, "v1", 4);
    source.add(Rule::new(On::area(Area::Blob).method(Method::GET), Change::Flip(1)));
    let client = client(None)?;
    let (from, to) = (side(&client, &source.url(), REPOSITORY)?, side(&client, &destination.url(), "copy/app")?);
    let report = copy(CopyOptions::default(), vec![job(&from, "v1", &[to])]).await;
    let error = report.outcomes[0].result.clone().unwrap_err().to_string();
    ensure!(error.contains("has the digest"), "{error}");
    ensure!(whole(&destination.store(), "copy/app")? == 0);
    Ok(())
}

/// Stops after so many events.
struct StopAfter {
    token: CancellationToken,
    left: std::sync::atomic::AtomicUsize,
}

impl StopAfter {
    fn step(&self) {
        use std::sync::atomic::Ordering;
        if self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)) == Err(0) {
            self.token.cancel();
        }
    }
}

impl CopyProgress for StopAfter {
    fn blob_bytes(&self, _to: &Side, _digest: &Digest, _bytes: u64) {
        self.step();
    }

    fn blob_ended(&self, _to: &Side, _digest: &Digest, _arrival: Arrival) {
        self.step();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_stopped_anywhere_leaves_no_half_tag_and_goes_on_with_what_is_missing() -> Result<()> {
    let (source, _) = filled().await?;
    for at in 0..8 {
        add_large(&source, &format!("large-{at}"), 100 + at);
    }
    let tags: Vec<String> =
        (0..8).map(|at| format!("large-{at}")).chain(["multi".to_owned(), "docker".to_owned()]).collect();
    for steps in [0, 1, 3, 7, 20, 60, 120, 200, 300] {
        let destination = MockRegistry::start().await?;
        let client = client(None)?;
        let (from, to) = (side(&client, &source.url(), REPOSITORY)?, side(&client, &destination.url(), "copy/app")?);
        let jobs = || tags.iter().map(|tag| job(&from, tag, std::slice::from_ref(&to))).collect::<Vec<_>>();
        let token = CancellationToken::new();
        let stop = Arc::new(StopAfter { token: token.clone(), left: steps.into() });
        let report = Copier::new(CopyOptions::default(), stop, token).copy(jobs()).await;
        for outcome in &report.outcomes {
            ensure!(matches!(outcome.result, Ok(_) | Err(CopyError::Stopped)), "{outcome:?}");
        }
        whole(&destination.store(), "copy/app")?;
        let before: u64 = destination
            .store()
            .repository("copy/app")
            .blobs
            .values()
            .map(hypermirror_e2e::mock::store::Blob::size)
            .sum();
        destination.clear_requests();
        let again = copied(jobs()).await?;
        let after: u64 = destination
            .store()
            .repository("copy/app")
            .blobs
            .values()
            .map(hypermirror_e2e::mock::store::Blob::size)
            .sum();
        // What was under way when it was stopped may have arrived since.
        ensure!(
            again.bytes <= after - before,
            "{} bytes were sent for {} that were missing",
            again.bytes,
            after - before
        );
        ensure!(whole(&destination.store(), "copy/app")? >= tags.len());
    }
    Ok(())
}

/// Ends with its count, in the middle of whatever goes on.
struct Count(tokio::sync::watch::Sender<usize>);

impl CopyProgress for Count {
    fn blob_bytes(&self, _to: &Side, _digest: &Digest, _bytes: u64) {
        self.0.send_modify(|count| *count += 1);
    }

    fn blob_ended(&self, _to: &Side, _digest: &Digest, _arrival: Arrival) {
        self.0.send_modify(|count| *count += 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_dies_at_any_of_fifty_moments_leaves_no_half_tag() -> Result<()> {
    let (source, _) = filled().await?;
    for at in 0..4 {
        add_large(&source, &format!("large-{at}"), 200 + at);
    }
    let tags = ["large-0", "large-1", "large-2", "large-3", "multi", "nested", "docker"];
    let client = client(None)?;
    let from = side(&client, &source.url(), REPOSITORY)?;
    for moment in 0..50 {
        let destination = MockRegistry::start().await?;
        let to = side(&client, &destination.url(), "copy/app")?;
        let jobs = || tags.iter().map(|tag| job(&from, tag, std::slice::from_ref(&to))).collect::<Vec<_>>();
        let (sender, mut count) = tokio::sync::watch::channel(0);
        let copier = Copier::new(CopyOptions::default(), Arc::new(Count(sender)), CancellationToken::new());
        // Dropped without a word, as the kernel does it: what is under way ends where it is.
        tokio::select! {
            _ = copier.copy(jobs()) => {}
            _ = count.wait_for(|count| *count >= moment * 2) => {}
        }
        whole(&destination.store(), "copy/app")?;
        let report = copied(jobs()).await?;
        ensure!(report.is_complete());
        ensure!(whole(&destination.store(), "copy/app")? >= tags.len());
    }
    Ok(())
}
