//! What an ImportRule's spec means. Pure.

use std::collections::BTreeSet;

use hypermirror_api::image::ImageEnd;
use hypermirror_api::import_rule::{DEFAULT_IMPORTS_PER_HOUR, ImportEnd};
use hypermirror_api::{ImportReason, ImportRuleSpec};

use super::super::image::allow::allows_name;
use super::super::image::settings::{Identity, Rules, end};
use super::super::image::version::Version;
use super::consent::{Consent, consents};
use super::prefix::Prefix;
use crate::mirrors::ImageReference;
use crate::registry::{Reference, Repository};

/// Why a rule is not in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// For the condition.
    pub reason: ImportReason,
    /// For people.
    pub message: String,
}

/// A rule that is in force.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    source: Prefix,
    destination: Prefix,
    tags: Vec<Version>,
    takes_digests: bool,
    /// Namespaces whose pods count.
    pub namespaces: BTreeSet<String>,
    /// Imports in an hour.
    pub per_hour: u32,
}

/// What a rule makes of a name that it covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Covered {
    /// Where it is copied from.
    pub source: Repository,
    /// Where it is copied to.
    pub destination: Repository,
    /// Which image.
    pub reference: Reference,
}

fn refusal(reason: ImportReason, message: impl Into<String>) -> Refusal {
    Refusal { reason, message: message.into() }
}

fn invalid(field: &str, error: impl std::fmt::Display) -> Refusal {
    refusal(ImportReason::InvalidSpec, format!("{field}: {error}"))
}

/// An end in the terms of an Image, for a repository under its prefix.
pub fn image_end(end: &ImportEnd, repository: &Repository) -> ImageEnd {
    ImageEnd {
        name: repository.to_string(),
        version: String::new(),
        use_aws_irsa: None,
        credentials_secret: end.credentials_secret.clone(),
        cert_secret_ref: end.cert_secret_ref.clone(),
        insecure_skip_verify: Some(false),
        plain_http: end.plain_http,
    }
}

impl Rule {
    /// Reads the spec of a rule in this namespace.
    ///
    /// # Errors
    /// A value cannot be used, or is not allowed.
    pub fn of(namespace: &str, spec: &ImportRuleSpec, rules: &Rules, consent: &[Consent]) -> Result<Self, Refusal> {
        if spec.suspend {
            return Err(refusal(ImportReason::Suspended, "imports are suspended (spec.suspend)"));
        }
        let prefix = |field: &str, end: &ImportEnd| Prefix::parse(&end.prefix).map_err(|error| invalid(field, error));
        let source = prefix("source.prefix", &spec.source)?;
        let destination = prefix("destination.prefix", &spec.destination)?;
        if source == destination {
            return Err(invalid("destination.prefix", format!("{destination} is the same as source.prefix")));
        }
        let version = |tag: &String| Version::parse(tag).map_err(|error| invalid("tags", error));
        let tags = spec.tags.iter().flatten().map(version).collect::<Result<Vec<_>, _>>()?;
        let own = || vec![namespace.to_owned()];
        let namespaces: BTreeSet<String> = spec.namespaces.clone().unwrap_or_else(own).into_iter().collect();
        if let Some(other) = namespaces.iter().find(|other| !consents(consent, namespace, other)) {
            let message = format!(
                "a rule of namespace {namespace} may not count the pods of namespace {other}: start the registry-manager with \
                 --import-namespaces={namespace}={other}"
            );
            return Err(refusal(ImportReason::NamespaceNotAllowed, message));
        }
        judge_ends(namespace, spec, (&source, &destination), rules)?;
        Ok(Self {
            source,
            destination,
            tags,
            takes_digests: spec.digests.unwrap_or(true),
            namespaces,
            per_hour: u32::try_from(spec.imports_per_hour.unwrap_or(DEFAULT_IMPORTS_PER_HOUR))
                .unwrap_or_default()
                .max(1),
        })
    }

    /// What the rule makes of a name from which pods pull; nothing, if it does not cover that.
    pub fn covers(&self, image: &ImageReference) -> Option<Covered> {
        let rest = self.destination.rest(image)?;
        let reference = Reference::of(image).ok()?;
        let is_allowed = match &reference {
            Reference::Digest(_) => self.takes_digests,
            Reference::Tag(tag) => self.tags.iter().any(|wanted| match wanted {
                Version::Tag(wanted) => wanted == tag,
                Version::Many(pattern) => pattern.matches(tag, false),
            }),
        };
        if !is_allowed {
            return None;
        }
        let (source, destination) = (self.source.repository(rest).ok()?, self.destination.repository(rest).ok()?);
        (source != destination).then_some(Covered { source, destination, reference })
    }
}

