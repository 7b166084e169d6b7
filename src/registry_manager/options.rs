//! The flags of `hypermirror registry-manager`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::coverage::options::CoverageOptions;
use super::image::allow::Allowed;
use super::import::consent::Consent;
use crate::process::flags::{EndpointFlags, LeaseFlags, parse_address, parse_duration};
use crate::registry::address::TrustClass;
use crate::telemetry::logs::{LogFormat, LogLevel};

/// The narrowest network in which registries may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum RegistryNetworks {
    /// Also this machine and its loopback address
    Loopback,
    /// Private networks and the internet
    #[default]
    Private,
    /// Only the internet
    Public,
}

impl From<RegistryNetworks> for TrustClass {
    fn from(networks: RegistryNetworks) -> Self {
        match networks {
            RegistryNetworks::Loopback => Self::Loopback,
            RegistryNetworks::Private => Self::Private,
            RegistryNetworks::Public => Self::Public,
        }
    }
}

/// The flags of `hypermirror registry-manager`.
#[derive(Args, Clone, Debug)]
pub struct RegistryManagerOptions {
    /// Minimum time between two scans of a Registry or two runs of an Image
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = parse_duration)]
    pub min_scan_interval: Duration,
    /// Destinations of Images and ImageBuilders: [NAMESPACE=]HOST[:PORT][/PATH]; may be repeated; without it, nothing is copied
    #[arg(long, value_name = "PREFIX", value_delimiter = ',')]
    pub destination_allow: Vec<Allowed>,
    /// Sources of Images that get the process's own credentials: [NAMESPACE=]HOST[:PORT][/PATH]; may be repeated
    #[arg(long, value_name = "PREFIX", value_delimiter = ',')]
    pub source_credentials_allow: Vec<Allowed>,
    /// Build the images of ImageBuilders
    #[arg(long, env = "FEATURE_IMAGE_BUILDER")]
    pub image_builder: bool,
    /// Images whose builds get the process's own credentials: [NAMESPACE=]HOST[:PORT][/PATH]; may be repeated
    #[arg(long, value_name = "PREFIX", value_delimiter = ',')]
    pub build_credentials_allow: Vec<Allowed>,
    /// Namespaces whose pods ImportRules of other namespaces may count: [RULES=]NAMESPACE or RULES=*; may be repeated
    #[arg(long, value_name = "NAMESPACE", value_delimiter = ',')]
    pub import_namespaces: Vec<Consent>,
    /// Networks in which registries may be
    #[arg(long, value_enum, default_value_t, value_name = "NETWORKS")]
    pub registry_networks: RegistryNetworks,
    /// Address that serves whole inventories; without a certificate, a loopback address
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8082", value_parser = parse_address)]
    pub inventory_bind_address: SocketAddr,
    /// Directory with tls.crt and tls.key for --inventory-bind-address
    #[arg(long, value_name = "DIR")]
    pub inventory_certificate_dir: Option<PathBuf>,
    /// Number of scans at the same time
    #[arg(long, hide = true, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..))]
    pub max_concurrent_scans: u16,
    /// Number of Images that are copied at the same time
    #[arg(long, hide = true, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..))]
    pub max_concurrent_copies: u16,
    #[command(flatten)]
    #[allow(missing_docs)] // A doc comment here would become the help of the flattened flags.
    pub coverage: CoverageOptions,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub lease: LeaseFlags,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub endpoints: EndpointFlags,
    /// Least severe log lines to print, unless the environment has a filter
    #[arg(long, env = "LOG_LEVEL", value_enum, default_value_t, value_name = "LEVEL")]
    pub log_level: LogLevel,
    /// Format of log lines on standard error
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub log_format: LogFormat,
}
