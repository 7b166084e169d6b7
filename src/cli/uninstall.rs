//! `uninstall`: the manager takes everything of ours away, and a person sees how far it is.

mod progress;

use std::collections::BTreeMap;
use std::io::{self, BufRead, IsTerminal as _};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use hypermirror_api::hypershift::HostedCluster;
use hypermirror_api::{HostedClusterMirrors, HostedClusterMirrorsStatus, annotations, names};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;

use super::input::Connection;
use super::{Usage, console};
use crate::client::deadline::answered;
use crate::management::lease::ask_to_uninstall;
use crate::process::flags::parse_duration;
use hypermirror_api::ClusterKey;
use progress::Progress;

/// Leaves the fleet.
#[derive(Args, Debug)]
#[command(after_help = "The manager does the work: first nodes remove their mirrors, then it deletes its
objects in the guest cluster, then its entries in the Deployments, which roll out
once, within --max-concurrent-rollouts. The request is an annotation, which stays
when this command ends.

Examples:
  hypermirror uninstall --hosted-cluster clusters/west
  hypermirror uninstall --yes --timeout 30m")]
pub struct UninstallArgs {
    /// HostedCluster to remove hypermirror from (default: all of them)
    #[arg(long, value_name = "NAMESPACE/NAME")]
    hosted_cluster: Option<ClusterKey>,
    /// Do not ask for confirmation
    #[arg(short, long)]
    yes: bool,
    /// Time to wait for the removal
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = parse_duration)]
    timeout: Duration,
    #[command(flatten)]
    connection: Connection,
    /// Namespace of the manager's Lease
    #[arg(long, value_name = "NAMESPACE", env = "POD_NAMESPACE", default_value = super::MANAGER_NAMESPACE)]
    namespace: String,
}

/// The reports that are still there.
type Reports = BTreeMap<ClusterKey, HostedClusterMirrorsStatus>;

/// How many reports one answer holds.
const PAGE: u32 = 500;
/// Between two looks at the reports.
const LOOK: Duration = Duration::from_millis(500);
/// Between two looks at the Lease.
const LEASE_LOOK: Duration = Duration::from_millis(200);

/// Asks the manager, and waits until the reports are gone, which go last, or say what stays in guests that nobody reaches.
pub async fn run(args: &UninstallArgs) -> Result<ExitCode> {
    if !args.yes && !io::stdin().is_terminal() {
        return Err(Usage::error("no terminal to confirm on; use --yes to uninstall without confirmation"));
    }
    let client = args.connection.connect().await?;
    let holder = until_renewed(&client, &args.namespace).await?;
    if let Some(key) = &args.hosted_cluster {
        expect_hosted_cluster(&client, key).await?;
    }
    let reports = args.reports(&client).await?;
    if !args.yes && !confirmed(&args.question(reports.len()), &mut io::stdin().lock())? {
        console::note("nothing was changed");
        return Ok(ExitCode::FAILURE);
    }
    args.ask(&client).await?;
    console::note(format!("requested: the manager {holder} removes hypermirror; this command waits until it is done"));
    let progress = args.wait(&client, reports).await?;
    let kept = progress.kept();
    console::note(args.outcome(&progress));
    if kept.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    console::warning(format!("some nodes keep what hypermirror gave them:\n{}", kept.join("\n")));
    Ok(ExitCode::FAILURE)
}

/// Answers who leads, once it is seen to renew the Lease: its time alone says nothing, clocks differ.
async fn until_renewed(client: &Client, namespace: &str) -> Result<String> {
    let lease = format!("Lease {namespace}/{}", names::LEASE);
    let api: Api<Lease> = Api::namespaced(client.clone(), namespace);
    let read = async || -> Result<Option<LeaseSpec>> {
        let found = answered(api.get_opt(names::LEASE)).await.with_context(|| format!("cannot read {lease}"))?;
        Ok(found.map(|found| found.spec.unwrap_or_default()))
    };
    let Some(first) = read().await? else {
        bail!("there is no {lease}: no manager ran here, which alone can take its entries away; see --namespace");
    };
    let promised = first.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(15);
    let since = Instant::now();
    while since.elapsed() <= Duration::from_secs(promised.clamp(1, 60)) {
        tokio::time::sleep(LEASE_LOOK).await;
        let now = read().await?.unwrap_or_default();
        let holder = now.holder_identity.clone().filter(|holder| !holder.is_empty());
        if let Some(holder) = holder.filter(|_| now.renew_time != first.renew_time) {
            return Ok(holder);
        }
    }
    let holder = first.holder_identity.filter(|holder| !holder.is_empty());
    let last = holder.map_or_else(String::new, |holder| format!(", the last one was {holder}"));
    bail!("no manager renews {lease}{last}: start it, it alone can take its entries away");
}

