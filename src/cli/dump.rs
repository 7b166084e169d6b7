//! `dump`: a support bundle without secrets.

mod answers;
mod archive;
mod guests;
mod objects;
mod pages;
mod processes;
mod reader;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use jiff::Timestamp;

use super::answer::UNKNOWN;
use super::input::Connection;
use super::{Usage, console};
use crate::manager::options::PlanOptions;
use crate::process::flags::parse_duration;
use crate::redaction::Redactor;
use answers::Answers;
use archive::Archive;
use objects::Objects;
use processes::Processes;
use reader::{Reader, Versions};

/// Flags of `dump`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  hypermirror dump
  hypermirror dump -o ticket-4711.tar.gz --guests
Everything is redacted: only fields, words and names that are known to hold no
secret are kept. No Secret is read, except kubeconfigs with --guests.
Exit code: 0 if the bundle has everything, 1 if there is no bundle, 2 for bad
usage, 3 if something is missing in it (errors.txt).")]
pub struct DumpArgs {
    /// File to write (default: hypermirror-dump-TIME.tar.gz)
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Also read nodes, mirrors and agents of guest clusters
    #[arg(long)]
    guests: bool,
    /// Time after which what is not read yet is left out
    #[arg(long, value_name = "DURATION", default_value = "3m", value_parser = parse_duration)]
    timeout: Duration,
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    plan: PlanOptions,
}

/// Writes the bundle.
pub async fn run(args: &DumpArgs) -> Result<ExitCode> {
    let now = Timestamp::now();
    let file = args.output.clone().unwrap_or_else(|| default_name(now));
    if file.symlink_metadata().is_ok() {
        return Err(Usage::error(format!("{} exists; choose another name with -o", file.display())));
    }
    let client = args.connection.connect().await?;
    let mut reader = Reader::new(client, args.timeout);
    let versions = reader.versions().await;
    let mut objects = Objects::read(&mut reader, &args.plan.targets()).await;
    if args.guests {
        guests::read(&mut reader, &mut objects).await;
    }
    // Before the pages, which take the rest of the time in a large fleet.
    let processes = processes::read(&mut reader, &objects).await;
    let answers = answers::read(&mut reader, &args.connection, &args.plan, now).await;
    let found = Found { versions, objects, processes, answers };
    let redactor = found.redactor();
    let mut archive = found.redacted(&redactor, &mut reader)?;
    let left_out = pages::left_out(&mut reader, &found.answers.pages);
    finish(&mut archive, &reader, &redactor, (now, &left_out))?;
    archive.write(&file).with_context(|| format!("failed to write {}", file.display()))?;
    Ok(report(&archive, &reader, &file))
}

/// What was read, with secrets.
struct Found {
    versions: Versions,
    objects: Objects,
    processes: Processes,
    answers: Answers,
}

impl Found {
    /// Knows the names in everything.
    fn redactor(&self) -> Redactor {
        let mut redactor = Redactor::default();
        self.versions.names().for_each(|name| redactor.learn_text(name));
        self.objects.learn(&mut redactor);
        for (_, value, shape) in &self.answers.values {
            redactor.learn(value, shape);
        }
        redactor
    }

    /// The files without secrets. The first ones are the last that the limit of the archive leaves out.
    fn redacted(&self, redactor: &Redactor, reader: &mut Reader) -> Result<Archive> {
        let mut archive = Archive::default();
        let mut add = |path: &[&str], content: Vec<u8>| {
            if let Err(why) = archive.add(path, content) {
                reader.miss(path.join("/"), why);
            }
        };
        add(&["versions.json"], json(&self.versions.values)?);
        let objects = self.objects.redacted(redactor);
        for (path, value) in objects.files() {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            add(&path, json(value)?);
        }
        for (name, value, shape) in &self.answers.values {
            if let Some(kept) = redactor.keep(value, shape) {
                add(&[*name], json(&kept)?);
            }
        }
        for (path, content) in self.processes.redacted(redactor) {
            add(&[path.0, &path.1], content.into_bytes());
        }
        add(&["status.txt"], answers::status(&objects).into_bytes());
        for (name, content) in pages::redacted(&self.answers.pages, redactor) {
            add(&name.split('/').collect::<Vec<_>>(), content.into_bytes());
        }
        Ok(archive)
    }
}

/// Adds what is in the bundle, and what is not.
fn finish(
    archive: &mut Archive,
    reader: &Reader,
    redactor: &Redactor,
    (now, left_out): (Timestamp, &[String]),
) -> Result<()> {
    let mut errors = String::new();
    for (what, why) in reader.missing() {
        let _ = writeln!(errors, "{}: {}", redactor.text(what), redactor.text(why));
    }
    if !errors.is_empty() {
        archive.add(&["errors.txt"], errors.into_bytes()).map_err(anyhow::Error::msg)?;
    }
    let mut manifest = format!("hypermirror {} dump of {now}\n", env!("CARGO_PKG_VERSION"));
    let state = match reader.missing().count() {
        0 => "complete".to_owned(),
        count => format!("incomplete: {count} parts are missing, see errors.txt"),
    };
    let _ = writeln!(manifest, "{state}");
    for kind in reader.absent() {
        let _ = writeln!(manifest, "not served by the cluster: {kind}");
    }
    for path in left_out {
        let _ = writeln!(manifest, "left out: {path}");
    }
    for (path, bytes) in archive.list() {
        let _ = writeln!(manifest, "{bytes:>10} {path}");
    }
    archive.add(&["MANIFEST"], manifest.into_bytes()).map_err(anyhow::Error::msg)
}

fn report(archive: &Archive, reader: &Reader, file: &std::path::Path) -> ExitCode {
    let mut count = 0;
    for (what, why) in reader.missing() {
        count += 1;
        console::warning(format!("{what} is missing: {why}"));
    }
    let files = archive.list().count();
    console::note(format!("wrote {} with {files} files; look into it before you pass it on", file.display()));
    if count > 0 { ExitCode::from(UNKNOWN) } else { ExitCode::SUCCESS }
}

fn default_name(now: Timestamp) -> PathBuf {
    format!("hypermirror-dump-{}.tar.gz", now.strftime("%Y%m%dT%H%M%SZ")).into()
}

fn json(value: &impl serde::Serialize) -> Result<Vec<u8>> {
    let mut text = serde_json::to_vec_pretty(value)?;
    text.push(b'\n');
    Ok(text)
}
