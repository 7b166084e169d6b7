//! What an ImageBuilder's spec means: which build it asks for. Pure.

use hypermirror_api::image_builder::BuildArchitecture;
use hypermirror_api::{ImageBuilderReason, ImageBuilderSpec};
use serde_json::json;

use super::super::agenda::{ObjectKey, Watched};
use super::super::image::allow::{Allowed, allows};
use super::super::image::settings::{End, Identity, Rules, ecr_host, end, repository};
use super::environment::BuildEnvironment;
use super::failure::BuildFailure;
use crate::digest::short_digest;
use crate::mirrors::is_tag;

/// Bytes of an ImageBuilder's name in the names of its Jobs: with all else they have less than the 63 bytes of a label.
const NAME_BYTES: usize = 30;
/// The field of the Secret with certificates.
const CERTIFICATES: &str = "image.certSecretRef";

/// An architecture, as Kubernetes and images name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Architecture {
    /// amd64.
    Amd64,
    /// arm64.
    Arm64,
}

impl Architecture {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// Those that a spec names, in order.
    pub const fn of(wanted: BuildArchitecture) -> &'static [Self] {
        match wanted {
            BuildArchitecture::Amd64 => &[Self::Amd64],
            BuildArchitecture::Arm64 => &[Self::Arm64],
            BuildArchitecture::Both => &[Self::Amd64, Self::Arm64],
        }
    }
}

/// What the flags and the environment say for all builds.
#[derive(Clone, Debug)]
pub struct BuildRules {
    /// The environment.
    pub environment: BuildEnvironment,
    /// `--build-credentials-allow`.
    pub credentials: Vec<Allowed>,
    /// The certificates of authorities that the process itself was given, as PEM.
    pub authorities: Option<String>,
}

/// A build: the same for the same spec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Build {
    /// Another one for each spec, and each time that somebody asks for a build.
    pub id: String,
    /// The ImageBuilder.
    pub owner: ObjectKey,
    /// Its UID.
    pub uid: String,
    /// Where its Jobs are.
    pub namespace: String,
    /// Where the image is pushed to.
    pub end: End,
    /// Its tag.
    pub tag: String,
    /// In order.
    pub architectures: &'static [Architecture],
}

impl Build {
    /// The build that an ImageBuilder asks for. `asked` is the annotation, or its last value if it was removed.
    ///
    /// # Errors
    /// A value cannot be used, or the repository is not allowed.
    pub fn of(
        object: &Watched<ImageBuilderSpec>,
        spec: &ImageBuilderSpec,
        asked: Option<&str>,
        images: &Rules,
        rules: &BuildRules,
    ) -> Result<Self, BuildFailure> {
        let image = spec.image.as_end();
        let registry = images.defaults.destination_registry.as_deref();
        let place = repository("image.name", &image, registry)?;
        let tag = &spec.image.version;
        let architectures = Architecture::of(spec.architecture);
        for architecture in architectures {
            if !is_tag(&format!("{tag}-{}", architecture.as_str())) {
                return Err(BuildFailure::invalid("image.version", format!("{tag:?} is not a tag")));
            }
        }
        let namespace = &object.key.namespace;
        if !allows(&images.destinations, namespace, &place) {
            let message = format!(
                "{place} is not allowed as a destination for namespace {namespace}: start the registry-manager with \
                 --destination-allow={place} or with a prefix of it"
            );
            return Err(BuildFailure::new(ImageBuilderReason::DestinationNotAllowed, message));
        }
        let build = Self {
            id: short_digest(&json!([object.uid, spec, asked]).to_string()),
            owner: object.key.clone(),
            uid: object.uid.clone(),
            namespace: rules.environment.namespace.clone().unwrap_or_else(|| namespace.clone()),
            end: end(place, &image, &images.defaults.destination),
            tag: tag.clone(),
            architectures,
        };
        build.judge_identity(rules)?;
        Ok(build)
    }

