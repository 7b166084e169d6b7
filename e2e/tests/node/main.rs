//! The real node of the bed: kubelet, CRI-O and pods. What scenarios on nodes rely on.

mod end;
mod imports;
mod pods;
mod pulls;

use std::{fmt::Write as _, path::PathBuf, time::Duration};

use anyhow::{Result, ensure};
use hypermirror_e2e::{Cluster, RealNode, Served, SharedBed, Testbed, eventually, process::Signal};
use tokio::sync::OnceCell;

const LIMIT: Duration = Duration::from_secs(30);

static BED: SharedBed = SharedBed::new(|| Testbed::builder().controller_manager(true));
static NODE: OnceCell<RealNode> = OnceCell::const_new();

/// The cluster and the node that the scenarios of this program share, but for those that end one.
async fn shared() -> Result<(&'static Cluster, &'static RealNode)> {
    let cluster = BED.get().await?.management();
    Ok((cluster, NODE.get_or_try_init(|| RealNode::start(cluster, "node-0")).await?))
}

/// A drop-in that is removed when it is dropped.
struct DropIn(PathBuf);

impl DropIn {
    /// Sends each pull from `source` to the mirrors, in order, and to nobody else.
    fn write(node: &RealNode, name: &str, source: &str, mirrors: &[&str]) -> Result<Self> {
        let mut text = format!("[[registry]]\nlocation = \"{source}\"\nblocked = true\n");
        for mirror in mirrors {
            write!(text, "[[registry.mirror]]\nlocation = \"{mirror}\"\ninsecure = true\n")?;
        }
        let path = node.drop_ins().join(name);
        std::fs::write(&path, text)?;
        Ok(Self(path))
    }
}

impl Drop for DropIn {
    fn drop(&mut self) {
        _ = std::fs::remove_file(&self.0);
    }
}

/// Makes CRI-O read its drop-ins and waits until they are in force.
async fn reload(node: &RealNode) -> Result<()> {
    let mark = node.mark()?;
    node.signal_crio(Signal::HUP).await?;
    eventually(LIMIT, "CRI-O has read its drop-ins", async || {
        let log = node.logged_since(mark)?;
        ensure!(!log.contains("Unable to reload"), "{log}");
        Ok(log.contains("Applied new registry configuration").then_some(()))
    })
    .await
}
