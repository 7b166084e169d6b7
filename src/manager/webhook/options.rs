//! The flags of the webhook.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use hypermirror_api::names;

use crate::process::flags::parse_address;

/// Whether the admission webhook is served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Webhook {
    /// Do not serve it
    #[default]
    Off,
    /// Serve it from every replica
    Serve,
}

/// Flags of the webhook.
#[derive(Args, Clone, Debug)]
pub struct WebhookOptions {
    /// Whether to serve the webhook that restores overrides in writes of stock operators
    #[arg(long, value_enum, default_value_t)]
    pub webhook: Webhook,
    /// Address that serves the webhook (port 0: a free port)
    #[arg(long, value_name = "ADDRESS", default_value = ":9443", value_parser = parse_address)]
    pub webhook_bind_address: SocketAddr,
    /// Directory with tls.crt and tls.key, read again when they change (cert-manager, service-ca)
    #[arg(long, value_name = "DIR", required_if_eq("webhook", "serve"))]
    pub webhook_certificate_dir: Option<PathBuf>,
    /// Users whose updates drop spec.imageMirrorConfigRef unintentionally (commas, or repeated)
    #[arg(long, value_name = "USER", value_delimiter = ',', default_value = names::HYPERSHIFT_OPERATOR_USER)]
    pub field_unaware_users: Vec<String>,
}
