//! The order of the measurements.

use std::collections::HashSet;
use std::pin::pin;
use std::time::{Duration, Instant};

use anyhow::Result;
use hypermirror_bench::Spread;
use hypermirror_bench::manager::{Manager, usage};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::Arguments;
use crate::dead::Dead;
use crate::edits::{Block, Editor, exact};
use crate::stage::Stage;
use crate::table;

/// Time that `Editor::rests` waits after the last request.
const REST: f64 = 2.0;
/// Interval between two counts of open files.
const SAMPLE: Duration = Duration::from_millis(100);

pub async fn measure(arguments: Arguments) -> Result<()> {
    // Inherited by the manager. The servers of the test bed and the stubs raise it by themselves.
    let limit = Rlimit { current: Some(arguments.soft_limit), ..getrlimit(Resource::Nofile) };
    setrlimit(Resource::Nofile, limit)?;
    let started = Instant::now();
    let stage = Stage::start(arguments).await?;
    let stubs = arguments.guests - arguments.real;
    println!(
        "{} guest clusters: {} with a real API server, {stubs} stubs in one process, which answer what the manager asks",
        arguments.guests, arguments.real
    );
    eprintln!("created after {:.0} s", started.elapsed().as_secs_f64());
    let mut editor = Editor::new(&stage)?;
    let manager = first(&editor).await?;
    idle(&editor, &manager).await?;
    alternate(&mut editor, &manager).await?;
    let manager = takeover(&editor, manager).await?;
    println!("stubs: {:.0} MB", usage(stage.stubs.id())?.resident);
    manager.stop().await
}

fn everybody(arguments: Arguments) -> HashSet<usize> {
    (0..arguments.guests).collect()
}

/// The first push.
async fn first(editor: &Editor<'_>) -> Result<Manager> {
    let arguments = editor.stage.arguments;
    let start = Instant::now();
    let manager = editor.stage.manager(0).await?;
    println!("\nstart with guest clusters that have nothing of hypermirror:");
    begin(editor, &manager, start).await?;
    editor.stage.synced(&(0..arguments.guests).collect::<Vec<_>>(), "AsExpected").await?;
    println!("  reports of all after {:.1} s", start.elapsed().as_secs_f64());
    Ok(manager)
}

/// Waits until a manager that begins to lead is idle.
async fn begin(editor: &Editor<'_>, manager: &Manager, start: Instant) -> Result<()> {
    let arguments = editor.stage.arguments;
    let everybody = everybody(arguments);
    let (mut peak, rests) = (0, editor.rests_after(&everybody, arguments.guests - arguments.real));
    let mut rests = pin!(rests);
    let requests = loop {
        tokio::select! {
            requests = &mut rests => break requests?,
            () = tokio::time::sleep(SAMPLE) => peak = peak.max(manager.open_files()?),
        }
    };
    println!(
        "  ready after {:.1} s; guest clusters are idle after {:.1} s",
        manager.ready_after.as_secs_f64(),
        start.elapsed().as_secs_f64() - REST
    );
    println!("  open files at most {peak}");
    table::requests("until then", &requests, exact(arguments.guests - arguments.real));
    table::process("manager", manager).await
}

async fn idle(editor: &Editor<'_>, manager: &Manager) -> Result<()> {
    let arguments = editor.stage.arguments;
    editor.rests(&everybody(arguments)).await?;
    let before = manager.usage()?.cpu;
    tokio::time::sleep(Duration::from_secs(arguments.idle)).await;
    println!("\nwithout changes for {} s:", arguments.idle);
    let requests = editor.requests(&everybody(arguments)).await?;
    table::requests("meanwhile", &requests, exact(arguments.guests - arguments.real));
    println!("  processor time of the manager: {:.2} s", manager.usage()?.cpu - before);
    table::process("manager", manager).await
}

/// Blocks without and with guest clusters that are down, in turn.
async fn alternate(editor: &mut Editor<'_>, manager: &Manager) -> Result<()> {
    let arguments = editor.stage.arguments;
    let dead = Dead::of(arguments.guests, arguments.dead);
    let everybody = everybody(arguments);
    let healthy: HashSet<usize> = everybody.difference(&dead.all()).copied().collect();
    let (mut without, mut with) = (Block::default(), Block::default());
    let (mut of_one, mut of_all) = (Vec::new(), Vec::new());
    for round in 1..=arguments.rounds {
        println!("\nround {round}, all up:");
        let before = editor.block(manager, &healthy).await?;
        table::block(&before);
        table::process("manager", manager).await?;

        println!("round {round}, {} down:", arguments.dead);
        dead.fall(editor).await?;
        let start = Instant::now();
        table::times("first edit of all, before anything is reported", &editor.of_all(&healthy).await?);
        table::seconds("time until ConnectionDown", &dead.reported(editor, "ConnectionDown", start).await?);
        let beside = editor.block(manager, &healthy).await?;
        table::block(&beside);
        table::process("manager", manager).await?;

        at_rest(manager, arguments.idle).await?;

        dead.rise(editor).await?;
        let start = Instant::now();
        table::seconds("time from their return to AsExpected", &dead.reported(editor, "AsExpected", start).await?);
        editor.stage.synced(&everybody.iter().copied().collect::<Vec<_>>(), "AsExpected").await?;
        table::times("the next edit of all", &editor.of_all(&everybody).await?);
        let (one, all) = table::ratios(&before, &beside);
        of_one.push(one);
        of_all.push(all);
        without.extend(before);
        with.extend(beside);
    }
    println!("\nall rounds, all up:");
    table::block(&without);
    println!("all rounds, {} down:", arguments.dead);
    table::block(&with);
    let (one, all) = table::ratios(&without, &with);
    println!("ratio of the 99th percentiles, one guest cluster: {one:.2}; per round {:.2}", Spread::of(of_one));
    println!("ratio of the 99th percentiles, all guest clusters: {all:.2}; per round {:.2}", Spread::of(of_all));
    Ok(())
}

/// Prints the requests of the manager to all clusters while nothing changes.
async fn at_rest(manager: &Manager, seconds: u64) -> Result<()> {
    for (what, metric) in [
        ("the management cluster", "hypermirror_client_requests_total"),
        ("guest clusters", "hypermirror_guest_requests_total"),
    ] {
        let before = manager.series(metric).await?;
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        println!("  requests to {what} in {seconds} s without changes:");
        for (labels, count) in manager.series(metric).await? {
            let more = count - before.get(&labels).copied().unwrap_or_default();
            if more > 0 {
                println!("    {more} {labels}");
            }
        }
    }
    Ok(())
}

/// Another replica takes over.
async fn takeover(editor: &Editor<'_>, manager: Manager) -> Result<Manager> {
    let standby = Manager::standby(editor.stage.scene.management(), 1, &Stage::flags()).await?;
    editor.rests(&everybody(editor.stage.arguments)).await?;
    println!("\ntakeover:");
    table::process("standby", &standby).await?;
    let start = Instant::now();
    manager.stop().await?;
    standby.leads().await?;
    println!("  the other replica leads after {:.1} s", start.elapsed().as_secs_f64());
    begin(editor, &standby, start).await?;
    Ok(standby)
}
