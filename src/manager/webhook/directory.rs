//! A certificate that somebody else keeps in a directory: cert-manager's or service-ca's Secret, mounted.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::server::ShownCertificate;
use crate::telemetry::metrics::ManagerMetrics;

/// A mounted Secret follows its original within a minute or so: looking more often is no use.
const LOOK: Duration = Duration::from_secs(10);

/// Follows it until the process ends.
pub async fn follow(directory: PathBuf, shown: Arc<ShownCertificate>, metrics: ManagerMetrics) {
    let mut before = None;
    loop {
        match read(&directory).await {
            Ok(now) if before.as_ref() != Some(&now) => {
                super::show(&metrics, &shown, &now.0, &now.1);
                before = Some(now);
            }
            Ok(_) => {}
            Err(error) => {
                let directory = directory.display();
                tracing::warn!(%directory, %error, "the webhook's certificate cannot be read");
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn read(directory: &Path) -> std::io::Result<(String, String)> {
    let certificate = tokio::fs::read_to_string(directory.join("tls.crt")).await?;
    let key = tokio::fs::read_to_string(directory.join("tls.key")).await?;
    Ok((certificate, key))
}
