//! Measures merging and printing of 10,000 entries, in realistic shapes and in shapes that are expensive to merge.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::hint::black_box;
use std::time::Duration;

use clap::Parser;
use hypermirror::hosted::sources::ManagementLayer;
use hypermirror::mirrors::registries::{RegistriesConfig, RegistriesFile, Role, render};
use hypermirror::mirrors::{Layer, MirrorEntry, Origin, PullBy, merge, overrides};
use hypermirror_bench::Spread;
use rustix::time::{ClockId, clock_gettime};

/// Merge and print of entries, in milliseconds.
#[derive(Parser)]
#[command(name = "rules")]
struct Arguments {
    /// Number of entries.
    #[arg(long, default_value_t = 10_000)]
    entries: usize,
    /// Number of measured runs, after two for warming up.
    #[arg(long, default_value_t = 15)]
    runs: usize,
}

/// One shape of input.
struct Shape {
    name: &'static str,
    entries: Vec<MirrorEntry>,
}

/// The times of the steps of one run.
struct Run {
    merge: Duration,
    print: Duration,
    render: Duration,
    /// Part of `render`.
    read_back: Duration,
    layer: Duration,
}

fn main() {
    let arguments = Arguments::parse();
    println!(
        "{} entries, milliseconds of CPU time, median (min to max) of {} runs\n",
        arguments.entries, arguments.runs
    );
    println!(
        "| input | merge | print | render | of which read back | without reading back | validate, merge, print, digest |"
    );
    println!("|---|---|---|---|---|---|---|");
    for shape in shapes(arguments.entries) {
        for _ in 0..2 {
            black_box(run(&shape.entries));
        }
        let runs: Vec<Run> = (0..arguments.runs).map(|_| run(&shape.entries)).collect();
        let of = |step: fn(&Run) -> Duration| Spread::of_milliseconds(runs.iter().map(step));
        let steps = [
            of(|run| run.merge),
            of(|run| run.print),
            of(|run| run.render),
            of(|run| run.read_back),
            of(|run| (run.merge + run.print + run.render).saturating_sub(run.read_back)),
            of(|run| run.layer),
        ];
        println!("| {} | {} |", shape.name, steps.map(|step| format!("{step:.1}")).join(" | "));
    }
}

/// `print` creates the environment variable and the argument for a control plane. `render` creates registries.conf for a node,
/// which is read back for validation. The last column is the work of the manager for the management layer after each edit.
fn run(entries: &[MirrorEntry]) -> Run {
    let (merge, resolved) = timed(|| merge::merge_layer(black_box(entries)));
    let (print, _) = timed(|| (overrides::print_env(&resolved), overrides::print_argument(&resolved)));
    let (render, rendered) = timed(|| render(&resolved, &RegistriesConfig::default()));
    let text = rendered.ok().and_then(|rendered| rendered.text).unwrap_or_default();
    let (read_back, _) = timed(|| RegistriesFile::parse(text.as_bytes(), Role::DropIn).is_ok());
    drop(resolved);
    let (layer, _) = timed(|| ManagementLayer::new(black_box(entries)));
    Run { merge, print, render, read_back, layer }
}

/// The CPU time of a function. It runs in one thread, so this equals the elapsed time on an idle machine and does not depend on
/// other programs.
fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let now = || {
        let now = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or_default())
    };
    let start = now();
    let done = black_box(work());
    (now().saturating_sub(start), done)
}

fn shapes(count: usize) -> Vec<Shape> {
    let shape = |name, entry: &dyn Fn(usize) -> (String, Vec<String>)| {
        let entries = (0..count).map(|n| {
            let (source, mirrors) = entry(n);
            as_entry(n, source, mirrors)
        });
        Shape { name, entries: entries.collect() }
    };
    let mirror = |n: usize| format!("mirror-{}.example/org-{}/app-{n}", n % 7, n % 13);
    vec![
        shape("a source each, two mirrors", &|n| {
            (format!("registry-{}.example/org-{}/app-{n}", n % 50, n % 200), vec![mirror(n), mirror(n + 1)])
        }),
        shape("ten objects name each source", &|n| {
            (format!("registry.example/app-{}", n / 10), vec![mirror(n), mirror(n - n % 10), mirror(n + 1)])
        }),
        shape("one source, a mirror each", &|n| ("registry.example/app".to_owned(), vec![mirror(n)])),
        shape("one source, a chain of mirrors", &|n| {
            ("registry.example/app".to_owned(), vec![mirror(n), mirror((n + 1) % count.max(1))])
        }),
        shape("nested, ten levels deep", &|n| {
            let levels: Vec<String> = (0..=n % 10).map(|level| format!("level-{level}-{}", n / 10)).collect();
            (format!("registry.example/{}", levels.join("/")), vec![mirror(n), mirror(n + 1)])
        }),
        shape("each source in both pools", &|n| {
            (format!("registry.example/app-{}", n / 2), vec![mirror(n), mirror(n - n % 2)])
        }),
    ]
}

fn as_entry(n: usize, source: String, mirrors: Vec<String>) -> MirrorEntry {
    // The last shape requires pulls by digest and by tag; for the others this has no effect.
    let pull_by = if n.is_multiple_of(2) { PullBy::Digest } else { PullBy::Tag };
    let (kind, list) = match pull_by {
        PullBy::Digest => ("ImageDigestMirrorSet", "spec.imageDigestMirrors"),
        PullBy::Tag => ("ImageTagMirrorSet", "spec.imageTagMirrors"),
    };
    let origin = Origin {
        kind: kind.to_owned(),
        namespace: None,
        name: format!("set-{}", n % 10),
        key: None,
        document: None,
        index: n / 10,
        layer: Layer::Management,
    };
    MirrorEntry { pull_by, source, mirrors, policy: None, insecure: false, list, origin }
}
