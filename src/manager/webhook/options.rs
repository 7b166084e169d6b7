//! The flags of the webhook.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use hypermirror_api::names;

use crate::manager::options::{parse_address, parse_duration};

/// Whether the admission webhook is served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Webhook {
    /// Do not serve it
    #[default]
    Off,
    /// Serve it from every replica
    Serve,
}

/// The webhook that gives back what writes of stock operators take away.
#[derive(Args, Clone, Debug)]
pub struct WebhookOptions {
    /// Whether to serve the webhook that keeps our entries when stock operators write
    #[arg(long, value_enum, default_value_t)]
    pub webhook: Webhook,
    /// Address that serves the webhook (port 0: a free port)
    #[arg(long, value_name = "ADDRESS", default_value = ":9443", value_parser = parse_address)]
    pub webhook_bind_address: SocketAddr,
    /// Directory with tls.crt and tls.key (default: the manager makes them)
    #[arg(long, value_name = "DIR")]
    pub webhook_certificate_dir: Option<PathBuf>,
    /// Lifetime of the manager's own certificates; they are replaced after two thirds of it
    #[arg(long, value_name = "DURATION", default_value = "2160h", value_parser = parse_duration)]
    pub webhook_certificate_lifetime: Duration,
    /// Users whose updates drop spec.imageMirrorConfigRef unintentionally (commas, or repeated)
    #[arg(long, value_name = "USER", value_delimiter = ',', default_value = names::HYPERSHIFT_OPERATOR_USER)]
    pub field_unaware_users: Vec<String>,
}