    /// Whoever writes a Dockerfile can read what its build may read. So the process's own credentials are given to no build
    /// unless an administrator says so.
    fn judge_identity(&self, rules: &BuildRules) -> Result<(), BuildFailure> {
        let place = &self.end.repository;
        if self.end.identity == Identity::Aws && ecr_host(place).is_none() {
            let message = format!("{} is no registry of ECR", place.registry);
            return Err(BuildFailure::invalid("image.useAwsIRSA", message));
        }
        let namespace = &self.owner.namespace;
        if self.end.identity == Identity::Own || allows(&rules.credentials, namespace, place) {
            return Ok(());
        }
        let message = format!(
            "the registry-manager's own credentials may not be given to builds of namespace {namespace} for {place}: use \
             image.credentialsSecret, or start the registry-manager with --build-credentials-allow={place} or with a prefix of it"
        );
        Err(BuildFailure::new(ImageBuilderReason::CredentialsNotAllowed, message))
    }

    /// The name of the Job of an architecture, and of all that belongs to it.
    pub fn job_name(&self, architecture: Architecture) -> String {
        let label: String = self.owner.name.chars().map(|letter| if letter == '.' { '-' } else { letter }).collect();
        let end = label.floor_char_boundary(NAME_BYTES);
        let label = label.get(..end).unwrap_or_default().trim_matches('-');
        format!("build-{label}-{}-{}", architecture.as_str(), self.id)
    }

    /// The names of all Jobs.
    pub fn job_names(&self) -> Vec<String> {
        self.architectures.iter().map(|architecture| self.job_name(*architecture)).collect()
    }

    /// The tag of the image of one architecture.
    pub fn tag_of(&self, architecture: Architecture) -> String {
        format!("{}-{}", self.tag, architecture.as_str())
    }

    /// The image with its tag.
    pub fn image(&self) -> String {
        format!("{}:{}", self.end.repository, self.tag)
    }
}

