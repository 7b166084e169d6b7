//! The result of one fault, as a line of a table and as JSON.

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
    /// What the audit log and the final state say.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Seconds from each injection until a replica led again.
    pub leaderless: Vec<f64>,
    /// Seconds from the last edit until everything had arrived.
    pub settled: f64,
    /// Other figures.
    pub notes: Vec<String>,
}

impl Outcome {
    /// Of a verdict.
    pub fn new(fault: &str, times: usize, clusters: usize, verdict: Verdict) -> Self {
        let (fault, leaderless, notes) = (fault.to_owned(), Vec::new(), Vec::new());
        Self { fault, times, clusters, verdict, leaderless, settled: 0.0, notes }
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
        let each: Vec<String> = self.verdict.refused.iter().map(|(code, count)| format!("{count} of {code}")).collect();
        if each.is_empty() { "none".to_owned() } else { each.join(", ") }
    }

    /// Prints all figures.
    pub fn print(&self) {
        let Verdict { edits, needed, at_most, patches, rollouts, statuses, terms, lists, others, wrong, .. } =
            &self.verdict;
        println!("\n{}, {} times, {} hosted clusters", self.fault, self.times, self.clusters);
        println!("  {edits} edits; writes of targets: {needed} needed, {at_most} at most");
        println!("  made: {patches} writes, {rollouts} rollouts, {statuses} report statuses");
        println!("  {terms} changes of the leader; {lists} lists; refused requests: {}", self.refusals());
        if !others.is_empty() {
            println!("  other writes: {others:?}");
        }
        if !self.leaderless.is_empty() {
            let spread = Spread::of(self.leaderless.iter().copied());
            println!("  until a replica led again: {spread:.1} s");
        }
        println!("  from the last edit until everything had arrived: {:.1} s", self.settled);
        for note in &self.notes {
            println!("  {note}");
        }
        println!("  wrong: {}", wrong.len());
        for wrong in wrong.iter().take(20) {
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
        let Outcome { fault, times, settled, .. } = outcome;
        let Verdict { edits, needed, patches, at_most, rollouts, wrong, .. } = &outcome.verdict;
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
