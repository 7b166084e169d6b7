//! The command `copy` with real registries: layouts, platforms, other sources, terminals and signals.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use http::Method;
use hypermirror_e2e::content::Content;
use hypermirror_e2e::judge::{Judge, Kind, Reach};
use hypermirror_e2e::mock::{Area, Change, On, Rule, Synthetic};
use hypermirror_e2e::process::Launch;
use hypermirror_e2e::registry::Program;
use hypermirror_e2e::{MockRegistry, binaries, eventually};
use serde_json::{Value, json};
use tokio::process::Command;

const REPOSITORY: &str = "team/everything";
const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
const SOON: Duration = Duration::from_secs(30);

struct Ran {
    code: Option<i32>,
    report: Value,
    stderr: String,
}

async fn copy(directory: &Path, arguments: &[&str]) -> Result<Ran> {
    let mut command = Command::new(binaries::operator()?);
    command.env_clear().env("HOME", directory).current_dir(directory);
    command.args(["copy", "--plain-http", "-o", "json"]).args(arguments);
    let output = command.kill_on_drop(true).output().await?;
    let stderr = String::from_utf8(output.stderr)?;
    let report = serde_json::from_slice(&output.stdout).with_context(|| stderr.clone())?;
    Ok(Ran { code: output.status.code(), report, stderr })
}

async fn filled() -> Result<(Judge, Content)> {
    let judge = Judge::start(Kind::Real(Program::PkgRegistry), Reach::Http).await?;
    let content = Content::everything();
    judge.pusher()?.push(REPOSITORY, &content, |feature| judge.kind().supports(feature)).await?;
    Ok((judge, content))
}

