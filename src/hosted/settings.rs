//! The settings in a HostedCluster's annotations and `pausedUntil`, except mirrors.

use hypermirror_api::annotations;
use hypermirror_api::hypershift::HostedCluster;
use kube::ResourceExt as _;

/// The settings of one HostedCluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterSettings {
    /// Whether the management mirrors are used (`hypermirror.dev/management-mirrors`).
    pub use_management: bool,
    /// The reason why nothing may be written, if it is paused.
    pub paused: Option<String>,
}

/// Parses a HostedCluster's annotations and `pausedUntil`. `now` is RFC 3339.
///
/// An unknown value of `management-mirrors` counts as `Use`, the default, and is returned as the second value.
pub fn settings(cluster: &HostedCluster, now: jiff::Timestamp) -> (ClusterSettings, Option<String>) {
    let wanted = cluster.annotations().get(annotations::MANAGEMENT_MIRRORS).map(String::as_str);
    let unknown = wanted.filter(|value| !matches!(*value, "Use" | "Ignore")).map(str::to_owned);
    let paused = match cluster.annotations().get(annotations::PAUSED).map(String::as_str) {
        Some(value) if value != "false" => Some(format!("annotation {} is {value:?}", annotations::PAUSED)),
        _ => paused_until(cluster.spec.paused_until.as_deref(), now),
    };
    (ClusterSettings { use_management: wanted != Some("Ignore"), paused }, unknown)
}

/// Paused with `true` or a future time; other values are ignored (HyperShift, `IsReconciliationPaused`).
fn paused_until(value: Option<&str>, now: jiff::Timestamp) -> Option<String> {
    let value = value?;
    let paused = match value.parse::<bool>() {
        Ok(paused) => paused,
        Err(_) => value.parse::<jiff::Timestamp>().is_ok_and(|until| until > now),
    };
    paused.then(|| format!("spec.pausedUntil is {value:?}"))
}

/// The time when a pause expires.
pub fn pause_ends(cluster: &HostedCluster, now: jiff::Timestamp) -> Option<jiff::Timestamp> {
    cluster.spec.paused_until.as_deref()?.parse().ok().filter(|until| *until > now)
}

#[cfg(test)]
mod tests {
    use hypermirror_api::hypershift::HostedClusterSpec;

    use super::*;

    fn cluster() -> HostedCluster {
        HostedCluster::new("a", HostedClusterSpec::default())
    }

    fn at(text: &str) -> jiff::Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_pause_is_an_annotation_or_a_time_to_come() {
        let now = at("2026-01-01T00:00:00Z");
        let paused_by = |annotation: Option<&str>, until: Option<&str>| {
            let mut cluster = cluster();
            if let Some(value) = annotation {
                cluster.annotations_mut().insert(annotations::PAUSED.to_owned(), value.to_owned());
            }
            cluster.spec.paused_until = until.map(str::to_owned);
            settings(&cluster, now).0.paused.is_some()
        };
        for (annotation, until, expected) in [
            (None, None, false),
            (Some("true"), None, true),
            (Some(""), None, true),
            (Some("false"), None, false),
            (None, Some("true"), true),
            (None, Some("false"), false),
            (None, Some("2026-01-02T00:00:00Z"), true),
            (None, Some("2025-12-31T00:00:00Z"), false),
            (None, Some("tomorrow"), false),
            (Some("false"), Some("true"), true),
        ] {
            assert_eq!(paused_by(annotation, until), expected, "{annotation:?} {until:?}");
        }
        let mut timed = cluster();
        timed.spec.paused_until = Some("2026-01-02T00:00:00Z".to_owned());
        assert_eq!(pause_ends(&timed, now), Some(at("2026-01-02T00:00:00Z")));
        assert!(settings(&timed, now).0.paused.unwrap().contains("spec.pausedUntil"));
        let later = at("2026-01-02T00:00:00Z");
        assert_eq!((settings(&timed, later).0.paused, pause_ends(&timed, later)), (None, None), "it ends by itself");
        timed.annotations_mut().insert(annotations::PAUSED.to_owned(), "true".to_owned());
        assert!(settings(&timed, later).0.paused.unwrap().contains("annotation hypermirror.dev/paused"));
    }

    #[test]
    fn an_invalid_value_counts_as_the_default_and_is_reported() {
        let now = at("2026-01-01T00:00:00Z");
        for (value, use_management, unknown) in
            [("Use", true, None), ("Ignore", false, None), ("ignore", true, Some("ignore".to_owned()))]
        {
            let mut cluster = cluster();
            cluster.annotations_mut().insert(annotations::MANAGEMENT_MIRRORS.to_owned(), value.to_owned());
            let (settings, invalid) = settings(&cluster, now);
            assert_eq!((settings.use_management, invalid), (use_management, unknown));
        }
    }
}
