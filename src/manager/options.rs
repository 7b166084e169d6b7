//! The flags of `hypermirror manager`.

use std::time::Duration;

use clap::{Args, ValueEnum};
use kube::core::Selector;

use super::webhook::options::WebhookOptions;
use crate::fleet::rollout::Budget;
use crate::guest::objects::{AgentPorts, AgentSpec};
use crate::hosted::argument::ArgumentMode;
use crate::hosted::proof::requirement::RequireProof;
use crate::hosted::target::{TargetSpec, parse_target, stock_targets};
use crate::mirrors::ImageReference;
use crate::process::flags::{EndpointFlags, LeaseFlags, ReloadMethod, RuntimeChoice, parse_duration, parse_selector};
use crate::telemetry::logs::LogFormat;

/// Whether changes are applied or only reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Only report what would change
    Observe,
    /// Apply changes
    #[default]
    Enforce,
}

/// The sources in `--registry-overrides`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum RegistryOverridesArgument {
    /// No sources
    None,
    /// Sources with NeverContactSource, on ignition-server only
    #[default]
    Strict,
}

impl From<RegistryOverridesArgument> for ArgumentMode {
    fn from(mode: RegistryOverridesArgument) -> Self {
        match mode {
            RegistryOverridesArgument::None => Self::None,
            RegistryOverridesArgument::Strict => Self::Strict,
        }
    }
}

/// Whether sources without a fallback wait for a proof of their mirrors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ProofRequirement {
    /// They do not, and nothing is reported about proofs
    Off,
    /// They do not, but what is not proven is reported
    #[default]
    Warn,
    /// They go live when MirrorCoverage proves their mirrors
    Enforce,
}

impl From<ProofRequirement> for RequireProof {
    fn from(requirement: ProofRequirement) -> Self {
        match requirement {
            ProofRequirement::Off => Self::Off,
            ProofRequirement::Warn => Self::Warn,
            ProofRequirement::Enforce => Self::Enforce,
        }
    }
}

/// What to do with OLM catalogs that differ from a HostedCluster's annotations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum OlmCatalogs {
    /// Update those that stock HyperShift does not update
    #[default]
    Apply,
    /// Only report them
    Report,
}

/// Who installs the agent on the nodes of guest clusters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum GuestAgent {
    /// The manager
    #[default]
    Managed,
    /// Other tooling; the manager only applies the mirrors
    External,
    /// Nobody; the manager does not write to guest clusters
    Off,
}

/// Flags about the agent, for the manager and for `render guest`.
#[derive(Args, Clone, Debug)]
pub struct GuestAgentOptions {
    /// Who installs the agent on the nodes of guest clusters
    #[arg(long = "guest-agent", value_enum, default_value_t, value_name = "WHO")]
    pub who: GuestAgent,
    /// Agent image by digest, NAME@sha256:... (default: the manager's own)
    #[arg(long = "agent-image", value_name = "IMAGE", value_parser = parse_agent_image)]
    pub image: Option<String>,
    /// Method with which agents reload CRI-O
    #[arg(long = "agent-reload", value_enum, default_value_t, value_name = "METHOD")]
    pub reload: ReloadMethod,
    /// Container runtime of the nodes of guest clusters (auto: of both kinds)
    #[arg(long = "agent-runtime", value_enum, default_value_t = RuntimeChoice::Crio, value_name = "RUNTIME")]
    pub runtime: RuntimeChoice,
    #[command(flatten)]
    #[allow(missing_docs)] // a doc comment here would become the help of the flattened flags
    pub ports: AgentPorts,
}

impl GuestAgentOptions {
    /// The agent to apply. `None` if the manager does not install it, or if its image is unknown.
    pub fn spec(&self) -> Option<AgentSpec> {
        let image = self.image.clone().filter(|_| self.who == GuestAgent::Managed)?;
        Some(AgentSpec { image, reload: self.reload, runtime: self.runtime, ports: self.ports, api: None })
    }
}

/// Flags about guest clusters.
#[derive(Args, Clone, Debug)]
pub struct GuestOptions {
    #[command(flatten)]
    #[allow(missing_docs)] // a doc comment here would become the help of the flattened flags
    pub agent: GuestAgentOptions,
    /// Maximum number of guest clusters to update at once (0: no limit)
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub max_concurrent_guests: u16,
    /// Time between reconciles of a guest cluster in which nothing changes
    #[arg(long, hide = true, value_name = "DURATION", default_value = "5m", value_parser = parse_duration)]
    pub guest_interval: Duration,
    /// Time for nodes to remove their mirrors when a hosted cluster is no longer managed
    #[arg(long, hide = true, value_name = "DURATION", default_value = "5m", value_parser = parse_duration)]
    pub leave_timeout: Duration,
}

