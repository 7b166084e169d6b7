//! The flags of the webhook.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use hypermirror_api::names;

use crate::manager::options::{parse_address, parse_duration};

/// Whether the webhook is served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Webhook {
    /// No.
    #[default]
    Off,
    /// By every replica.
    Serve,
}

/// The webhook that gives back what writes of stock operators take away.
#[derive(Args, Clone, Debug)]
pub struct WebhookOptions {
    /// Whether the webhook is served that gives back what writes of stock operators take away
    #[arg(long, value_enum, default_value_t)]
    pub webhook: Webhook,
    /// Where it is served (port 0: any, the log says which)
    #[arg(long, value_name = "ADDRESS", default_value = ":9443", value_parser = parse_address)]
    pub webhook_bind_address: SocketAddr,
    /// Where somebody else (cert-manager, service-ca) puts tls.crt and tls.key; without it the manager makes its own
    #[arg(long, value_name = "DIR")]
    pub webhook_certificate_dir: Option<PathBuf>,
    /// How long certificates live that the manager makes; they are replaced when a third of it is left
    #[arg(long, value_name = "DURATION", default_value = "2160h", value_parser = parse_duration)]
    pub webhook_certificate_lifetime: Duration,
    /// Users whose updates of HostedClusters lose spec.imageMirrorConfigRef without meaning it (commas, or repeated)
    #[arg(long, value_name = "USER", value_delimiter = ',', default_value = names::HYPERSHIFT_OPERATOR_USER)]
    pub field_unaware_users: Vec<String>,
}
