//! Follows the certificate in a directory: the mounted Secret of cert-manager or service-ca.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::server::ShownCertificate;
use crate::telemetry::metrics::ManagerMetrics;

/// Interval. Reading two small files is cheap, and a kubelet replaces both atomically.
const LOOK: Duration = Duration::from_secs(2);

/// Reads the certificate periodically until the process ends.
pub async fn follow(directory: PathBuf, shown: Arc<ShownCertificate>, metrics: ManagerMetrics) {
    let mut before = None;
    // Polled instead of watched: a kubelet replaces the directory behind a symbolic link, which a watch of the files does not see.
    loop {
        let now = read(&directory).await.map_err(|error| error.to_string());
        if before.as_ref() != Some(&now) {
            match &now {
                Ok((certificate, key)) => super::show(&metrics, &shown, certificate, key),
                // The previous certificate stays in use.
                Err(error) => {
                    let directory = directory.display();
                    tracing::warn!(%directory, error, "failed to read the certificate of the webhook; trying again");
                }
            }
            before = Some(now);
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn read(directory: &Path) -> std::io::Result<(String, String)> {
    let certificate = tokio::fs::read_to_string(directory.join("tls.crt")).await?;
    let key = tokio::fs::read_to_string(directory.join("tls.key")).await?;
    Ok((certificate, key))
}
