//! Guest clusters that are down: a closed port, or a listener that never responds.

use anyhow::{Context, Result};
use hypermirror_e2e::{Cluster, port};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::stage::kubeconfig;

/// Guest clusters that are down. The listeners stop when this is dropped.
#[derive(Default)]
pub struct Dead {
    silent: JoinSet<()>,
    /// The kubeconfig of each.
    pub kubeconfigs: Vec<String>,
}

impl Dead {
    /// Creates this number of guest clusters, half of each kind. The kubeconfigs differ from that of a real one only in the
    /// address.
    pub async fn start(number: usize, like: &Cluster) -> Result<Self> {
        let mut dead = Self::default();
        for index in 0..number {
            let address = if index % 2 == 0 { format!("127.0.0.1:{}", port::free()?) } else { dead.silent().await? };
            let text = kubeconfig(like)?;
            let other = text.replace(&like.url(), &format!("https://{address}"));
            anyhow::ensure!(other != text, "the kubeconfig does not name {}", like.url());
            dead.kubeconfigs.push(other);
        }
        Ok(dead)
    }

    async fn silent(&mut self) -> Result<String> {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .context("failed to open a port for a guest cluster that never responds")?;
        let address = listener.local_addr()?.to_string();
        self.silent.spawn(async move {
            let mut held = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                held.push(stream);
            }
        });
        Ok(address)
    }
}
