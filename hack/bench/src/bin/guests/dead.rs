//! Guests that are none: a port where nobody listens, or somebody who never answers.

use anyhow::{Context, Result};
use hypermirror_e2e::{Cluster, port};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::stage::kubeconfig;

/// Dead guests; those who never answer listen until this is dropped.
#[derive(Default)]
pub struct Dead {
    silent: JoinSet<()>,
    /// The kubeconfig of each.
    pub kubeconfigs: Vec<String>,
}

impl Dead {
    /// So many, half of each kind; their kubeconfigs are that of a real guest but for the address.
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
        let listener = TcpListener::bind("127.0.0.1:0").await.context("a port for a guest that never answers")?;
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
