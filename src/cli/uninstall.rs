//! `uninstall`: requests the removal of hypermirror and reports the manager's progress.

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
use crate::client::pages::Pages;
use crate::management::lease::request_uninstall;
use crate::process::flags::parse_duration;
use hypermirror_api::ClusterKey;
use progress::Progress;

/// Flags of `uninstall`.
#[derive(Args, Debug)]
#[command(after_help = "The manager removes hypermirror in this order: the mirrors on nodes, its objects
in the guest cluster, its entries in the Deployments. Each Deployment rolls out
once, limited by --max-concurrent-rollouts. The request is an annotation, so the
removal continues when this command ends.

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

/// The reports that still exist. The manager deletes the report of a hosted cluster last.
type Reports = BTreeMap<ClusterKey, HostedClusterMirrorsStatus>;

/// Reports per page, which limits the memory for one response.
const PAGE: u32 = 500;
/// Interval between two lists of the reports: quick enough for a user who watches, and cheap for the API server.
const REPORT_INTERVAL: Duration = Duration::from_millis(500);
/// Interval between two reads of the Lease, which the leader renews every few seconds.
const LEASE_INTERVAL: Duration = Duration::from_millis(200);

/// Requests the removal and waits until the reports are deleted, or until the remaining ones have only unreachable guest
/// clusters or nodes.
pub async fn run(args: &UninstallArgs) -> Result<ExitCode> {
    if !args.yes && !io::stdin().is_terminal() {
        return Err(Usage::error("no terminal to confirm on; use --yes to uninstall without confirmation"));
    }
    let client = args.connection.connect().await?;
    let holder = running_manager(&client, &args.namespace).await?;
    if let Some(key) = &args.hosted_cluster {
        expect_hosted_cluster(&client, key).await?;
    }
    let reports = args.reports(&client).await?;
    if !args.yes && !confirmed(&args.question(reports.len()), &mut io::stdin().lock())? {
        console::note("nothing was changed");
        return Ok(ExitCode::FAILURE);
    }
    args.request(&client).await?;
    console::note(format!("requested: manager {holder} removes hypermirror; waiting for completion"));
    let progress = args.wait(&client, reports).await?;
    let kept = progress.kept();
    console::note(args.outcome(&progress));
    if kept.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    console::warning(format!("some nodes keep their mirrors:\n{}", kept.join("\n")));
    Ok(ExitCode::FAILURE)
}

/// The identity of the leader. Waits until it renews the Lease: the time in the Lease alone does not prove that it runs,
/// because clocks differ.
async fn running_manager(client: &Client, namespace: &str) -> Result<String> {
    let lease = format!("Lease {namespace}/{}", names::LEASE);
    let api: Api<Lease> = Api::namespaced(client.clone(), namespace);
    let read = async || -> Result<Option<LeaseSpec>> {
        let found = answered(api.get_opt(names::LEASE)).await.with_context(|| format!("failed to read {lease}"))?;
        Ok(found.map(|found| found.spec.unwrap_or_default()))
    };
    let Some(first) = read().await? else {
        bail!(
            "{lease} does not exist: no manager has run in this namespace (set --namespace); only a running manager can remove hypermirror"
        );
    };
    let promised = first.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(15);
    let since = Instant::now();
    while since.elapsed() <= Duration::from_secs(promised.clamp(1, 60)) {
        tokio::time::sleep(LEASE_INTERVAL).await;
        let now = read().await?.unwrap_or_default();
        let holder = now.holder_identity.clone().filter(|holder| !holder.is_empty());
        if let Some(holder) = holder.filter(|_| now.renew_time != first.renew_time) {
            return Ok(holder);
        }
    }
    let holder = first.holder_identity.filter(|holder| !holder.is_empty());
    let last = holder.map_or_else(String::new, |holder| format!(" (last holder: {holder})"));
    bail!(
        "no running manager: {lease} is not being renewed{last}; start the manager, because only a running manager can remove hypermirror"
    );
}

