//! Rules for a single entry.

use super::super::finding::{Finding, FindingReason, Place, Severity};
use super::super::merge::has_real_mirror;
use super::super::reference::{DOCKER_HUB, LEGACY_DOCKER_HUB, is_registry};
use super::super::{DeclaredPolicy, MirrorEntry, Policy, Scope};
use super::Consumer;
use super::format::{hint, is_mirror, is_source, is_tagged_or_digested};

/// Popular images of Docker Hub without a namespace.
const OFFICIAL_IMAGES: &str = "alpine amazonlinux bash busybox caddy cassandra centos couchdb debian docker eclipse-temurin \
                               elasticsearch fedora golang haproxy hello-world httpd influxdb kibana logstash mariadb maven \
                               memcached mongo mysql nginx node openjdk php postgres python rabbitmq redis registry ruby \
                               rust tomcat traefik ubuntu vault";

/// The result for one entry.
#[derive(Debug, Default)]
pub struct EntryResult {
    /// Whether the entry is ignored for this consumer.
    pub is_ignored: bool,
    /// All errors or, if there are none, all warnings.
    pub findings: Vec<Finding>,
}

/// Checks one entry.
pub fn check(entry: &MirrorEntry, consumer: Consumer) -> EntryResult {
    let mut check = Check { entry, consumer, result: EntryResult::default() };
    check.source_format();
    check.policy();
    check.mirror_formats();
    if !check.result.is_ignored {
        check.tags_and_digests();
    }
    check.mirror_hosts();
    if !check.result.is_ignored {
        check.source_warnings();
        check.mirror_warnings();
    }
    let is_ignored = check.result.is_ignored;
    let is_why = |finding: &Finding| {
        !is_ignored || finding.severity == Severity::Error || finding.reason == FindingReason::TagOrDigest
    };
    check.result.findings.retain(is_why);
    check.result
}

struct Check<'a> {
    entry: &'a MirrorEntry,
    consumer: Consumer,
    result: EntryResult,
}