/// Builds trust authorities; a client certificate stays in this process.
///
/// # Errors
/// The Secret has a client certificate.
pub fn judge_certificates(has_identity: bool) -> Result<(), BuildFailure> {
    if has_identity {
        return Err(BuildFailure::invalid(CERTIFICATES, "client certificates are not supported for builds"));
    }
    Ok(())
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use serde_json::Value;

    use super::*;
    use crate::registry_manager::image::defaults::Defaults;

    /// An ImageBuilder with more in its spec.
    pub fn watched(more: &Value) -> Watched<ImageBuilderSpec> {
        let mut spec = json!({
            "architecture": "both", "source": "FROM node:22\n",
            "image": {"name": "r.example/team/node", "version": "22-updated"},
        });
        json_patch::merge(&mut spec, more);
        Watched {
            key: ObjectKey { namespace: "team".to_owned(), name: "node.updated".to_owned() },
            uid: "u".to_owned(),
            generation: 1,
            scan_now: None,
            spec: Ok(Arc::new(serde_json::from_value(spec).unwrap())),
            hosts: Vec::new(),
        }
    }

    /// Rules with these variables, under which `r.example/team` and ECR are allowed.
    pub fn rules(variables: &[(&str, &str)], credentials: &[&str]) -> (Rules, BuildRules) {
        let variable =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        let destinations = ["r.example/team", "123456789012.dkr.ecr.eu-west-1.amazonaws.com"];
        let images = Rules {
            defaults: Defaults::of_environment(variable).unwrap(),
            destinations: destinations.iter().map(|text| text.parse().unwrap()).collect(),
            credentials: Vec::new(),
        };
        let rules = BuildRules {
            environment: BuildEnvironment::of_environment(variable).unwrap(),
            credentials: credentials.iter().map(|text| text.parse().unwrap()).collect(),
            authorities: None,
        };
        (images, rules)
    }

    /// The build of [`watched`].
    pub fn build(more: &Value) -> Result<Build, BuildFailure> {
        let (images, rules) = rules(&[], &[]);
        let object = watched(more);
        Build::of(&object, object.spec.as_ref().unwrap(), None, &images, &rules)
    }

    #[test]
    fn the_same_spec_is_the_same_build_and_each_edit_another_one() {
        let first = build(&json!({})).unwrap();
        assert_eq!(build(&json!({})).unwrap(), first);
        for more in [
            json!({"source": "FROM node:23\n"}),
            json!({"architecture": "arm64"}),
            json!({"image": {"version": "23"}}),
            json!({"resources": {"limits": {"memory": "1Gi"}}}),
        ] {
            assert_ne!(build(&more).unwrap().id, first.id, "{more}");
        }
        let (images, rules) = rules(&[], &[]);
        let other = Watched { uid: "v".to_owned(), ..watched(&json!({})) };
        let of = |object: &Watched<ImageBuilderSpec>, asked| {
            Build::of(object, object.spec.as_ref().unwrap(), asked, &images, &rules).unwrap().id
        };
        assert_ne!(of(&other, None), first.id, "another object of the same name");
        assert_ne!(of(&watched(&json!({})), Some("now")), first.id);
        let later = Watched { generation: 7, ..watched(&json!({})) };
        assert_eq!(of(&later, None), first.id, "a generation alone is no edit");
    }

    #[test]
    fn names_of_jobs_are_labels() {
        let build = build(&json!({})).unwrap();
        assert_eq!(build.job_names()[0], format!("build-node-updated-amd64-{}", build.id));
        for name in ["a".repeat(253), format!("{}.b", "a".repeat(29)), "a.b".to_owned(), "0".to_owned()] {
            let long = Build { owner: ObjectKey { namespace: "n".to_owned(), name }, ..build.clone() };
            for name in long.job_names() {
                let is_label =
                    name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
                assert!(is_label && name.len() <= 63 && !name.contains("--"), "{name}");
            }
        }
    }

    #[test]
    fn a_spec_that_cannot_be_used_has_a_reason() {
        for (more, reason, text) in [
            (json!({"image": {"name": "r.example/other/a"}}), "DestinationNotAllowed", "--destination-allow="),
            (json!({"image": {"name": "r.example/team/A"}}), "InvalidSpec", "image.name: "),
            (json!({"image": {"name": "r.example/team/a:v1"}}), "InvalidSpec", "image.name: "),
            (json!({"image": {"version": "a b"}}), "InvalidSpec", "image.version: "),
            (json!({"image": {"version": "x".repeat(123)}}), "InvalidSpec", "image.version: "),
            (json!({"image": {"version": "--help;"}}), "InvalidSpec", "image.version: "),
            (json!({"image": {"useAwsIRSA": true}}), "InvalidSpec", "image.useAwsIRSA: "),
        ] {
            let failure = build(&more).unwrap_err();
            assert!(failure.reason.as_str() == reason && failure.message.contains(text), "{more}: {failure:?}");
        }
    }

    #[test]
    fn the_process_s_own_credentials_are_given_to_no_build_unless_an_administrator_says_so() {
        let aws = json!({"image": {"name": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/a", "useAwsIRSA": true}});
        let process = json!({});
        let variables = [("CREDS_DESTINATION_USERNAME", "u"), ("CREDS_DESTINATION_PASSWORD", "p")];
        for (more, own) in [(&aws, Identity::Aws), (&process, Identity::Process)] {
            let of = |allowed: &[&str], more: &Value| {
                let (images, rules) = rules(&variables, allowed);
                let object = watched(more);
                Build::of(&object, object.spec.as_ref().unwrap(), None, &images, &rules)
            };
            let failure =
                of(&["other=r.example", "other=123456789012.dkr.ecr.eu-west-1.amazonaws.com"], more).unwrap_err();
            assert_eq!(failure.reason, ImageBuilderReason::CredentialsNotAllowed);
            assert!(failure.message.contains("--build-credentials-allow="), "{failure:?}");
            let allowed = of(&["team=r.example/team", "123456789012.dkr.ecr.eu-west-1.amazonaws.com"], more).unwrap();
            assert_eq!(allowed.end.identity, own);
            let mut with_secret = more.clone();
            json_patch::merge(
                &mut with_secret,
                &json!({"image": {"credentialsSecret": {"name": "s"}, "useAwsIRSA": null}}),
            );
            assert_eq!(of(&[], &with_secret).unwrap().end.identity, Identity::Own);
        }
    }
}