async fn expect_hosted_cluster(client: &Client, key: &ClusterKey) -> Result<()> {
    let api: Api<HostedCluster> = Api::namespaced(client.clone(), &key.namespace);
    let found = answered(api.get_metadata_opt(&key.name)).await;
    match found.with_context(|| format!("failed to read HostedCluster {key}"))? {
        Some(_) => Ok(()),
        None => Err(Usage::error(format!("HostedCluster {key} does not exist"))),
    }
}

/// Asks on stderr. Any answer except yes is a no.
fn confirmed(question: &str, answers: &mut impl BufRead) -> io::Result<bool> {
    console::note(format!("{question} Continue? [y/N]"));
    let mut answer = String::new();
    answers.read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

impl UninstallArgs {
    fn question(&self, reports: usize) -> String {
        let whose = match &self.hosted_cluster {
            Some(key) => format!("HostedCluster {key}"),
            None => format!("all {reports} hosted clusters"),
        };
        format!("This removes the mirrors from the control plane, the guest cluster and the nodes of {whose}.")
    }

    /// The reports that still exist. None if the kind is not served.
    async fn reports(&self, client: &Client) -> Result<Reports> {
        let entry = |report: HostedClusterMirrors| (ClusterKey::of(&report), report.status.unwrap_or_default());
        if let Some(key) = &self.hosted_cluster {
            let api: Api<HostedClusterMirrors> = Api::namespaced(client.clone(), &key.namespace);
            let found = answered(api.get_opt(&key.name)).await;
            return Ok(found.context("failed to read the report")?.map(entry).into_iter().collect());
        }
        let api: Api<HostedClusterMirrors> = Api::all(client.clone());
        let mut pages = Pages::of(ListParams::default(), PAGE);
        let mut reports = Reports::new();
        while let Some(params) = pages.next() {
            let page = match answered(api.list(params)).await {
                Err(kube::Error::Api(status)) if status.code == 404 => break,
                page => page.context("failed to list the reports")?,
            };
            pages.read(&page.metadata);
            reports.extend(page.items.into_iter().map(entry));
        }
        Ok(reports)
    }

    async fn request(&self, client: &Client) -> Result<()> {
        let Some(key) = &self.hosted_cluster else {
            let requested = request_uninstall(client, &self.namespace).await;
            return requested.with_context(|| format!("failed to update Lease {}/{}", self.namespace, names::LEASE));
        };
        let api: Api<HostedCluster> = Api::namespaced(client.clone(), &key.namespace);
        let params = PatchParams { field_manager: Some(names::FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let patch = Patch::Merge(json!({"metadata": {"annotations": {annotations::UNINSTALL: "true"}}}));
        let requested = answered(api.patch_metadata(&key.name, &params, &patch)).await;
        requested.map(|_| ()).with_context(|| format!("failed to annotate HostedCluster {key}"))
    }

    async fn wait(&self, client: &Client, first: Reports) -> Result<Progress> {
        let since = Instant::now();
        let mut progress = Progress::new(first);
        loop {
            match self.reports(client).await {
                Ok(reports) => {
                    progress.update(reports);
                    if progress.is_done() {
                        return Ok(progress);
                    }
                }
                // The request is recorded, so a failed list only delays the output. Try again until --timeout.
                Err(error) => console::warning(console::causes(&error)),
            }
            if since.elapsed() >= self.timeout {
                bail!(
                    "timed out: hypermirror is not removed everywhere within --timeout. The manager continues, and this command can be run \
                                         again to wait; to cancel: {}\n{}",
                    self.cancel_command(),
                    progress.remaining()
                );
            }
            tokio::time::sleep(REPORT_INTERVAL.min(self.timeout)).await;
        }
    }

    fn cancel_command(&self) -> String {
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
                "removed from hosted cluster {key}; it stays removed while it has the annotation {}. To install again: {}\n\
                                 The annotation {observed} may remain and has no effect",
                annotations::UNINSTALL,
                self.cancel_command()
            ),
            None => format!(
                "{}. To install again: {}\nTo delete what remains:\n  \
                 kubectl delete -k manifests/base   (or your overlay: the manager, its RBAC and its CRDs)\n  \
                 kubectl annotate hostedclusters -A --all {observed}- {}-",
                progress.removed(),
                self.cancel_command(),
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