/// Whoever may create a rule chooses both ends: the process's own credentials and rights are not theirs.
fn judge_ends(
    namespace: &str,
    spec: &ImportRuleSpec,
    (source, destination): (&Prefix, &Prefix),
    rules: &Rules,
) -> Result<(), Refusal> {
    if !allows_name(&rules.destinations, namespace, &destination.to_string()) {
        let message = format!(
            "{destination} is not allowed as a destination for namespace {namespace}: start the registry-manager with \
             --destination-allow={destination} or with a prefix of it"
        );
        return Err(refusal(ImportReason::DestinationNotAllowed, message));
    }
    // Credentials depend on the registry alone.
    let place = source.repository("a/a").map_err(|error| invalid("source.prefix", error))?;
    let from = end(place.clone(), &image_end(&spec.source, &place), &rules.defaults.source);
    if from.identity != Identity::Own && !allows_name(&rules.credentials, namespace, &source.to_string()) {
        let message = format!(
            "the registry-manager's own credentials may not be sent to {source} for namespace {namespace}: use \
             source.credentialsSecret, or start the registry-manager with --source-credentials-allow={source} or with a prefix \
             of it"
        );
        return Err(refusal(ImportReason::CredentialsNotAllowed, message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::registry::Credential;

    fn rule_with(more: &Value, rules: &Rules) -> Result<Rule, Refusal> {
        let mut spec = json!({
            "source": {"prefix": "quay.io/acme"}, "destination": {"prefix": "registry.corp/acme"}, "tags": ["1.x", "latest"],
        });
        json_patch::merge(&mut spec, more);
        let consent = ["images=team-a".parse().unwrap()];
        Rule::of("images", &serde_json::from_value(spec).unwrap(), rules, &consent)
    }

    fn rules() -> Rules {
        Rules { destinations: vec!["registry.corp/acme".parse().unwrap()], ..Rules::default() }
    }

    fn covered(rule: &Rule, image: &str) -> Option<String> {
        let covered = rule.covers(&ImageReference::parse(image).unwrap().as_pulled())?;
        Some(format!("{} -> {} {}", covered.source, covered.destination, covered.reference))
    }

    #[test]
    fn names_under_the_destination_come_from_the_source_by_digest_or_by_an_allowed_tag() {
        let rule = rule_with(&json!({}), &rules()).unwrap();
        let from = "quay.io/acme/app -> registry.corp/acme/app";
        assert_eq!(covered(&rule, "registry.corp/acme/app:1.2"), Some(format!("{from} 1.2")));
        assert_eq!(covered(&rule, "registry.corp/acme/app"), Some(format!("{from} latest")));
        let digest = format!("sha256:{}", "a".repeat(64));
        let both = format!("registry.corp/acme/app:2.0@{digest}");
        assert_eq!(covered(&rule, &both), Some(format!("{from} {digest}")), "the digest counts");
        for image in ["registry.corp/acme/app:2.0", "registry.corp/foo/bar:1.2", "acme/app:1.2", "quay.io/acme/app:1.2"]
        {
            assert_eq!(covered(&rule, image), None, "{image}");
        }
        let rule = rule_with(&json!({"digests": false}), &rules()).unwrap();
        assert_eq!(covered(&rule, &both), None);
        let rule = rule_with(&json!({"tags": null}), &rules()).unwrap();
        assert_eq!(covered(&rule, "registry.corp/acme/app:1.2"), None, "no tag is allowed by default");
    }

    #[test]
    fn what_is_not_allowed_has_a_reason_that_names_it() {
        let refused = |more: Value| rule_with(&more, &rules()).unwrap_err();
        for (more, reason, part) in [
            (json!({"suspend": true}), ImportReason::Suspended, "spec.suspend"),
            (json!({"source": {"prefix": "acme"}}), ImportReason::InvalidSpec, "source.prefix: \"acme\""),
            (
                json!({"destination": {"prefix": "quay.io/acme"}}),
                ImportReason::InvalidSpec,
                "destination.prefix: quay.io/acme",
            ),
            (json!({"tags": [">=x"]}), ImportReason::InvalidSpec, "tags: "),
            (json!({"destination": {"prefix": "registry.corp"}}), ImportReason::DestinationNotAllowed, "registry.corp"),
            (
                json!({"destination": {"prefix": "registry.corp/ac"}}),
                ImportReason::DestinationNotAllowed,
                "registry.corp/ac",
            ),
            (json!({"namespaces": ["images", "team-b"]}), ImportReason::NamespaceNotAllowed, "team-b"),
        ] {
            let refusal = refused(more);
            assert!(refusal.reason == reason && refusal.message.contains(part), "{refusal:?}");
        }
        let rule = rule_with(&json!({"namespaces": ["team-a"]}), &rules()).unwrap();
        assert_eq!((rule.namespaces.len(), rule.per_hour), (1, 30));
    }

    #[test]
    fn the_process_lends_its_credentials_to_no_source_that_the_administrator_did_not_name() {
        let mut own = rules();
        own.defaults.source.credential = Some(Credential::basic("u", "p"));
        assert_eq!(rule_with(&json!({}), &own).unwrap_err().reason, ImportReason::CredentialsNotAllowed);
        let secret = json!({"source": {"credentialsSecret": {"name": "creds"}}});
        assert!(rule_with(&secret, &own).is_ok());
        own.credentials = vec!["quay.io".parse().unwrap()];
        assert!(rule_with(&json!({}), &own).is_ok());
    }
}
