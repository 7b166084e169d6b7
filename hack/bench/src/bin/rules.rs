//! Merge and print of 10,000 entries, in the shapes that fleets have and in those that make merging hard.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use clap::Parser;
use hypermirror::fleet::sources::ManagementLayer;
use hypermirror::mirrors::registries::{RegistriesConfig, render};
use hypermirror::mirrors::{Layer, MirrorEntry, Origin, Pool, merge, overrides};
use hypermirror_bench::Spread;

/// Merge and print of entries, in milliseconds.
#[derive(Parser)]
#[command(name = "rules")]
struct Arguments {
    /// How many entries there are.
    #[arg(long, default_value_t = 10_000)]
    entries: usize,
    /// How many runs count, after two that do not.
    #[arg(long, default_value_t = 15)]
    runs: usize,
}

/// One kind of input.
struct Shape {
    name: &'static str,
    entries: Vec<MirrorEntry>,
}

/// How long the steps of one run took.
struct Run {
    merge: Duration,
    print: Duration,
    render: Duration,
    layer: Duration,
}

fn main() {
    let arguments = Arguments::parse();
    println!("{} entries, median (min to max) of {} runs, milliseconds\n", arguments.entries, arguments.runs);
    println!("| shape | merge | print | render | all three | validate, merge, print, digest |");
    println!("|---|---|---|---|---|---|");
    for shape in shapes(arguments.entries) {
        for _ in 0..2 {
            black_box(run(&shape.entries));
        }
        let runs: Vec<Run> = (0..arguments.runs).map(|_| run(&shape.entries)).collect();
        let of = |step: fn(&Run) -> Duration| Spread::of_milliseconds(runs.iter().map(step));
        let all = of(|run| run.merge + run.print + run.render);
        let (merge, print, render) = (of(|run| run.merge), of(|run| run.print), of(|run| run.render));
        let layer = of(|run| run.layer);
        println!("| {} | {merge:.1} | {print:.1} | {render:.1} | {all:.1} | {layer:.1} |", shape.name);
    }
}

/// Printed is what a control plane is given: the value of the environment variable and of the argument; rendered what a
/// node is given: registries.conf, read back and judged. The last step is what the manager does with the management
/// layer after each edit.
fn run(entries: &[MirrorEntry]) -> Run {
    let start = Instant::now();
    let resolved = merge::merge_layer(black_box(entries));
    let merge = start.elapsed();
    let printing = Instant::now();
    black_box((overrides::print_env(&resolved), overrides::print_argument(&resolved)));
    let print = printing.elapsed();
    let rendering = Instant::now();
    _ = black_box(render(&resolved, &RegistriesConfig::default()));
    let render = rendering.elapsed();
    drop(resolved);
    let start = Instant::now();
    black_box(ManagementLayer::new(black_box(entries)));
    Run { merge, print, render, layer: start.elapsed() }
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
    // The last shape wants both pools; the others do not mind.
    let pool = if n.is_multiple_of(2) { Pool::Digest } else { Pool::Tag };
    let (kind, list) = match pool {
        Pool::Digest => ("ImageDigestMirrorSet", "spec.imageDigestMirrors"),
        Pool::Tag => ("ImageTagMirrorSet", "spec.imageTagMirrors"),
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
    MirrorEntry { pool, source, mirrors, policy: None, insecure: false, list, origin }
}
