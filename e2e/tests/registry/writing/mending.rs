//! What goes wrong besides: attachments that cannot be written, lists that others write, registries that refuse again and again, and
//! mirrors that lost something.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use http::{Method, StatusCode, header};
use hypermirror::registry::policy::PolicyOptions;
use hypermirror::registry::transfer::progress::CopyProgress;
use hypermirror::registry::transfer::{CancellationToken, Copier, CopyOptions, Done, Outcome};
use hypermirror::registry::transport::{Transport, TransportOptions};
use hypermirror::registry::{Client, Reference};
use hypermirror_e2e::MockRegistry;
use hypermirror_e2e::content::Content;
use hypermirror_e2e::judge::Kind;
use hypermirror_e2e::mock::behavior::{Immutable, Referrers};
use hypermirror_e2e::mock::{Area, Fixed, On, Rule};
use hypermirror_e2e::pusher::Pusher;
use hypermirror_e2e::registry::{Access, Program, Registry, Settings};

use super::super::reading::client;
use super::{REPOSITORY, add_image, copied, copy, filled, job, layers, side, whole};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

#[tokio::test(flavor = "multi_thread")]
async fn b21_a_signature_whose_tag_is_immutable_is_a_warning() -> Result<()> {
    for immutable in [Immutable::Ecr, Immutable::Harbor, Immutable::Quay, Immutable::Artifactory] {
        let (source, content) = filled().await?;
        let destination = MockRegistry::start().await?;
        let digest = content.manifest("multi").context("no index")?.digest.replace(':', "-");
        let tag = format!("{digest}.sig");
        let other = destination.store().add_manifest("copy/app", INDEX, r#"{"manifests":[]}"#);
        destination.store().tag("copy/app", &tag, &other);
        destination.behave(|behavior| behavior.immutable = Some(immutable));
        let client = client(None)?;
        let (from, to) = (side(&client, &source.url(), REPOSITORY)?, side(&client, &destination.url(), "copy/app")?);
        let report = copied(vec![job(&from, "multi", &[to])]).await?;
        ensure!(
            report.warnings.len() == 1 && report.warnings[0].contains(&tag),
            "{immutable:?}: {:?}",
            report.warnings
        );
        let held = destination.store().manifest("copy/app", &tag).map(|(digest, _)| digest);
        ensure!(held == Some(other), "{immutable:?}: the tag was changed");
        whole(&destination.store(), "copy/app")?;
    }
    Ok(())
}

/// Another process, which had read the list before this one wrote it, and writes it when an image is there.
struct Rival(Arc<MockRegistry>, String);

impl CopyProgress for Rival {
    fn image_ended(&self, _outcome: &Outcome) {
        let entry = format!(r#"{{"mediaType":"text/x","digest":"sha256:{}","size":1}}"#, "0".repeat(64));
        let index = format!(r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[{entry}]}}"#);
        let mut store = self.0.store();
        let digest = store.add_manifest("copy/app", INDEX, index);
        store.tag("copy/app", &self.1, &digest);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn b23_an_entry_that_another_process_overwrites_is_listed_again() -> Result<()> {
    let (source, content) = filled().await?;
    let destination = Arc::new(MockRegistry::start().await?);
    destination.behave(|behavior| {
        behavior.referrers = Referrers::Unsupported;
        behavior.demands_content = false;
    });
    let multi = content.manifest("multi").context("no index")?;
    let tag = multi.digest.replace(':', "-");
    let client = client(None)?;
    let (from, to) = (side(&client, &source.url(), REPOSITORY)?, side(&client, &destination.url(), "copy/app")?);
    let rival = Arc::new(Rival(destination.clone(), tag.clone()));
    let copier = Copier::new(CopyOptions::default(), rival, CancellationToken::new());
    let report = copier.copy(vec![job(&from, "multi", &[to])]).await;
    ensure!(report.is_complete() && report.warnings.is_empty(), "{report:?}");
    let artifact = content.manifest("artifact").context("no artifact")?;
    let listed = || -> Result<String> {
        let store = destination.store();
        let (_, index) = store.manifest("copy/app", &tag).context("no list of referrers")?;
        Ok(String::from_utf8_lossy(&index.bytes).into_owned())
    };
    ensure!(listed()?.contains(&*artifact.digest) && listed()?.contains("sha256:00000000"), "{}", listed()?);

    // What is overwritten later is found by who looks for everything.
    Rival(destination.clone(), tag.clone()).image_ended(&report.outcomes[0]);
    ensure!(!listed()?.contains(&*artifact.digest));
    let to = side(&client, &destination.url(), "copy/app")?;
    let thorough = CopyOptions { is_thorough: true, ..CopyOptions::default() };
    let report = copy(thorough, vec![job(&from, "multi", &[to])]).await;
    ensure!(report.is_complete() && listed()?.contains(&*artifact.digest), "{}", listed()?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn b01_a_storm_of_refusals_is_waited_out_by_every_request() -> Result<()> {
    const LAYERS: u64 = 24;
    const STORM: usize = 24;
    let (source, destination) = (MockRegistry::start().await?, MockRegistry::start().await?);
    let own: Vec<(u64, u64)> = (0..LAYERS).map(|seed| (20_000, seed)).collect();
    add_image(&source, REPOSITORY, "v1", 0, &own);
    // Registries may ask for parts of a second, too. The storm hits uploads in all their requests.
    let slow = Fixed::status(StatusCode::TOO_MANY_REQUESTS).header(header::RETRY_AFTER, "0.02");
    destination.add(Rule::new(On::area(Area::Upload), slow).skip(4).times(STORM));
    // With the usual patience, although all refusals may meet one request.
    let options = PolicyOptions::default();
    let client = Client::new(Transport::new(TransportOptions::default())?, options);
    let (from, to) = (side(&client, &source.url(), REPOSITORY)?, side(&client, &destination.url(), "copy/app")?);
    copied(vec![job(&from, "v1", &[to])]).await?;
    ensure!(whole(&destination.store(), "copy/app")? == 1);
    let refused = destination.requests().iter().filter(|request| request.status == Some(429)).count();
    ensure!(refused == STORM, "{refused} refusals: {:#?}", destination.lines());
    // A body that was refused counts: nothing else is sent twice.
    let puts =
        destination.requests().into_iter().filter(|it| it.method == Method::PUT && it.status == Some(201)).count();
    ensure!(puts as u64 == LAYERS + 1, "{puts}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn b01_a_registry_that_never_stops_refusing_ends_the_copy_with_its_reason() -> Result<()> {
    let (source, destination) = (MockRegistry::start().await?, MockRegistry::start().await?);
    add_image(&source, REPOSITORY, "v1", 0, &[(20_000, 1)]);
    let slow = Fixed::status(StatusCode::TOO_MANY_REQUESTS).header(header::RETRY_AFTER, "0.02");
    destination.add(Rule::new(On::area(Area::Upload).method(Method::PUT), slow));
    let options = PolicyOptions { attempts: 3, max_wait: Duration::from_secs(1), ..PolicyOptions::default() };
    let client = Client::new(Transport::new(TransportOptions::default())?, options);
    let (from, to) = (side(&client, &source.url(), REPOSITORY)?, side(&client, &destination.url(), "copy/app")?);
    let report = copy(CopyOptions::default(), vec![job(&from, "v1", &[to])]).await;
    let error = report.outcomes[0].result.clone().unwrap_err().to_string();
    ensure!(error.contains("429"), "{error}");
    let puts = destination.requests().iter().filter(|it| it.method == Method::PUT).count();
    ensure!((3..20).contains(&puts) && whole(&destination.store(), "copy/app")? == 0, "{puts}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_gets_a_lost_blob_from_another_one_while_the_source_is_down() -> Result<()> {
    let source = MockRegistry::start().await?;
    add_image(&source, REPOSITORY, "v1", 0, &[(30_000, 1), (40_000, 2)]);
    let mirrors = [MockRegistry::start().await?, MockRegistry::start().await?];
    let client = client(None)?;
    let from = side(&client, &source.url(), REPOSITORY)?;
    let to = mirrors.iter().map(|it| side(&client, &it.url(), "copy/app")).collect::<Result<Vec<_>>>()?;
    copied(vec![job(&from, "v1", &to)]).await?;
    let lost = layers(&source, REPOSITORY, "v1")[0].clone();
    drop(source);
    mirrors[0].store().repository("copy/app").blobs.remove(lost.0.as_str());
    ensure!(whole(&mirrors[0].store(), "copy/app").is_err());
    mirrors.iter().for_each(MockRegistry::clear_requests);

    let mut heal = job(&from, "v1", &to[..1]);
    heal.sources.push(to[1].clone());
    let options = CopyOptions { is_thorough: true, ..CopyOptions::default() };
    let report = copy(options, vec![heal]).await;
    ensure!(matches!(report.outcomes[0].result, Ok(Done::Copied)), "{report:?}");
    ensure!(report.bytes == lost.1 && report.uploaded == 1, "{report:?}");
    whole(&mirrors[0].store(), "copy/app")?;
    let reads = mirrors[1].lines().into_iter().filter(|line| line.starts_with("GET") && line.contains("/blobs/"));
    ensure!(reads.collect::<Vec<_>>() == [format!("GET /v2/copy/app/blobs/{}", lost.0)]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_registry_is_read_once_for_three_destinations() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let settings = Settings { program: Program::Distribution, authority: None, access: Access::Open };
    let source = Registry::launch(directory.path(), &settings).await?;
    let url = format!("http://{}", source.host());
    let content = Content::everything();
    Pusher::new(&url, None, None)?
        .push(REPOSITORY, &content, |feature| Kind::Real(Program::Distribution).supports(feature))
        .await?;
    let destinations = [MockRegistry::start().await?, MockRegistry::start().await?, MockRegistry::start().await?];
    let client = client(None)?;
    let from = side(&client, &url, REPOSITORY)?;
    let to = destinations.iter().map(|it| side(&client, &it.url(), "copy/app")).collect::<Result<Vec<_>>>()?;
    copied(vec![job(&from, "multi", &to), job(&from, "docker", &to)]).await?;
    let blobs = destinations[0].store().repository("copy/app").blobs.len();
    for destination in &destinations {
        whole(&destination.store(), "copy/app")?;
    }
    let digests: Vec<String> =
        destinations[0].store().repository("copy/app").blobs.keys().map(ToString::to_string).collect();
    let (mut reads, mut other) = (0, Vec::new());
    for digest in &digests {
        let lines = source.requests(&format!("GET /v2/{REPOSITORY}/blobs/{digest}"))?;
        // One line of the access log, or of both logs that it may have, for one request.
        let one: std::collections::BTreeSet<String> = lines.iter().map(|line| identifier(line)).collect();
        reads += one.len();
        if one.len() != 1 {
            other.push(lines);
        }
    }
    ensure!(reads == blobs && other.is_empty(), "{reads} reads of {blobs} blobs: {other:#?}");
    ensure!(from.digest(&Reference::Tag("multi".to_owned())).await?.is_some());
    Ok(())
}

/// The port of the client and the time: what tells requests apart in both forms of the log.
fn identifier(line: &str) -> String {
    line.split_whitespace().filter(|word| word.contains("127.0.0.1:")).collect::<Vec<_>>().join(" ")
}
