//! Stubs that are down: how long it takes until the reports show it, and until all is well again.

use std::collections::{BTreeMap, HashSet};
use std::time::Instant;

use anyhow::{Result, bail};
use hypermirror_bench::manager::LIMIT;
use hypermirror_e2e::stub_guests::State;

use crate::edits::Editor;
use crate::stage::name;

/// Seconds in `Retry-After`.
const RETRY_AFTER: u32 = 60;

/// Stubs that go down together, by how.
pub struct Dead {
    kinds: [(&'static str, State, Vec<usize>); 3],
}

impl Dead {
    /// The last guest clusters, which are stubs.
    pub fn of(guests: usize, dead: usize) -> Self {
        let all: Vec<usize> = (guests - dead..guests).collect();
        let (silent, unavailable) = all.split_at(dead / 2);
        let (plain, later) = unavailable.split_at(unavailable.len() / 2);
        Self {
            kinds: [
                ("silent", State::Silent, silent.to_vec()),
                ("503", State::Unavailable(None), plain.to_vec()),
                ("503 with Retry-After", State::Unavailable(Some(RETRY_AFTER)), later.to_vec()),
            ],
        }
    }

    pub fn all(&self) -> HashSet<usize> {
        self.kinds.iter().flat_map(|(_, _, guests)| guests.iter().copied()).collect()
    }

    /// Takes them down.
    pub async fn fall(&self, editor: &Editor<'_>) -> Result<()> {
        for (_, state, guests) in &self.kinds {
            editor.stage.stubs.set_state(&numbers(editor, guests), *state).await?;
        }
        Ok(())
    }

    /// Brings all back.
    pub async fn rise(&self, editor: &Editor<'_>) -> Result<()> {
        for (_, _, guests) in &self.kinds {
            editor.stage.stubs.set_state(&numbers(editor, guests), State::Up).await?;
        }
        Ok(())
    }

    /// Waits until the reports of all have this reason. Returns the seconds since `start` for each, by how they were down.
    pub async fn reported(
        &self,
        editor: &Editor<'_>,
        reason: &str,
        start: Instant,
    ) -> Result<BTreeMap<&'static str, Vec<f64>>> {
        let mut found = BTreeMap::<_, Vec<f64>>::new();
        let mut waiting: Vec<(&'static str, String)> =
            self.kinds.iter().flat_map(|(kind, _, guests)| guests.iter().map(|guest| (*kind, name(*guest)))).collect();
        while start.elapsed() < LIMIT {
            let reasons = editor.stage.reasons().await?;
            let now = start.elapsed().as_secs_f64();
            waiting.retain(|(kind, cluster)| {
                let is_there = reasons.get(cluster).is_some_and(|found| found == reason);
                if is_there {
                    found.entry(*kind).or_default().push(now);
                }
                !is_there
            });
            if waiting.is_empty() {
                return Ok(found);
            }
            tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        }
        bail!("{} guest clusters are not {reason}", waiting.len())
    }
}

/// The numbers among the stubs.
fn numbers(editor: &Editor<'_>, guests: &[usize]) -> Vec<usize> {
    guests.iter().map(|guest| guest - editor.stage.arguments.real).collect()
}
