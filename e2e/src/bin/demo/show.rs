//! Output of the demo.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;

use anyhow::{Context as _, Result};
use hypermirror_e2e::fleet::{Fleet, NAMESPACE, TARGETS, deployments};
use serde_json::Value;

/// The value that each target of some hosted clusters reads, by hosted cluster and target.
pub type Values = BTreeMap<String, BTreeMap<&'static str, String>>;

/// Reads these values.
pub async fn values(fleet: &Fleet, clusters: &[&str]) -> Result<Values> {
    let mut values = Values::new();
    for cluster in clusters {
        let read = fleet.effective_values(cluster).await?;
        let read = read.into_iter().map(|(target, value)| (target, value.unwrap_or_default()));
        values.insert((*cluster).to_owned(), read.collect());
    }
    Ok(values)
}

/// Prints, with colour on a terminal only.
pub struct Show {
    colour: bool,
}

impl Show {
    /// Uses colours if standard output is a terminal.
    pub fn new() -> Self {
        Self { colour: std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// The title of a step.
    pub fn title(&self, text: &str) {
        println!("\n{}", self.paint("1", &format!("== {text}")));
    }

    /// A command that is about to run.
    pub fn command(&self, text: &str) {
        println!("\n{}", self.paint("2", &format!("$ {text}")));
    }

    /// A sentence.
    #[allow(clippy::unused_self)] // called like the other methods
    pub fn note(&self, text: &str) {
        println!("{text}");
    }

    /// Prints the reports with the columns of the API server.
    pub async fn reports(&self, fleet: &Fleet) -> Result<()> {
        self.command("kubectl get hostedclustermirrors -n clusters");
        let path = format!("/apis/hypermirror.dev/v1alpha1/namespaces/{NAMESPACE}/hostedclustermirrors");
        table(fleet, &path, false).await?;
        self.note("(GUEST is Unknown until a guest cluster exists.)");
        Ok(())
    }

    /// Prints the Registries in the same way.
    pub async fn registries(&self, fleet: &Fleet) -> Result<()> {
        self.command(&format!("kubectl get registries -n {NAMESPACE}"));
        let path = format!("/apis/registry.kubecontroller.io/v1alpha1/namespaces/{NAMESPACE}/registries");
        table(fleet, &path, false).await
    }

    /// Prints the pods of a guest cluster in the same way.
    pub async fn pods(&self, guest: &Fleet) -> Result<()> {
        self.command("kubectl --kubeconfig east get pods -A");
        table(guest, "/api/v1/pods", true).await
    }

    /// Shows the values of one hosted cluster's targets, entry by entry: the stock value and the appended one.
    pub async fn targets(&self, fleet: &Fleet, cluster: &str) -> Result<()> {
        let (parent, children) = TARGETS.split_first().context("no target")?;
        let env = deployments::env_values(&fleet.deployment(cluster, parent).await?);
        let (ours, stock) = env.split_last().context("no env var")?;
        println!(
            "\n{parent} of {cluster} now has the variable {} twice. The process uses the last one:",
            deployments::ENV
        );
        println!("  value of the stock operator, unchanged (sorted by name, without tag mirrors):");
        for entry in stock.iter().flat_map(|value| value.split(',')) {
            println!("    {}", self.paint("2", entry));
        }
        println!(
            "  value that hypermirror has appended (in declared order; mirrors of the hosted cluster come first):"
        );
        for entry in ours.split(',') {
            println!("    {}", self.paint("32", entry));
        }
        println!("  {} have the same values.", children.join(" and "));
        let ignition = fleet.deployment(cluster, "ignition-server").await?;
        let words =
            ignition["spec"]["template"]["spec"]["containers"][0]["args"].as_array().cloned().unwrap_or_default();
        if let [.., name, value] = words.as_slice() {
            println!("  ignition-server cannot fall back, so its argument has the sources with NeverContactSource:");
            let text = |word: &Value| word.as_str().unwrap_or_default().to_owned();
            println!("    {}", self.paint("32", &format!("{} {}", text(name), text(value))));
        }
        Ok(())
    }

    /// Shows the changes, entry by entry. Targets with the same change are listed together.
    pub async fn changes(&self, fleet: &Fleet, before: &Values) -> Result<()> {
        let clusters: Vec<&str> = before.keys().map(String::as_str).collect();
        let after = values(fleet, &clusters).await?;
        for (cluster, before) in before {
            let mut by_change: BTreeMap<String, Vec<&str>> = BTreeMap::new();
            for target in TARGETS {
                let text = |values: &BTreeMap<&str, String>| values.get(target).cloned().unwrap_or_default();
                let change = self.change(&text(before), &after.get(cluster).map(text).unwrap_or_default());
                by_change.entry(change).or_default().push(target);
            }
            for (change, targets) in by_change {
                println!("  {cluster}: {}\n{change}", targets.join(", "));
            }
        }
        Ok(())
    }

    fn change(&self, before: &str, after: &str) -> String {
        let sources = |value: &str| {
            let mut sources: BTreeMap<String, Vec<String>> = BTreeMap::new();
            for (source, mirror) in value.split(',').filter_map(|entry| entry.split_once('=')) {
                sources.entry(source.to_owned()).or_default().push(mirror.to_owned());
            }
            sources
        };
        let (before, after) = (sources(before), sources(after));
        let mut lines = Vec::new();
        let missing_in = |others: &BTreeMap<String, Vec<String>>, source: &String, mirrors: &Vec<String>| {
            others.get(source) != Some(mirrors)
        };
        for (source, mirrors) in before.iter().filter(|(source, mirrors)| missing_in(&after, source, mirrors)) {
            lines.push((source, 0, self.paint("31", &format!("    - {source} -> {}", mirrors.join(", ")))));
        }
        for (source, mirrors) in after.iter().filter(|(source, mirrors)| missing_in(&before, source, mirrors)) {
            lines.push((source, 1, self.paint("32", &format!("    + {source} -> {}", mirrors.join(", ")))));
        }
        lines.sort();
        lines.into_iter().map(|(_, _, line)| line).collect::<Vec<_>>().join("\n")
    }
}

/// Prints a list as `kubectl get` does: with the columns of the API server, and with namespaces as with `-A`.
async fn table(fleet: &Fleet, path: &str, namespaces: bool) -> Result<()> {
    let all = fleet.table(path, namespaces).await?;
    let width = |column: usize| all.iter().filter_map(|row| row.get(column)).map(String::len).max().unwrap_or(0);
    for row in &all {
        let cells = row.iter().enumerate().map(|(column, cell)| format!("{cell:<0$}", width(column)));
        println!("{}", cells.collect::<Vec<_>>().join("   ").trim_end());
    }
    Ok(())
}
