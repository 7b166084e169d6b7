//! The flags of `hypermirror manager`.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, ValueEnum};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::{Expression, Selector};

use super::webhook::options::WebhookOptions;
use crate::agent::reload::Method;
use crate::fleet::argument::ArgumentMode;
use crate::fleet::rollout::Budget;
use crate::fleet::target::{TargetSpec, parse_target, stock_targets};
use crate::guest::objects::{AgentPorts, AgentSpec};
use crate::mirrors::ImageReference;
use crate::telemetry::logs::LogFormat;

/// Whether changes are applied or only reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Plan and report; apply nothing
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

/// What to do with OLM catalogs that differ from a HostedCluster's annotations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum OlmCatalogs {
    /// Write those that stock HyperShift leaves different
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
    /// Somebody else; the manager only applies the mirrors
    External,
    /// Nobody; the manager does not touch guest clusters
    Off,
}

/// The agent on the nodes of guest clusters, for the manager and for `render guest` alike.
#[derive(Args, Clone, Debug)]
pub struct GuestAgentOptions {
    /// Who installs the agent on the nodes of guest clusters
    #[arg(long = "guest-agent", value_enum, default_value_t, value_name = "WHO")]
    pub who: GuestAgent,
    /// Agent image by digest, NAME@sha256:... (default: the manager's own)
    #[arg(long = "agent-image", value_name = "IMAGE", value_parser = parse_agent_image)]
    pub image: Option<String>,
    /// How agents make CRI-O reload its configuration
    #[arg(long = "agent-reload", value_enum, default_value_t, value_name = "METHOD")]
    pub reload: Method,
    #[command(flatten)]
    #[allow(missing_docs)] // a doc comment here would become the help of the flattened flags
    pub ports: AgentPorts,
}

impl GuestAgentOptions {
    /// The agent that guests are given; none if somebody else brings it, or nobody said which image it has.
    pub fn spec(&self) -> Option<AgentSpec> {
        let image = self.image.clone().filter(|_| self.who == GuestAgent::Managed)?;
        Some(AgentSpec { image, reload: self.reload, ports: self.ports, api: None })
    }
}

/// How guest clusters are reached and what is applied there.
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

/// An image by digest: a tag may be another image tomorrow, and a node must not pull without need.
///
/// # Errors
/// If it is none.
pub fn parse_agent_image(text: &str) -> Result<String, String> {
    match ImageReference::parse(text) {
        Ok(reference) if reference.digest.is_some() => Ok(text.to_owned()),
        Ok(_) => Err(format!("{text:?} has no digest: NAME@sha256:... is needed")),
        Err(error) => Err(format!("{text:?}: {error}")),
    }
}

/// What is planned, for the manager and for the commands that plan alike.
#[derive(Args, Clone, Debug)]
pub struct PlanOptions {
    /// Sources to add to --registry-overrides, which takes one mirror each and never falls back
    #[arg(long, value_enum, default_value_t, value_name = "SOURCES")]
    pub registry_overrides_argument: RegistryOverridesArgument,
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

impl PlanOptions {
    /// All targets, the parent first.
    pub fn targets(&self) -> Vec<TargetSpec> {
        let mut targets = stock_targets();
        targets.extend(self.further_targets.iter().cloned());
        targets
    }
}

/// How many control planes roll out at the same time.
#[derive(Args, Clone, Debug)]
pub struct RolloutOptions {
    /// Maximum number of hosted clusters to roll out at once (0: no limit)
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub max_concurrent_rollouts: u16,
    /// Number of failed rollouts that halt others, of all or of the namespace
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub max_failed_rollouts: u16,
    /// Time after which a rollout fails if its Deployments are not available
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = parse_duration)]
    pub rollout_timeout: Duration,
}

impl RolloutOptions {
    /// As the decision takes it.
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
    /// Namespace of the manager's Lease (default: the pod's namespace)
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// Name of this instance on the Lease (default: host name and process ID)
    #[arg(long, env = "POD_NAME", value_name = "NAME")]
    pub identity: Option<String>,
    /// Time without a renewal after which another instance takes over
    #[arg(long, hide = true, value_name = "DURATION", default_value = "15s", value_parser = parse_duration)]
    pub lease_duration: Duration,
    /// Address that serves /metrics (port 0: a free port)
    #[arg(long, value_name = "ADDRESS", default_value = ":8080", value_parser = parse_address)]
    pub metrics_bind_address: SocketAddr,
    /// Address that serves /healthz and /readyz (port 0: a free port)
    #[arg(long, value_name = "ADDRESS", default_value = ":8081", value_parser = parse_address)]
    pub health_probe_bind_address: SocketAddr,
    /// Format of log lines on standard error
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub log_format: LogFormat,
}

