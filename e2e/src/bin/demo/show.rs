//! How the demo shows things.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};
use hypermirror_e2e::binaries;
use hypermirror_e2e::fleet::{Fleet, TARGETS, deployments};

/// Prints, with colour on a terminal only.
pub struct Show {
    colour: bool,
}

impl Show {
    /// Looks at where it prints to.
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

    /// A sentence.
    #[allow(clippy::unused_self)] // as the others are called
    pub fn say(&self, text: &str) {
        println!("{text}");
    }

    /// Shows the env vars of a hosted cluster's targets as they stand, one entry a line, and answers what counts.
    pub async fn targets(&self, fleet: &Fleet, cluster: &str) -> Result<BTreeMap<&'static str, String>> {
        println!("\nThe Deployments of {cluster}: {} stands twice, the last one counts.", deployments::ENV);
        let mut values = BTreeMap::new();
        for target in TARGETS {
            let deployment = fleet.deployment(cluster, target).await?;
            let env = deployments::env_values(&deployment);
            println!("  {target}");
            let (ours, stock) = env.split_last().context("no env var")?;
            for value in stock {
                println!("    {} {}", self.paint("2", "stock operator's, untouched:"), cut(value));
            }
            println!("    {} {}", self.paint("32", "ours, appended:            "), cut(ours));
            if target == "ignition-server" {
                let words = &deployment["spec"]["template"]["spec"]["containers"][0]["args"];
                let last = words.as_array().and_then(|words| words.last()).and_then(|word| word.as_str());
                println!("    {} {}", self.paint("32", "--registry-overrides:      "), cut(last.unwrap_or_default()));
            }
            values.insert(target, ours.clone());
        }
        Ok(values)
    }

    /// Shows what an edit changed in a hosted cluster's targets, entry by entry.
    pub async fn changes(&self, fleet: &Fleet, cluster: &str, before: &BTreeMap<&'static str, String>) -> Result<()> {
        println!("\nWhat changed in the Deployments of {cluster} (the order of mirrors is their priority):");
        for target in TARGETS {
            let after = fleet.effective(cluster, target).await?.unwrap_or_default();
            let before = before.get(target).map(String::as_str).unwrap_or_default();
            println!("  {target}");
            let old: Vec<&str> = before.split(',').collect();
            let new: Vec<&str> = after.split(',').collect();
            for (place, entry) in old.iter().enumerate().filter(|(place, entry)| new.get(*place) != Some(*entry)) {
                println!("    {} {entry}", self.paint("31", &format!("- {:>2}", place + 1)));
            }
            for (place, entry) in new.iter().enumerate().filter(|(place, entry)| old.get(*place) != Some(*entry)) {
                println!("    {} {entry}", self.paint("32", &format!("+ {:>2}", place + 1)));
            }
        }
        Ok(())
    }
}

fn cut(text: &str) -> String {
    const WIDTH: usize = 150;
    if text.chars().count() <= WIDTH {
        return text.to_owned();
    }
    let head: String = text.chars().take(WIDTH).collect();
    format!("{head}… ({} entries)", text.split(',').count())
}

/// The command line, on the demo's cluster.
pub struct Cli {
    program: PathBuf,
    kubeconfig: PathBuf,
}

impl Cli {
    /// The one that was built with the demo.
    pub fn new(kubeconfig: PathBuf) -> Result<Self> {
        Ok(Self { program: binaries::operator()?, kubeconfig })
    }

    /// Shows a command and runs it. Exit code 1 means findings or differences, which is what a demo shows.
    pub fn run(&self, show: &Show, args: &[&str]) -> Result<()> {
        println!("\n{}", show.paint("2", &format!("$ hypermirror {}", args.join(" "))));
        let status = Command::new(&self.program).args(args).env("KUBECONFIG", &self.kubeconfig).status()?;
        anyhow::ensure!(matches!(status.code(), Some(0 | 1)), "hypermirror {}: {status}", args.join(" "));
        Ok(())
    }
}
