//! The result of one fault, as a line of a table and as JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use hypermirror_bench::Spread;
use hypermirror_e2e::faults::Verdict;
use serde::Serialize;

/// The result of one fault.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// What was injected.
    pub fault: String,
    /// How often.
    pub times: usize,
    /// Number of hosted clusters.
    pub clusters: usize,
    /// Edits under it.
    pub edits: usize,
    /// Writes of targets that could not be saved.
    pub needed: usize,
    /// Writes of targets if no two edits were written together.
    pub at_most: usize,
    /// Writes of targets.
    pub patches: usize,
    /// Rollouts of targets.
    pub rollouts: usize,
    /// Writes of report statuses.
    pub statuses: usize,
    /// Changes of the leader.
    pub terms: usize,
    /// Lists that managers began.
    pub lists: usize,
    /// Refused requests of managers, by status code.
    pub refused: BTreeMap<u16, usize>,
    /// Other writes of managers.
    pub others: BTreeMap<String, usize>,
    /// Seconds from each injection until a replica led again.
    pub leaderless: Vec<f64>,
    /// Seconds from the last edit until everything had arrived.
    pub settled: f64,
    /// Other figures.
    pub notes: Vec<String>,
    /// What should not be.
    pub wrong: Vec<String>,
}

impl Outcome {
    /// Of a verdict.
    pub fn new(fault: &str, times: usize, clusters: usize, verdict: Verdict) -> Self {
        Self {
            fault: fault.to_owned(),
            times,
            clusters,
            edits: verdict.edits,
            needed: verdict.needed,
            at_most: verdict.at_most,
            patches: verdict.patches,
            rollouts: verdict.rollouts,
            statuses: verdict.statuses,
            terms: verdict.terms,
            lists: verdict.lists,
            refused: verdict.refused,
            others: verdict.others,
            leaderless: Vec::new(),
            settled: 0.0,
            notes: Vec::new(),
            wrong: verdict.wrong,
        }
    }

    /// With the times that it took to recover.
    #[must_use]
    pub fn recovered(mut self, leaderless: &[Duration], settled: Duration) -> Self {
        self.leaderless = leaderless.iter().map(Duration::as_secs_f64).collect();
        self.settled = settled.as_secs_f64();
        self
    }

    /// With another figure.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    fn refusals(&self) -> String {
        let each: Vec<String> = self.refused.iter().map(|(code, count)| format!("{count} of {code}")).collect();
        if each.is_empty() { "none".to_owned() } else { each.join(", ") }
    }

    /// Prints all figures.
    pub fn print(&self) {
        println!("\n{}, {} times, {} hosted clusters", self.fault, self.times, self.clusters);
        println!("  {} edits; writes of targets: {} needed, {} at most", self.edits, self.needed, self.at_most);
        println!("  made: {} writes, {} rollouts, {} report statuses", self.patches, self.rollouts, self.statuses);
        println!("  {} changes of the leader; {} lists; refused requests: {}", self.terms, self.lists, self.refusals());
        if !self.others.is_empty() {
            println!("  other writes: {:?}", self.others);
        }
        if !self.leaderless.is_empty() {
            let spread = Spread::of(self.leaderless.iter().copied());
            println!("  until a replica led again: {spread:.1} s");
        }
        println!("  from the last edit until everything had arrived: {:.1} s", self.settled);
        for note in &self.notes {
            println!("  {note}");
        }
        println!("  wrong: {}", self.wrong.len());
        for wrong in self.wrong.iter().take(20) {
            println!("    {wrong}");
        }
    }
}

/// All outcomes, as a table in Markdown.
pub fn table(outcomes: &[Outcome]) -> String {
    let mut lines = vec![
        "| fault | times | edits | writes needed / made / at most | rollouts | until a replica leads | until all has arrived | wrong |"
            .to_owned(),
        "|---|---|---|---|---|---|---|---|".to_owned(),
    ];
    for outcome in outcomes {
        let Outcome { fault, times, edits, needed, patches, at_most, rollouts, settled, wrong, .. } = outcome;
        let leads = if outcome.leaderless.is_empty() {
            "–".to_owned()
        } else {
            format!("{:.1} s", Spread::of(outcome.leaderless.iter().copied()))
        };
        lines.push(format!(
            "| {fault} | {times} | {edits} | {needed} / {patches} / {at_most} | {rollouts} | {leads} | {settled:.1} s | {} |",
            wrong.len()
        ));
    }
    lines.join("\n")
}
