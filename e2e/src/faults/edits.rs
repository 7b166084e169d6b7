//! Edits of mirrors at random places, which never stop, and what is declared after each.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use crate::fleet::Fleet;
use crate::fleet::objects::{hosted_cluster, idms};
use crate::rival::random::Random;

/// An edit is tried again as long as the API server is away: what is declared is never in doubt at the end.
const PATIENCE: Duration = Duration::from_mins(5);
const ATTEMPT: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(200);

/// One edit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// Its number, which is part of the mirror's name and greater than that of all earlier edits.
    pub number: u32,
    /// The hosted cluster, by name. `None`: the mirrors of the management cluster, which all hosted clusters get.
    pub cluster: Option<String>,
    /// When it was sent first.
    pub sent: Timestamp,
}

impl Edit {
    /// Whether this edit changes the mirrors of a hosted cluster.
    pub fn concerns(&self, cluster: &str) -> bool {
        self.cluster.as_deref().is_none_or(|own| own == cluster)
    }
}

/// What is declared.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// All edits, in the order in which they were sent.
    pub edits: Vec<Edit>,
    /// The last edit of the mirrors of the management cluster; 0 without one.
    shared: u32,
    /// The last edit of each hosted cluster's own mirrors; 0 without one.
    own: BTreeMap<String, u32>,
    last: u32,
}

/// A ledger that edits and their observer share.
pub type SharedLedger = Arc<Mutex<Ledger>>;

/// Locks a ledger.
pub fn locked(ledger: &SharedLedger) -> MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ledger {
    /// Records the next edit.
    pub(super) fn next(&mut self, cluster: Option<&str>) -> u32 {
        self.last += 1;
        match cluster {
            Some(name) => _ = self.own.insert(name.to_owned(), self.last),
            None => self.shared = self.last,
        }
        let cluster = cluster.map(str::to_owned);
        self.edits.push(Edit { number: self.last, cluster, sent: Timestamp::now() });
        self.last
    }

    /// The state of a hosted cluster's mirrors.
    pub fn state(&self, cluster: &str) -> State {
        State { own: self.own.get(cluster).copied().unwrap_or_default(), shared: self.shared }
    }

    /// Forgets the edits, not what is declared by them.
    pub fn begin(&mut self) {
        self.edits.clear();
    }
}

/// The edits that a value of a target carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Of the hosted cluster's own mirrors.
    pub own: u32,
    /// Of the mirrors of the management cluster.
    pub shared: u32,
}

impl State {
    /// The value of a target: an entry that is never edited, and one of each kind that is.
    pub fn value(self) -> String {
        let Self { own, shared } = self;
        format!("keep.example=m.example/keep,own.example=m.example/n{own},src.example=m.example/e{shared}")
    }

    /// The state of a value; `None` if an entry is missing, foreign or out of order.
    pub fn parse(value: &str) -> Option<Self> {
        let mut parts = value.split(',');
        let keep = parts.next()? == "keep.example=m.example/keep";
        let own = parts.next()?.strip_prefix("own.example=m.example/n")?.parse().ok()?;
        let shared = parts.next()?.strip_prefix("src.example=m.example/e")?.parse().ok()?;
        (keep && parts.next().is_none()).then_some(Self { own, shared })
    }

    /// Whether this is the same or a later state in every respect.
    pub fn is_not_before(self, other: Self) -> bool {
        self.own >= other.own && self.shared >= other.shared
    }
}

/// The mirrors that are never edited.
pub fn kept() -> Value {
    idms("keep", &[("keep.example", &["m.example/keep"], None)])
}

/// The mirrors of the management cluster.
pub fn shared(number: u32) -> Value {
    idms("edited", &[("src.example", &[&format!("m.example/e{number}")], None)])
}

/// A hosted cluster with its own mirrors.
pub fn own(cluster: &str, number: u32) -> Value {
    hosted_cluster(cluster, &[("own.example", &[&format!("m.example/n{number}")], None)])
}

/// How often mirrors are edited.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Time between edits of the mirrors of the management cluster.
    pub shared: Duration,
    /// Time between edits of a random hosted cluster.
    pub own: Duration,
}

/// Edits that go on until they are ended.
pub struct Editor {
    task: JoinHandle<Result<()>>,
    end: oneshot::Sender<()>,
}

impl Editor {
    /// Starts to edit. Hosted clusters that are named more often are edited more often.
    pub fn start(fleet: &Fleet, names: &[String], ledger: &SharedLedger, pace: Pace, seed: u64) -> Self {
        let (end, ended) = oneshot::channel();
        let work = edit(fleet.clone(), names.to_vec(), ledger.clone(), pace, Random::seeded(seed), ended);
        Self { task: tokio::spawn(work), end }
    }

    /// Stops after the edit that is being sent.
    ///
    /// # Errors
    ///
    /// If an edit could not be sent.
    pub async fn end(self) -> Result<()> {
        // If nobody listens, the task has failed, and its error says why.
        _ = self.end.send(());
        self.task.await?
    }
}

async fn edit(
    fleet: Fleet,
    names: Vec<String>,
    ledger: SharedLedger,
    pace: Pace,
    mut random: Random,
    mut ended: oneshot::Receiver<()>,
) -> Result<()> {
    let (mut all, mut one) = (interval(pace.shared), interval(pace.own));
    // Edits that an outage delayed are not made up for.
    all.set_missed_tick_behavior(MissedTickBehavior::Delay);
    one.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let cluster = tokio::select! {
            _ = &mut ended => return Ok(()),
            _ = all.tick() => None,
            _ = one.tick() => Some(random.one_of(&names).as_str()),
        };
        let number = locked(&ledger).next(cluster);
        let object = cluster.map_or_else(|| shared(number), |name| own(name, number));
        declare(&fleet, &object).await.with_context(|| format!("edit {number}"))?;
    }
}

/// Applies one object, and again until the API server has taken it.
pub(super) async fn declare(fleet: &Fleet, object: &Value) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let error = match timeout(ATTEMPT, fleet.apply(object)).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) => format!("{error:#}"),
            Err(_) => format!("no response within {ATTEMPT:?}"),
        };
        if Instant::now() > deadline {
            bail!("not applied within {PATIENCE:?}: {error}");
        }
        sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_they_are_written() {
        let state = State { own: 12, shared: 7 };
        assert_eq!(State::parse(&state.value()), Some(state));
        for wrong in ["", "=", "keep.example=m.example/keep", "own.example=m.example/n1,src.example=m.example/e1"] {
            assert_eq!(State::parse(wrong), None, "{wrong}");
        }
        assert_eq!(State::parse(&format!("{},x.example=y", state.value())), None);
    }

    #[test]
    fn the_ledger_knows_what_is_declared_for_each_hosted_cluster() {
        let mut ledger = Ledger::default();
        assert_eq!((ledger.next(Some("a")), ledger.next(None), ledger.next(Some("b"))), (1, 2, 3));
        assert_eq!(ledger.state("a"), State { own: 1, shared: 2 });
        assert_eq!(ledger.state("c"), State { own: 0, shared: 2 });
        assert_eq!(ledger.edits.iter().filter(|edit| edit.concerns("a")).count(), 2);
        ledger.begin();
        assert_eq!((ledger.edits.len(), ledger.state("b")), (0, State { own: 3, shared: 2 }));
    }
}
