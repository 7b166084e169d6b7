//! Flags that several processes share, and their parsers.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, ValueEnum};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::{Expression, Selector};

/// The addresses of the endpoints that every process has; [`super::endpoints`] serves them.
#[derive(Args, Clone, Copy, Debug)]
pub struct EndpointFlags {
    /// Address that serves /metrics (port 0: a free port)
    #[arg(long, value_name = "ADDRESS", default_value = ":8080", value_parser = parse_address)]
    pub metrics_bind_address: SocketAddr,
    /// Address that serves /healthz and /readyz (port 0: a free port)
    #[arg(long, value_name = "ADDRESS", default_value = ":8081", value_parser = parse_address)]
    pub health_probe_bind_address: SocketAddr,
}

/// The Lease of a process that has replicas.
#[derive(Args, Clone, Debug)]
pub struct LeaseFlags {
    /// Namespace of the Lease (default: the pod's namespace)
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// Name of this instance on the Lease (default: host name and process ID)
    #[arg(long, env = "POD_NAME", value_name = "NAME")]
    pub identity: Option<String>,
    /// Time without a renewal after which another instance takes over
    #[arg(long, hide = true, value_name = "DURATION", default_value = "15s", value_parser = parse_duration)]
    pub lease_duration: Duration,
}

/// The values of `--runtime`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum RuntimeChoice {
    /// The runtime that the Node reports, otherwise the one whose files exist
    #[default]
    Auto,
    /// CRI-O: a drop-in in registries.conf.d
    Crio,
    /// containerd: a hosts.toml for each registry
    Containerd,
}

/// The method to reload CRI-O.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ReloadMethod {
    /// Ask systemd over the host's D-Bus
    #[default]
    Dbus,
    /// Send SIGHUP to the process that listens on CRI-O's socket
    Signal,
    /// Do not reload; for a CRI-O with `auto_reload_registries`
    None,
}

/// Parses `:8080`, `127.0.0.1:8080` or `[::1]:8080`. Without a host, all addresses are used.
///
/// # Errors
/// If it is not `HOST:PORT` or `:PORT`.
pub fn parse_address(text: &str) -> Result<SocketAddr, String> {
    let full = if text.starts_with(':') { format!("0.0.0.0{text}") } else { text.to_owned() };
    full.parse().map_err(|_| format!("{text:?} is not HOST:PORT or :PORT"))
}

/// Parses `300ms`, `2m` or `1h30m`.
///
/// # Errors
/// If it is not a duration, or negative.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let span: jiff::SignedDuration =
        text.parse().map_err(|_| format!("{text:?} is not a duration such as 300ms or 2m"))?;
    Duration::try_from(span).map_err(|_| format!("{text:?} is negative"))
}

/// Parses a label selector in the format of kubectl: `a=b,c!=d,e,!f,g in (h,i),j notin (k)`.
///
/// # Errors
/// If a requirement is invalid. The error names it.
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

/// A selector as text, for tests of the parser.
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
    fn selectors_match_as_in_kubectl() {
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