/// `:8080`, `127.0.0.1:8080`, `[::1]:8080`: no host means every address.
///
/// # Errors
/// If it is neither.
pub fn parse_address(text: &str) -> Result<SocketAddr, String> {
    let full = if text.starts_with(':') { format!("0.0.0.0{text}") } else { text.to_owned() };
    full.parse().map_err(|_| format!("{text:?} is not HOST:PORT or :PORT"))
}

/// `300ms`, `2m`, `1h30m`.
///
/// # Errors
/// If it is no duration, or a negative one.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let span: jiff::SignedDuration =
        text.parse().map_err(|_| format!("{text:?} is not a duration such as 300ms or 2m"))?;
    Duration::try_from(span).map_err(|_| format!("{text:?} is negative"))
}

/// `a=b,c!=d,e,!f,g in (h,i),j notin (k)`, as kubectl takes it.
///
/// # Errors
/// Names the requirement that is none.
pub fn parse_selector(text: &str) -> Result<Selector, String> {
    let mut expressions = Vec::new();
    for part in split_requirements(text) {
        expressions.push(parse_requirement(part.trim())?);
    }
    Ok(expressions.into_iter().collect())
}

/// Splits at commas outside parentheses.
fn split_requirements(text: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    let parts = text.split(|c: char| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    });
    parts.filter(|part| !part.trim().is_empty()).collect()
}

fn parse_requirement(text: &str) -> Result<Expression, String> {
    let wrong = || format!("{text:?} is not a label requirement such as a=b, a!=b, a, !a, a in (b,c), a notin (b,c)");
    let key = |key: &str| {
        let key = key.trim();
        let valid = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./".contains(&b));
        valid.then(|| key.to_owned()).ok_or_else(wrong)
    };
    let values = |list: &str| {
        let inner = list.trim().strip_prefix('(').and_then(|list| list.strip_suffix(')')).ok_or_else(wrong)?;
        Ok::<_, String>(inner.split(',').map(|value| value.trim().to_owned()).collect())
    };
    if let Some((left, right)) = text.split_once(" notin ") {
        return Ok(Expression::NotIn(key(left)?, values(right)?));
    }
    if let Some((left, right)) = text.split_once(" in ") {
        return Ok(Expression::In(key(left)?, values(right)?));
    }
    if let Some((left, right)) = text.split_once("!=") {
        return Ok(Expression::NotEqual(key(left)?, right.trim().to_owned()));
    }
    if let Some((left, right)) = text.split_once("==").or_else(|| text.split_once('=')) {
        return Ok(Expression::Equal(key(left)?, right.trim().to_owned()));
    }
    match text.strip_prefix('!') {
        Some(absent) => Ok(Expression::DoesNotExist(key(absent)?)),
        None => Ok(Expression::Exists(key(text)?)),
    }
}

/// A selector as text for an error or a log; for tests of the parser.
pub fn selector_text(selector: &Selector) -> String {
    let selector: LabelSelector = selector.clone().into();
    serde_json::to_string(&selector).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use kube::core::SelectorExt as _;
    use std::collections::BTreeMap;

    use super::*;

    fn matches(selector: &str, labels: &[(&str, &str)]) -> bool {
        let labels: BTreeMap<String, String> = labels.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        parse_selector(selector).unwrap().matches(&labels)
    }

    #[test]
    fn selectors_mean_what_kubectl_means() {
        let labels = [("env", "prod"), ("tier", "a")];
        for (selector, expected) in [
            ("", true),
            ("env=prod", true),
            ("env==prod", true),
            ("env=prod,tier!=b", true),
            ("env in (dev, prod),tier", true),
            ("env notin (dev,prod)", false),
            ("!env", false),
            ("!zone", true),
            ("zone", false),
        ] {
            assert_eq!(matches(selector, &labels), expected, "{selector:?}");
        }
        for bad in ["a b", "=x", "a in b", "!", "a in (b"] {
            assert!(parse_selector(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_address_may_leave_out_the_host() {
        assert_eq!(parse_address(":8080").unwrap().to_string(), "0.0.0.0:8080");
        assert_eq!(parse_address("127.0.0.1:0").unwrap().port(), 0);
        assert!(parse_address("8080").is_err());
    }

    #[test]
    fn durations_are_written_as_people_write_them() {
        assert_eq!(parse_duration("300ms").unwrap(), Duration::from_millis(300));
        assert_eq!(parse_duration("2m").unwrap(), Duration::from_mins(2));
        assert!(parse_duration("-1s").is_err());
        assert!(parse_duration("soon").is_err());
    }
}
