//! The webhook, which restores hypermirror's entries in writes of other clients. Every replica serves it.

mod answer;
mod certificate;
mod directory;
pub mod options;
mod server;
mod turns;

use std::sync::Arc;

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use tokio::task::JoinSet;

use self::options::{Webhook, WebhookOptions};
use self::server::ShownCertificate;
use super::context::Context;
use super::options::Mode;
use crate::hosted::review::Reviewer;
use crate::telemetry::metrics::ManagerMetrics;

/// Starts the webhook if it is enabled. With `--mode=observe` there are no entries to restore.
///
/// # Errors
/// If the address cannot be bound.
pub async fn start(ctx: &Context, options: &WebhookOptions, tasks: &mut JoinSet<()>) -> Result<()> {
    if options.webhook == Webhook::Off {
        return Ok(());
    }
    if ctx.settings.mode == Mode::Observe {
        tracing::warn!("the webhook is not served, because of --mode=observe");
        return Ok(());
    }
    let reviewer = Reviewer {
        targets: ctx.settings.flags.targets.iter().map(|spec| (**spec).clone()).collect(),
        field_unaware_users: options.field_unaware_users.iter().cloned().collect(),
    };
    let shown = Arc::new(ShownCertificate::default());
    let router = answer::router(reviewer, ctx.metrics.clone());
    let server = server::serve(options.webhook_bind_address, router, Arc::clone(&shown)).await;
    tasks.spawn(server.context("failed to listen on --webhook-bind-address")?);
    // clap requires it if the webhook is enabled.
    if let Some(directory) = options.webhook_certificate_dir.clone() {
        tasks.spawn(directory::follow(directory, shown, ctx.metrics.clone()));
    }
    Ok(())
}

/// Uses a new certificate if it is valid; else the previous one is kept.
fn show(metrics: &ManagerMetrics, shown: &ShownCertificate, certificate: &str, key: &str) {
    match certificate::servable(certificate, key) {
        Ok(servable) => {
            shown.show(servable);
            let expires = certificate::expires(certificate).map_or(0, Timestamp::as_second);
            metrics.webhook_certificate_expires.set(expires);
            tracing::info!(expires, "the webhook uses a new certificate");
        }
        Err(error) => {
            let error = anyhow::Error::from(error);
            tracing::warn!(error = format!("{error:#}"), "failed to load the certificate of the webhook");
        }
    }
}
