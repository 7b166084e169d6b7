//! What the agent's pod may do: next to nothing.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use hypermirror_e2e::fleet::SOON;
use hypermirror_e2e::{RealNode, eventually, needs_node};

use super::stage::Stage;

/// The agent's process, by its id outside.
fn process(node: &RealNode) -> Result<u32> {
    let is_agent = |id: &u32| {
        let line = fs::read_to_string(format!("/proc/{id}/cmdline")).unwrap_or_default();
        line.starts_with("/usr/local/bin/hypermirror-agent\0")
    };
    let found: Vec<u32> = node.processes()?.into_iter().filter(is_agent).collect();
    ensure!(found.len() == 1, "{} processes of the agent", found.len());
    found.into_iter().next().context("no process of the agent")
}

#[tokio::test]
async fn the_agent_is_root_without_any_capability_on_a_root_that_it_cannot_write() -> Result<()> {
    needs_node!();
    let stage = Stage::enter().await?;
    let id = process(stage.node())?;
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.map(|line| line.split_whitespace().collect::<Vec<_>>()).with_context(|| format!("no {name}"))
    };
    ensure!(field("Uid")? == ["0"; 4], "{status}");
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        ensure!(field(set)? == ["0000000000000000"], "{set} of {status}");
    }
    ensure!(field("NoNewPrivs")? == ["1"], "{status}");
    let mounts = fs::read_to_string(format!("/proc/{id}/mountinfo"))?;
    let is_read_only = |path: &str| -> Result<bool> {
        let mount = mounts.lines().rev().map(|line| line.split(' ').collect::<Vec<_>>());
        let mount = mount.into_iter().find(|fields| fields.get(4) == Some(&path));
        let options = mount.with_context(|| format!("{path} is no mount of\n{mounts}"))?[5];
        Ok(options.split(',').any(|option| option == "ro"))
    };
    for path in ["/", "/host/etc/containers", "/host/run/crio"] {
        ensure!(is_read_only(path)?, "{path} can be written: {mounts}");
    }
    ensure!(!is_read_only("/host/etc/containers/registries.conf.d")?, "{mounts}");
    // The kubelet reports a container as ready after its next probe.
    eventually(SOON, "the agent is ready", async || {
        let containers = stage.agent().await?.status.and_then(|status| status.container_statuses).unwrap_or_default();
        ensure!(containers.iter().all(|container| container.ready), "{containers:?}");
        Ok(Some(()))
    })
    .await
}