#[tokio::test(flavor = "multi_thread")]
async fn signatures_and_referrers_come_along_through_a_layout() -> Result<()> {
    let (source, content) = filled().await?;
    let destination = Judge::start(Kind::Real(Program::PkgRegistry), Reach::Http).await?;
    let directory = tempfile::tempdir()?;
    let out = copy(directory.path(), &[&format!("{}/{REPOSITORY}:multi", source.host()), "oci:bundle"]).await?;
    ensure!(out.code == Some(0), "{} {}", out.report, out.stderr);
    let into = copy(directory.path(), &["oci:bundle", &destination.host()]).await?;
    ensure!(into.code == Some(0), "{} {}", into.report, into.stderr);
    let (multi, artifact) =
        (content.manifest("multi").context("multi")?, content.manifest("artifact").context("artifact")?);
    let pusher = destination.pusher()?;
    let read = pusher.get(REPOSITORY, "manifests/multi").await?;
    ensure!(read.status == 200 && read.body == multi.bytes, "{read:?}");
    let listed = pusher.get(REPOSITORY, &format!("referrers/{}", multi.digest)).await?;
    ensure!(String::from_utf8_lossy(&listed.body).contains(&*artifact.digest), "{listed:?}");
    let signature = pusher.get(REPOSITORY, &format!("manifests/{}.sig", multi.digest.replace(':', "-"))).await?;
    ensure!(signature.status == 200, "{signature:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_an_index_is_copied_where_the_destination_takes_it() -> Result<()> {
    let (source, content) = filled().await?;
    let directory = tempfile::tempdir()?;
    let image = format!("{}/{REPOSITORY}:multi", source.host());
    let part = copy(directory.path(), &[&image, "oci:part", "--platforms", "linux/amd64"]).await?;
    ensure!(part.code == Some(0), "{} {}", part.report, part.stderr);
    let holds = |name: &str| -> Result<bool> {
        let hex = content.manifest(name).context("no manifest")?.digest.replace("sha256:", "");
        Ok(directory.path().join("part/blobs/sha256").join(hex).is_file())
    };
    ensure!(holds("multi")? && holds("amd64")? && !holds("arm64")?, "{}", part.report);
    let demanding = Judge::start(Kind::Real(Program::Distribution), Reach::Http).await?;
    let to = format!("{}/{REPOSITORY}:multi", demanding.host());
    let refused = copy(directory.path(), &[&image, &to, "--platforms", "linux/amd64"]).await?;
    let message = refused.report["images"][0]["message"].as_str().unwrap_or_default();
    ensure!(refused.code == Some(1) && message.contains("only with all its children"), "{}", refused.report);
    ensure!(demanding.pusher()?.get(REPOSITORY, "manifests/multi").await?.status == 404, "the tag was written");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn another_registry_gives_what_the_source_lacks() -> Result<()> {
    let (other, content) = filled().await?;
    let source = MockRegistry::start().await?;
    let destination = Judge::start(Kind::Real(Program::Docker), Reach::Http).await?;
    let directory = tempfile::tempdir()?;
    let (image, to) = (format!("{}/{REPOSITORY}:amd64", source.host()), format!("{}/copy:amd64", destination.host()));
    let lacking = copy(directory.path(), &[&image, &to]).await?;
    ensure!(lacking.code == Some(1) && lacking.report["images"][0]["reason"] == "NotFound", "{}", lacking.report);
    let ran = copy(directory.path(), &[&image, &to, "--from", &other.host()]).await?;
    ensure!(ran.code == Some(0), "{} {}", ran.report, ran.stderr);
    let read = destination.pusher()?.get("copy", "manifests/amd64").await?;
    ensure!(read.body == content.manifest("amd64").context("amd64")?.bytes, "{read:?}");
    Ok(())
}

/// A registry with an image of one large layer.
async fn large(size: u64) -> Result<MockRegistry> {
    let registry = MockRegistry::start().await?;
    {
        let mut store = registry.store();
        let content = Synthetic { size, seed: 7 };
        let layer = store.add_synthetic("app", content);
        let config = store.add_blob("app", "{}");
        let descriptor =
            |digest: &str, size: u64| json!({"mediaType": "application/x", "digest": digest, "size": size});
        let manifest = json!({"schemaVersion": 2, "mediaType": IMAGE, "config": descriptor(&config, 2),
            "layers": [descriptor(&layer, size)]});
        let digest = store.add_manifest("app", IMAGE, manifest.to_string());
        store.tag("app", "v1", &digest);
    }
    Ok(registry)
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_in_a_copy_ends_it_with_its_own_exit_code_and_leaves_no_tag() -> Result<()> {
    let (source, destination) = (large(1 << 20).await?, MockRegistry::start().await?);
    // The layer never arrives.
    let stalls = Rule::new(On::area(Area::Blob).method(Method::GET), Change::StallAfter(1_000));
    source.add(stalls);
    let directory = tempfile::tempdir()?;
    let mut process = Launch::new("copy", binaries::operator()?, directory.path())
        .args(["copy", "--plain-http", &format!("{}/app:v1", source.host()), &format!("{}/app:v1", destination.host())])
        .env("HOME", directory.path())
        .spawn()?;
    eventually(SOON, "the layer is on its way", async || {
        ensure!(source.lines().iter().any(|line| line.starts_with("GET ") && line.contains("/blobs/")));
        Ok(Some(()))
    })
    .await?;
    let status = process.stop().await?;
    let log = process.log()?;
    ensure!(status.code() == Some(3), "{status:?}\n{log}");
    ensure!(log.contains("stopping: requests in progress have 25s to finish"), "{log}");
    ensure!(log.contains("stopped before it was copied"), "{log}");
    let store = destination.store();
    let repository = store.repositories.get("app");
    ensure!(repository.is_none_or(|it| it.tags.is_empty() && it.manifests.is_empty()), "{repository:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_shows_bars_and_elsewhere_there_are_none() -> Result<()> {
    let (source, destination) = (large(32 << 20).await?, MockRegistry::start().await?);
    let directory = tempfile::tempdir()?;
    let program = binaries::operator()?.display().to_string();
    let line =
        |tag: &str| format!("'{program}' copy --plain-http {}/app:v1 {}/app:{tag}", source.host(), destination.host());
    let mut shown = Command::new("script");
    shown.args(["--quiet", "--return", "--flush", "--command", &line("shown"), "/dev/null"]);
    let shown = shown.env("HOME", directory.path()).env("TERM", "xterm").kill_on_drop(true).output().await?;
    let text = String::from_utf8_lossy(&shown.stdout);
    ensure!(shown.status.success(), "{text}");
    ensure!(text.contains("\u{1b}[") && text.contains(" left") && text.contains("MiB"), "{text:?}");
    ensure!(text.contains("1 copied"), "{text:?}");
    destination.store().repositories.clear();
    let plain = Command::new("sh").args(["-c", &line("plain")]).env("HOME", directory.path()).output().await?;
    let text = [plain.stdout, plain.stderr].concat();
    ensure!(plain.status.success() && !text.contains(&0x1b), "{:?}", String::from_utf8_lossy(&text));
    Ok(())
}
