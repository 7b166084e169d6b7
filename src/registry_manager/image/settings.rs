//! What an Image's spec means. Pure.

use std::time::Duration;

use hypermirror_api::image::{DEFAULT_FREQUENCY, DEFAULT_MAX_TAGS, ImageEnd, ImageMode};
use hypermirror_api::{ImageReason, ImageSpec};

use super::allow::{Allowed, allows};
use super::defaults::{Defaults, EndDefaults};
use super::failure::RunFailure;
use super::frequency;
use super::version::Version;
use crate::mirrors::ImageReference;
use crate::registry::Repository;
use crate::registry::credentials::ecr::EcrHost;
use crate::registry::transfer::PlatformFilter;

/// What the flags and the environment of the registry-manager say for all Images.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// The environment.
    pub defaults: Defaults,
    /// `--destination-allow`.
    pub destinations: Vec<Allowed>,
    /// `--source-credentials-allow`.
    pub credentials: Vec<Allowed>,
}

/// Where credentials come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// The Secret of the Image, or nobody.
    Own,
    /// The environment.
    Process,
    /// The process's own AWS identity.
    Aws,
}

/// One side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// The repository.
    pub repository: Repository,
    /// Whose credentials are used.
    pub identity: Identity,
    /// Whether any certificate is accepted.
    pub skips_verification: bool,
}

/// What to copy, where to, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where from.
    pub source: End,
    /// Where to.
    pub destination: End,
    /// Which tags.
    pub version: Version,
    /// The tag at the destination, if there is one for all.
    pub destination_tag: Option<String>,
    /// The most tags that may match.
    pub max_tags: usize,
    /// Whether release candidates match.
    pub allows_candidates: bool,
    /// Platforms.
    pub platforms: PlatformFilter,
    /// Whether signatures and other referrers are copied.
    pub has_referrers: bool,
}

fn invalid(field: &str, error: impl std::fmt::Display) -> RunFailure {
    RunFailure::new(ImageReason::InvalidSpec, format!("{field}: {error}"))
}

impl Settings {
    /// Reads the spec of an Image in this namespace.
    ///
    /// # Errors
    /// A value cannot be used, or the destination is not allowed.
    pub fn of(namespace: &str, spec: &ImageSpec, rules: &Rules) -> Result<Self, RunFailure> {
        frequency::parse(&spec.frequency).map_err(|error| invalid("frequency", error))?;
        let version = Version::parse(&spec.source.version).map_err(|error| invalid("source.version", error))?;
        let destination_tag = destination_tag(&version, &spec.destination.version)?;
        let source = repository("source.name", &spec.source, None)?;
        let registry = rules.defaults.destination_registry.as_deref();
        let destination = repository("destination.name", &spec.destination, registry)?;
        if !allows(&rules.destinations, namespace, &destination) {
            let message = format!(
                "{destination} is not allowed as a destination for namespace {namespace}: start the registry-manager with \
                 --destination-allow={destination} or with a prefix of it"
            );
            return Err(RunFailure::new(ImageReason::DestinationNotAllowed, message));
        }
        let tag = if let Version::Tag(tag) = &version { Some(tag) } else { None };
        if source == destination && (tag.is_none() || tag == destination_tag.as_ref()) {
            return Err(invalid("destination.name", "the destination is the source"));
        }
        let platforms = PlatformFilter::parse(spec.platforms.iter().flatten().map(String::as_str));
        let platforms = platforms.map_err(|error| invalid("platforms", error))?;
        let max_tags = spec.max_tags.unwrap_or(DEFAULT_MAX_TAGS);
        let settings = Self {
            source: end(source, &spec.source, &rules.defaults.source),
            destination: end(destination, &spec.destination, &rules.defaults.destination),
            version,
            destination_tag,
            max_tags: usize::try_from(max_tags).unwrap_or_default().max(1),
            allows_candidates: spec.allow_candidate_release,
            platforms,
            has_referrers: spec.referrers.unwrap_or(true),
        };
        settings.judge_identities(namespace, rules)?;
        Ok(settings)
    }