/// Parses an image by digest. Tags are rejected, because they can move and would cause additional pulls on nodes.
///
/// # Errors
/// If it is not an image reference with a digest.
pub fn parse_agent_image(text: &str) -> Result<String, String> {
    match ImageReference::parse(text) {
        Ok(reference) if reference.digest.is_some() => Ok(text.to_owned()),
        Ok(_) => Err(format!("{text:?} has no digest: NAME@sha256:... is needed")),
        Err(error) => Err(format!("{text:?}: {error}")),
    }
}

/// The flag of the gate for sources without a fallback.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct ProofOptions {
    /// Whether sources with NeverContactSource wait until their mirrors are proven to hold what is needed
    #[arg(long, value_enum, default_value_t, value_name = "MODE")]
    pub require_proof: ProofRequirement,
}

/// Flags that affect plans, for the manager and for commands.
#[derive(Args, Clone, Debug)]
pub struct PlanOptions {
    /// Sources to add to --registry-overrides, which supports one mirror each and has no fallback
    #[arg(long, value_enum, default_value_t, value_name = "SOURCES")]
    pub registry_overrides_argument: RegistryOverridesArgument,
    /// The gate for sources without a fallback.
    #[command(flatten)]
    pub proof: ProofOptions,
    /// What to do with OLM catalogs that differ from their annotations
    #[arg(long, value_enum, default_value_t, value_name = "ACTION")]
    pub olm_catalogs: OlmCatalogs,
    /// Additional Deployment that reads overrides (may be repeated)
    #[arg(long = "target", value_name = "DEPLOYMENT[/CONTAINER]", value_parser = parse_target)]
    pub further_targets: Vec<TargetSpec>,
    /// Label selector of the HostedClusters to manage (default: all of them)
    #[arg(long, value_name = "SELECTOR", value_parser = parse_selector, default_value = "", hide_default_value = true)]
    pub hosted_cluster_selector: Selector,
}

impl From<ProofOptions> for PlanOptions {
    /// All other flags have their defaults.
    fn from(proof: ProofOptions) -> Self {
        Self {
            registry_overrides_argument: RegistryOverridesArgument::default(),
            proof,
            olm_catalogs: OlmCatalogs::default(),
            further_targets: Vec::new(),
            hosted_cluster_selector: Selector::default(),
        }
    }
}

impl PlanOptions {
    /// All targets, with the parent first.
    pub fn targets(&self) -> Vec<TargetSpec> {
        let mut targets = stock_targets();
        targets.extend(self.further_targets.iter().cloned());
        targets
    }
}

/// Flags about concurrent rollouts.
#[derive(Args, Clone, Debug)]
pub struct RolloutOptions {
    /// Maximum number of hosted clusters to roll out at once (0: no limit)
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub max_concurrent_rollouts: u16,
    /// Number of failed rollouts, in the fleet or in one namespace, that halts new ones
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub max_failed_rollouts: u16,
    /// Time after which a rollout fails if its Deployments are not available
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = parse_duration)]
    pub rollout_timeout: Duration,
}

impl RolloutOptions {
    /// The budget for the decision.
    pub fn budget(&self) -> Budget {
        Budget {
            at_once: self.max_concurrent_rollouts.into(),
            failures: self.max_failed_rollouts.into(),
            timeout: self.rollout_timeout,
        }
    }
}

/// The flags of `hypermirror manager`.
#[derive(Args, Clone, Debug)]
pub struct ManagerOptions {
    /// Whether to apply changes or only to report them
    #[arg(long, value_enum, default_value_t)]
    pub mode: Mode,
    #[command(flatten)]
    #[allow(missing_docs)] // a doc comment here would become the help of the flattened flags
    pub plan: PlanOptions,
    /// Maximum percentage of hosted clusters whose maps may become empty without approval
    #[arg(long, value_name = "PERCENT", default_value_t = 50, value_parser = clap::value_parser!(u8).range(0..=100))]
    pub max_removal: u8,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub rollouts: RolloutOptions,
    /// Time for stock operators to react to a change of the management mirrors
    #[arg(long, hide = true, value_name = "DURATION", default_value = "300ms", value_parser = parse_duration)]
    pub settle: Duration,
    /// Time for the children of a control-plane-operator to take over its entries
    #[arg(long, hide = true, value_name = "DURATION", default_value = "2m", value_parser = parse_duration)]
    pub handover: Duration,
    /// Time for stock operators to write OLM catalogs themselves
    #[arg(long, hide = true, value_name = "DURATION", default_value = "30s", value_parser = parse_duration)]
    pub catalog_patience: Duration,
    /// Time to wait for further edits of boot mirrors, each of which replaces nodes
    #[arg(long, hide = true, value_name = "DURATION", default_value = "5s", value_parser = parse_duration)]
    pub rollout_batch: Duration,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub guests: GuestOptions,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub webhook: WebhookOptions,
    /// Number of hosted clusters to reconcile at the same time
    #[arg(long, hide = true, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub workers: u16,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub lease: LeaseFlags,
    #[command(flatten)]
    #[allow(missing_docs)] // A doc comment here would become the help of the flattened flags.
    pub endpoints: EndpointFlags,
    /// Format of log lines on standard error
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub log_format: LogFormat,
}
