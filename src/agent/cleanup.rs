//! `hypermirror agent cleanup`: removes the agent's files.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::time::Instant;

use super::containerd;
use super::desired::DROP_IN_DIRECTORY;
use super::files::{Change, FileChange, Host, Own};
use super::options::NodePaths;
use super::run::cannot_open;
use crate::mirrors::registries::DROP_IN;
use crate::process::flags::RuntimeChoice;

/// Time for CRI-O to reload. It may still be starting.
const PATIENCE: Duration = Duration::from_secs(30);
/// Pause between two attempts to reload.
const PAUSE: Duration = Duration::from_secs(1);

/// Removes the agent's files: those of one runtime, or with `--runtime=auto` those of both.
///
/// # Errors
/// If a file was not written by the agent or cannot be removed, or if CRI-O does not reload in time.
pub async fn run(paths: &NodePaths) -> Result<()> {
    let host = paths.host().with_context(|| cannot_open(&paths.root))?;
    if paths.runtime != RuntimeChoice::Crio {
        let count = containerd::cleanup(&host, &paths.containerd_config)?;
        tracing::info!(count, "removed files of containerd");
    }
    if paths.runtime != RuntimeChoice::Containerd {
        of_crio(paths, &host).await?;
    }
    Ok(())
}

async fn of_crio(paths: &NodePaths, host: &Host) -> Result<()> {
    let reloader = paths.reloader(host);
    let was_pending = host.is_pending();
    host.remove_temporary()?;
    let seen = host.read_all().context("failed to read the node's files")?;
    let is_ours = match seen.own {
        Own::Foreign(why) => {
            bail!("{DROP_IN_DIRECTORY}/{DROP_IN} was not written by hypermirror and is not removed: {why}")
        }
        Own::Ours(_) => true,
        Own::Absent => false,
    };
    host.apply_attachments(&seen.attachments, None)?;
    if is_ours {
        host.apply(&Change { file: FileChange::Remove, replaces: true, legacy: Vec::new() }, reloader.is_enabled())?;
        tracing::info!("removed the file");
    }
    if !is_ours && !was_pending {
        tracing::info!("nothing to remove");
        return Ok(());
    }
    let until = Instant::now() + PATIENCE;
    // CRI-O may still be starting, so a failed reload is repeated until the time is over.
    loop {
        match reloader.reload(host).await {
            Ok(()) => return Ok(host.clear_pending()?),
            Err(error) if Instant::now() >= until => {
                return Err(error).context("the file is removed, but CRI-O has not reloaded");
            }
            Err(error) => tracing::warn!(%error, "CRI-O has not reloaded yet"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}