    /// Whoever may create an Image chooses its source: the process's own credentials are not sent wherever they want.
    fn judge_identities(&self, namespace: &str, rules: &Rules) -> Result<(), RunFailure> {
        for (field, end) in [("source", &self.source), ("destination", &self.destination)] {
            if end.identity == Identity::Aws && ecr_host(&end.repository).is_none() {
                let message = format!("{} is no registry of ECR", end.repository.registry);
                return Err(invalid(&format!("{field}.useAwsIRSA"), message));
            }
        }
        let source = &self.source;
        if source.identity == Identity::Own || allows(&rules.credentials, namespace, &source.repository) {
            return Ok(());
        }
        let name = &source.repository;
        let message = format!(
            "the registry-manager's own credentials may not be sent to {name} for namespace {namespace}: use \
             source.credentialsSecret, or start the registry-manager with --source-credentials-allow={name} or with a prefix of it"
        );
        Err(RunFailure::new(ImageReason::CredentialsNotAllowed, message))
    }
}

/// The registry of ECR that a repository is in.
pub fn ecr_host(repository: &Repository) -> Option<EcrHost> {
    repository.registry.base().host_str().and_then(EcrHost::parse)
}

/// How often an Image is copied; as the default, if its frequency cannot be used: its condition says so.
pub fn period(spec: &ImageSpec) -> Duration {
    let parsed = frequency::parse(&spec.frequency).or_else(|_| frequency::parse(DEFAULT_FREQUENCY));
    parsed.unwrap_or(Duration::from_mins(5))
}

/// Whether there is nothing left to do once everything was copied.
pub fn ends(spec: &ImageSpec) -> bool {
    match spec.mode {
        ImageMode::OneShot => true,
        ImageMode::OnceByTag => matches!(Version::parse(&spec.source.version), Ok(Version::Tag(_))),
        ImageMode::Recurrent => false,
    }
}

fn destination_tag(source: &Version, text: &str) -> Result<Option<String>, RunFailure> {
    let field = "destination.version";
    let destination = Version::parse(text).map_err(|error| invalid(field, error))?;
    match (source, destination) {
        (Version::Tag(_), Version::Tag(tag)) => Ok(Some(tag)),
        // Each tag is copied to its own name.
        (Version::Many(_), Version::Many(_)) => Ok(None),
        (Version::Many(_), Version::Tag(tag)) => {
            let message =
                format!("all tags that match source.version would be copied to {tag}; give the same pattern here");
            Err(invalid(field, message))
        }
        (Version::Tag(tag), Version::Many(_)) => {
            Err(invalid(field, format!("{text} is a pattern, but source.version is the tag {tag}")))
        }
    }
}

/// The repository that an end names, in the default registry if it names none.
///
/// # Errors
/// It is no repository.
pub fn repository(field: &str, end: &ImageEnd, default_registry: Option<&str>) -> Result<Repository, RunFailure> {
    let refused = |error: &dyn std::fmt::Display| invalid(field, error);
    let name = end.name.trim_end_matches('/');
    let image = ImageReference::parse(name).map_err(|error| refused(&error))?;
    if image.tag.is_some() || image.digest.is_some() {
        return Err(refused(&format!("{name} has a tag or digest: give it as version")));
    }
    let named = name.split('/').next().unwrap_or_default();
    // The same rule as for references: what is no host is a part of the path.
    let has_registry = name.contains('/') && (named.contains(['.', ':']) || named == "localhost");
    let image = match default_registry.filter(|_| !has_registry) {
        Some(registry) => ImageReference::parse(&format!("{registry}/{name}")).map_err(|error| refused(&error))?,
        None => image,
    };
    let mut repository = Repository::of(&image).map_err(|error| refused(&error))?;
    if end.plain_http == Some(true) {
        repository.registry = repository.registry.over_http();
    }
    Ok(repository)
}

/// An end with what is used for it.
pub fn end(repository: Repository, end: &ImageEnd, defaults: &EndDefaults) -> End {
    let is_of_ecr = ecr_host(&repository).is_some();
    let uses_aws = end.use_aws_irsa.unwrap_or(defaults.uses_aws && is_of_ecr);
    let identity = if end.credentials_secret.is_some() {
        Identity::Own
    } else if uses_aws {
        Identity::Aws
    } else if defaults.credential.is_some() {
        Identity::Process
    } else {
        Identity::Own
    };
    End { repository, identity, skips_verification: end.insecure_skip_verify.unwrap_or(defaults.skips_verification) }
}

#[cfg(test)]
mod tests;