impl Check<'_> {
    fn error(&mut self, reason: FindingReason, place: Place, message: &str) {
        self.result.is_ignored = true;
        let message = format!("{message}; the entry is ignored");
        self.result.findings.push(Finding::new(Severity::Error, reason, self.entry, place, message));
    }

    fn warning(&mut self, reason: FindingReason, place: Place, message: String) {
        self.result.findings.push(Finding::new(Severity::Warning, reason, self.entry, place, message));
    }

    fn source_format(&mut self) {
        let source = &self.entry.source;
        let is_valid = is_source(source) || self.entry.allows_tags_and_digests() && is_tagged_or_digested(source);
        if !is_valid {
            let message = invalid_format("source", source);
            self.error(FindingReason::InvalidSource, Place::Source, &message);
        }
    }

    fn policy(&mut self) {
        let entry = self.entry;
        if let Some(DeclaredPolicy::Unknown(policy)) = &entry.policy {
            let message = format!(
                "unknown mirrorSourcePolicy {policy:?}: it must be AllowContactingSource or NeverContactSource"
            );
            self.error(FindingReason::UnknownPolicy, Place::Policy, &message);
        }
        if entry.policy() == Policy::NeverContactSource
            && let Some(index) = entry.mirrors.iter().position(|mirror| *mirror == entry.source)
        {
            let message = format!(
                "cannot set mirrorSourcePolicy: NeverContactSource if the source {:?} is one of the mirrors",
                entry.source
            );
            self.error(FindingReason::SourceAmongMirrors, Place::Mirror(index), &message);
        }
    }

    fn mirror_formats(&mut self) {
        let lenient = self.entry.allows_tags_and_digests();
        for (index, mirror) in self.entry.mirrors.iter().enumerate() {
            let is_valid = is_mirror(mirror) || lenient && is_tagged_or_digested(mirror);
            if !is_valid {
                self.error(FindingReason::InvalidMirror, Place::Mirror(index), &invalid_format("mirror", mirror));
            }
        }
    }

    fn tags_and_digests(&mut self) {
        if self.consumer != Consumer::Node {
            return;
        }
        let mirrors = self.entry.mirrors.iter().enumerate().map(|(index, mirror)| (Place::Mirror(index), mirror));
        let places = [(Place::Source, &self.entry.source)].into_iter().chain(mirrors);
        for (place, value) in places.filter(|(_, value)| is_tagged_or_digested(value)) {
            let message = format!(
                "{value:?} has a tag or a digest, which no table of registries.conf matches; the entry is ignored on nodes"
            );
            self.warning(FindingReason::TagOrDigest, place, message);
            self.result.is_ignored = true;
        }
    }

    /// Values that the machine-config-operator accepts and for which containers/image fails every pull of the source.
    fn mirror_hosts(&mut self) {
        for (index, mirror) in self.entry.mirrors.iter().enumerate().filter(|(_, mirror)| is_mirror(mirror)) {
            let registry = Scope::new(mirror).registry();
            let (reason, message) = if registry == LEGACY_DOCKER_HUB {
                let message = format!("nodes parse mirror {mirror:?} as docker.io and reject it");
                (FindingReason::LegacyDockerHubMirror, message)
            } else if is_registry(registry) {
                continue;
            } else {
                let message = format!("the host of mirror {mirror:?} has neither '.' nor ':'");
                (FindingReason::ShortMirrorHost, message)
            };
            let message = format!("{message}: on a node every pull of {:?} would fail", self.entry.source);
            match self.consumer {
                Consumer::Node => self.error(reason, Place::Mirror(index), &message),
                Consumer::ControlPlane => self.warning(reason, Place::Mirror(index), message),
            }
        }
    }

    fn source_warnings(&mut self) {
        let source = &self.entry.source;
        let scope = Scope::new(source);
        let registry = scope.registry();
        if scope.is_wildcard() && self.consumer == Consumer::ControlPlane {
            let message = format!("HyperShift's operators match no image with the wildcard {source:?}");
            self.warning(FindingReason::WildcardIneffective, Place::Source, message);
        }
        if registry.contains(char::is_uppercase) {
            let message = format!("{source:?} matches no image whose registry is written in lower case");
            self.warning(FindingReason::UppercaseSource, Place::Source, message);
        } else if !scope.is_wildcard() && !is_registry(registry) {
            let message = format!("{source:?} matches nothing: nodes interpret it as docker.io/{source}");
            self.warning(FindingReason::ShortSourceHost, Place::Source, message);
        }
        if registry == LEGACY_DOCKER_HUB {
            let message = format!("{source:?} matches nothing: nodes interpret index.docker.io as docker.io");
            self.warning(FindingReason::LegacyDockerHubSource, Place::Source, message);
        }
        // Any other single component is a namespace on Docker Hub.
        if let Some(path) = scope.path().filter(|path| OFFICIAL_IMAGES.split(' ').any(|image| image == *path))
            && registry == DOCKER_HUB
        {
            let message = format!("{source:?} does not match the official image docker.io/library/{path}");
            self.warning(FindingReason::DockerHubSource, Place::Source, message);
        }
        let is_never = self.entry.policy() == Policy::NeverContactSource;
        if is_never && !has_real_mirror(self.entry) {
            let message = format!("NeverContactSource has no effect on {source:?} without a mirror");
            self.warning(FindingReason::PolicyWithoutMirrors, Place::Policy, message);
        }
    }

    fn mirror_warnings(&mut self) {
        let source = &self.entry.source;
        if self.entry.insecure && self.consumer == Consumer::Node && has_real_mirror(self.entry) {
            let message =
                format!("insecureSkipTLSVerify: the mirrors of {source:?} are contacted without verified TLS");
            self.warning(FindingReason::InsecureMirrors, Place::Source, message);
        }
        let mut seen = std::collections::HashSet::new();
        for (index, mirror) in self.entry.mirrors.iter().enumerate() {
            if !mirror.is_empty() && !seen.insert(mirror) {
                let message = format!("mirror {mirror:?} is in this list twice; only the first occurrence is used");
                self.warning(FindingReason::RepeatedMirror, Place::Mirror(index), message);
            }
        }
        // A source with two or more components is more likely a repository than a namespace.
        let is_repository = Scope::new(source).path().is_some_and(|path| path.contains('/'));
        for (index, mirror) in self.entry.mirrors.iter().enumerate().filter(|(_, mirror)| is_mirror(mirror)) {
            let scope = Scope::new(mirror);
            let short = !scope.path().is_some_and(|path| path.contains('/'));
            if scope.registry() == DOCKER_HUB && (scope.path().is_none() || is_repository && short) {
                let message = format!(
                    "with mirror {mirror:?} a node fails to pull images of {source:?} whose name at docker.io has one component"
                );
                self.warning(FindingReason::DockerHubMirror, Place::Mirror(index), message);
            } else if is_repository && scope.path().is_none() {
                let message = format!("mirror {mirror:?} has no path: on a node pulls of {source:?} itself would fail");
                self.warning(FindingReason::MirrorWithoutPath, Place::Mirror(index), message);
            }
        }
    }
}

pub(super) fn invalid_format(what: &str, value: &str) -> String {
    let hint = hint(value).map(|hint| format!(": {hint}")).unwrap_or_default();
    format!("invalid format for {what} {value:?}{hint}")
}