async fn expect_hosted_cluster(client: &Client, key: &ClusterKey) -> Result<()> {
    let api: Api<HostedCluster> = Api::namespaced(client.clone(), &key.namespace);
    let found = answered(api.get_metadata_opt(&key.name)).await;
    match found.with_context(|| format!("cannot read HostedCluster {key}"))? {
        Some(_) => Ok(()),
        None => Err(Usage::error(format!("there is no HostedCluster {key}"))),
    }
}

/// Asks on stderr; anything but a yes is a no.
fn confirmed(question: &str, answers: &mut impl BufRead) -> io::Result<bool> {
    console::note(format!("{question} Go on? [y/N]"));
    let mut answer = String::new();
    answers.read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

impl UninstallArgs {
    fn question(&self, reports: usize) -> String {
        let whose = match &self.hosted_cluster {
            Some(key) => format!("HostedCluster {key}"),
            None => format!("all {reports} hosted clusters in the manager's care"),
        };
        format!("This takes the mirrors away from the control plane, the guest and the nodes of {whose}.")
    }

    /// Those reports that are waited for. Where their kind is not there, there are none.
    async fn reports(&self, client: &Client) -> Result<Reports> {
        let entry = |report: HostedClusterMirrors| (ClusterKey::of(&report), report.status.unwrap_or_default());
        if let Some(key) = &self.hosted_cluster {
            let api: Api<HostedClusterMirrors> = Api::namespaced(client.clone(), &key.namespace);
            let found = answered(api.get_opt(&key.name)).await;
            return Ok(found.context("cannot read the report")?.map(entry).into_iter().collect());
        }
        let api: Api<HostedClusterMirrors> = Api::all(client.clone());
        let mut params = ListParams::default().limit(PAGE);
        let mut reports = Reports::new();
        loop {
            let page = match answered(api.list(&params)).await {
                Err(kube::Error::Api(status)) if status.code == 404 => return Ok(reports),
                page => page.context("cannot list the reports")?,
            };
            reports.extend(page.items.into_iter().map(entry));
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params.continue_token = Some(token),
                None => return Ok(reports),
            }
        }
    }

    async fn ask(&self, client: &Client) -> Result<()> {
        let Some(key) = &self.hosted_cluster else {
            let asked = ask_to_uninstall(client, &self.namespace).await;
            return asked.with_context(|| format!("cannot write Lease {}/{}", self.namespace, names::LEASE));
        };
        let api: Api<HostedCluster> = Api::namespaced(client.clone(), &key.namespace);
        let params = PatchParams { field_manager: Some(names::FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let patch = Patch::Merge(json!({"metadata": {"annotations": {annotations::UNINSTALL: "true"}}}));
        let asked = answered(api.patch_metadata(&key.name, &params, &patch)).await;
        asked.map(|_| ()).with_context(|| format!("cannot write HostedCluster {key}"))
    }

    async fn wait(&self, client: &Client, first: Reports) -> Result<Progress> {
        let since = Instant::now();
        let mut progress = Progress::new(first);
        loop {
            match self.reports(client).await {
                Ok(reports) => {
                    progress.tell(reports);
                    if progress.is_done() {
                        return Ok(progress);
                    }
                }
                // It has been asked: an API server that is away for a moment changes nothing.
                Err(error) => console::warning(console::causes(&error)),
            }
            if since.elapsed() >= self.timeout {
                bail!(
                    "hypermirror is not removed everywhere within --timeout. The manager goes on, and this command can be run again; \
                     to cancel: {}\n{}",
                    self.take_back(),
                    progress.remaining()
                );
            }
            tokio::time::sleep(LOOK.min(self.timeout)).await;
        }
    }

    fn take_back(&self) -> String {
        let key = annotations::UNINSTALL;
        match &self.hosted_cluster {
            Some(cluster) => format!("kubectl annotate hostedcluster -n {} {} {key}-", cluster.namespace, cluster.name),
            None => format!("kubectl annotate lease -n {} {} {key}-", self.namespace, names::LEASE),
        }
    }

    fn outcome(&self, progress: &Progress) -> String {
        let observed = annotations::MIRRORS_OBSERVED;
        match &self.hosted_cluster {
            Some(key) => format!(
                "removed from hosted cluster {key}, as long as it has the annotation {}. To install again: {}\n\
                 Its annotation {observed} may remain and has no effect",
                annotations::UNINSTALL,
                self.take_back()
            ),
            None => format!(
                "{}. To install again: {}\nTo delete what remains:\n  \
                 kubectl delete -k manifests/base   (or the overlay: the manager, its rules and its CRDs)\n  \
                 kubectl annotate hostedclusters -A --all {observed}- {}-",
                progress.removed(),
                self.take_back(),
                annotations::UNINSTALL
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_yes_is_a_yes() {
        for (answer, expected) in [("y\n", true), ("Yes\n", true), ("\n", false), ("", false), ("yesterday\n", false)] {
            assert_eq!(confirmed("?", &mut answer.as_bytes()).unwrap(), expected, "{answer:?}");
        }
    }
}
