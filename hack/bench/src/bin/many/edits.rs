//! Edits of one guest cluster and of all, and what they cost.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, ensure};
use hypermirror_bench::manager::{LIMIT, Manager};

use crate::arrivals::Arrivals;
use crate::stage::Stage;

/// Time without requests to guest clusters after which the manager is idle.
const REST: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(250);

/// Requests by method and resource.
pub type Requests = BTreeMap<String, usize>;

/// The edits of one block.
#[derive(Default)]
pub struct Block {
    /// Time of each edit of one guest cluster, in milliseconds.
    pub one: Vec<f64>,
    /// Time of each edit of all, for each guest cluster, in milliseconds.
    pub all: Vec<f64>,
    /// Time of the last guest cluster, for each edit of all, in milliseconds.
    pub last: Vec<f64>,
    /// Requests to stubs that are up, for one edit of one of them.
    pub requests: Vec<f64>,
    /// Processor time of the manager for each edit of all, in seconds.
    pub cpu: Vec<f64>,
}

impl Block {
    pub fn extend(&mut self, other: Self) {
        self.one.extend(other.one);
        self.all.extend(other.all);
        self.last.extend(other.last);
        self.requests.extend(other.requests);
        self.cpu.extend(other.cpu);
    }
}

/// Makes edits with names that were never used.
pub struct Editor<'a> {
    pub stage: &'a Stage,
    pub arrivals: Arrivals,
    edits: usize,
}

impl<'a> Editor<'a> {
    pub fn new(stage: &'a Stage) -> Result<Self> {
        Ok(Self { stage, arrivals: Arrivals::follow(&stage.guests)?, edits: 0 })
    }

    pub fn next_mirror(&mut self) -> String {
        self.edits += 1;
        format!("mirror.example/edit-{:05}", self.edits)
    }

    /// The edits of one block, which arrive in these guest clusters.
    pub async fn block(&mut self, manager: &Manager, healthy: &HashSet<usize>) -> Result<Block> {
        let arguments = self.stage.arguments;
        let mut block = Block::default();
        let mut all: Vec<usize> = healthy.iter().copied().collect();
        all.sort_unstable();
        // What came before is over: 200 guest clusters that return keep the manager busy for seconds.
        self.rests(healthy).await?;
        // Evenly distributed, so that there are real ones and stubs.
        let step = (all.len() / arguments.edits.max(1)).max(1);
        for guest in all.into_iter().step_by(step).take(arguments.edits) {
            let mirror = self.next_mirror();
            let start = SystemTime::now();
            self.stage.edit(guest, &mirror).await?;
            let arrived = self.arrivals.of(&self.stage.stubs, &mirror, &HashSet::from([guest])).await?;
            block.one.extend(milliseconds(start, &arrived));
        }
        for _ in 0..arguments.edits_of_all {
            self.rests(healthy).await?;
            let before = manager.usage()?.cpu;
            let delays = self.of_all(healthy).await?;
            block.last.push(delays.iter().copied().fold(0.0, f64::max));
            block.all.extend(delays);
            let requests = self.rests(healthy).await?;
            block.cpu.push(manager.usage()?.cpu - before);
            let stubs = healthy.iter().filter(|guest| **guest >= arguments.real).count();
            block.requests.push(exact(requests.values().sum()) / exact(stubs));
        }
        Ok(block)
    }

    /// Edits all guest clusters. Returns the times of these, in milliseconds.
    pub async fn of_all(&mut self, healthy: &HashSet<usize>) -> Result<Vec<f64>> {
        let mirror = self.next_mirror();
        let start = SystemTime::now();
        self.stage.edit_all(&mirror).await?;
        let arrived = self.arrivals.of(&self.stage.stubs, &mirror, healthy).await?;
        Ok(milliseconds(start, &arrived))
    }

    /// Waits until these guest clusters get no requests. Returns those to stubs until then. A watch that is renewed is no request:
    /// each lasts minutes, and of 1,500 some are always due.
    pub async fn rests(&self, guests: &HashSet<usize>) -> Result<Requests> {
        self.rests_after(guests, 0).await
    }

    /// Like [`Self::rests`], but not before this number of stubs has got a request.
    pub async fn rests_after(&self, guests: &HashSet<usize>, stubs: usize) -> Result<Requests> {
        let (mut all, mut asked, start) = (Requests::new(), HashSet::new(), Instant::now());
        let mut last = start;
        while last.elapsed() < REST || asked.len() < stubs {
            ensure!(start.elapsed() < LIMIT, "{} of {stubs} stubs have got requests", asked.len());
            for (guest, requests) in self.requests_by_guest(guests).await? {
                if requests.iter().any(|request| !request.starts_with("WATCH ")) {
                    last = Instant::now();
                    asked.insert(guest);
                }
                add(&mut all, &requests)?;
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(all)
    }

    /// The requests to these stubs since the last call.
    pub async fn requests(&self, guests: &HashSet<usize>) -> Result<Requests> {
        let mut all = Requests::new();
        for (_, requests) in self.requests_by_guest(guests).await? {
            add(&mut all, &requests)?;
        }
        Ok(all)
    }

    async fn requests_by_guest(&self, guests: &HashSet<usize>) -> Result<Vec<(usize, Vec<String>)>> {
        let real = self.stage.arguments.real;
        let numbered = self.stage.stubs.requests().await?.into_iter().enumerate();
        let all = numbered.map(|(stub, requests)| (stub + real, requests));
        Ok(all.filter(|(guest, _)| guests.contains(guest)).collect())
    }
}

fn add(all: &mut Requests, requests: &[String]) -> Result<()> {
    for request in requests {
        *all.entry(kind(request)?).or_default() += 1;
    }
    Ok(())
}

/// Method and resource of a request.
fn kind(request: &str) -> Result<String> {
    let (method, path) = request.split_once(' ').context("a request without a path")?;
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let rest = parts.get(if parts.first() == Some(&"api") { 2 } else { 3 }..).unwrap_or_default();
    let resource = match rest {
        [] if path == "/version" => "version",
        [] => "discovery",
        ["namespaces", _, resource, ..] | [resource, ..] => resource,
    };
    Ok(format!("{method} {resource}"))
}

pub fn milliseconds(start: SystemTime, arrived: &HashMap<usize, SystemTime>) -> Vec<f64> {
    arrived.values().map(|at| at.duration_since(start).unwrap_or_default().as_secs_f64() * 1000.0).collect()
}

pub fn exact(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}
