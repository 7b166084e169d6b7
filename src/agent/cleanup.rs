//! Takes the agent's file away.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::time::Instant;

use super::desired::DROP_IN_DIRECTORY;
use super::files::{Change, FileChange, Own};
use super::options::Place;
use super::run::cannot_open;
use crate::mirrors::registries::DROP_IN;

/// How long CRI-O may take to read; it may be starting.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two attempts.
const PAUSE: Duration = Duration::from_secs(1);

/// Removes our file, if it is ours, and has CRI-O read what is left.
///
/// # Errors
/// If the file is somebody else's, cannot be removed, or CRI-O was not seen to read.
pub async fn run(place: &Place) -> Result<()> {
    let host = place.host().with_context(|| cannot_open(&place.root))?;
    let reloader = place.reloader(&host);
    let was_pending = host.is_pending();
    host.remove_temporary()?;
    let is_ours = match host.look().context("the node's files cannot be read")?.own {
        Own::Foreign(why) => bail!("{DROP_IN_DIRECTORY}/{DROP_IN} is not ours, and stays: {why}"),
        Own::Ours(_) => true,
        Own::Absent => false,
    };
    if is_ours {
        host.apply(&Change { file: FileChange::Remove, replaces: true, legacy: Vec::new() }, reloader.is_asked())?;
        tracing::info!("the file was removed");
    }
    if !is_ours && !was_pending {
        tracing::info!("there is no file of ours");
        return Ok(());
    }
    let until = Instant::now() + PATIENCE;
    loop {
        match reloader.reload(&host).await {
            Ok(()) => return Ok(host.clear_pending()?),
            Err(error) if Instant::now() >= until => {
                return Err(error).context("the file is gone, and CRI-O has not read that yet");
            }
            Err(error) => tracing::warn!(%error, "CRI-O has not read the change yet"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}
