//! The Jobs of a build: created, looked at, removed. None is ever changed.

use hypermirror_api::image_builder::BuildLog;
use hypermirror_api::{ImageBuilderReason, ImageBuilderSpec, names};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::{DeleteParams, ListParams, LogParams, PostParams};
use kube::core::{ApiResource, DynamicObject, PartialObjectMeta};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde_json::Value;

use super::excerpt::excerpt;
use super::failure::BuildFailure;
use super::inputs::Inputs;
use super::objects::{BUILD, config_map, job, metadata, owner, secret};
use super::settings::{Architecture, Build, BuildRules};
use super::step::{self, Seen};
use crate::client::cause::Cause;
use crate::client::deadline::answered;

/// The label of a Job's pods.
const JOB_LABEL: &str = "batch.kubernetes.io/job-name";
/// Lines of a log that are read.
const LOG_LINES: i64 = 200;
/// Bytes of a log that are read.
const LOG_BYTES: i64 = 64 * 1024;

/// The Jobs of a build.
pub struct Jobs<'a> {
    client: &'a Client,
    build: &'a Build,
}

/// What is there for one architecture.
pub struct Found {
    /// What its Job did.
    pub seen: Seen,
    /// Whether its pods may wait for a ConfigMap or Secret that was never created.
    pub may_lack_files: bool,
}

impl<'a> Jobs<'a> {
    /// Those of this build.
    pub const fn of(client: &'a Client, build: &'a Build) -> Self {
        Self { client, build }
    }

    fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), &self.build.namespace)
    }

    /// What the Job of an architecture did.
    ///
    /// # Errors
    /// It cannot be read, or is somebody else's.
    pub async fn look_at(&self, architecture: Architecture) -> Result<Found, BuildFailure> {
        let name = self.build.job_name(architecture);
        let jobs: Api<Job> = self.api();
        let found = answered(jobs.get_opt(&name)).await.map_err(|error| self.failed("read", "Job", &error))?;
        let Some(job) = found else { return Ok(Found { seen: Seen::Absent, may_lack_files: false }) };
        if job.labels().get(names::IMAGE_BUILDER_LABEL) != Some(&self.build.uid) {
            let message = format!("Job {}/{name} is not one of this ImageBuilder: remove it", self.build.namespace);
            return Err(BuildFailure::new(ImageBuilderReason::JobRejected, message));
        }
        if job.metadata.deletion_timestamp.is_some() {
            let seen = Seen::Running("an earlier Job of the same build is being removed".to_owned());
            return Ok(Found { seen, may_lack_files: false });
        }
        let pods = self.pods(&name).await?;
        let may_lack_files = step::may_lack_files(&job, &pods, Timestamp::now());
        Ok(Found { seen: step::seen(&job, &pods), may_lack_files })
    }

    async fn pods(&self, job: &str) -> Result<Vec<Pod>, BuildFailure> {
        let params = ListParams::default().labels(&format!("{JOB_LABEL}={job}")).limit(20);
        let pods: Api<Pod> = self.api();
        let found = answered(pods.list(&params)).await.map_err(|error| self.failed("list", "Pod", &error))?;
        Ok(found.items)
    }

    /// Creates a Job, and then what its pod mounts: as the owner of both, the Job takes them with it.
    ///
    /// # Errors
    /// The API server refuses one of them. Then there is no Job.
    pub async fn create(
        &self,
        architecture: Architecture,
        spec: &ImageBuilderSpec,
        rules: &BuildRules,
        inputs: &Inputs,
    ) -> Result<(), BuildFailure> {
        let content = job(self.build, architecture, spec, rules, &inputs.mounted);
        let meta = metadata(self.build, architecture, owner(self.build));
        let created = self.add::<Job>(meta, content).await;
        created.map_err(|error| self.failed("create", "Job", &error))?;
        let completed = self.complete(architecture, inputs).await;
        if completed.is_err() {
            // Its pod would wait for its ConfigMap until its time is over.
            self.remove(&self.build.job_name(architecture)).await?;
        }
        completed
    }

    /// Creates what the pod of a Job mounts, as far as it is missing.
    ///
    /// # Errors
    /// The API server refuses one of them.
    pub async fn complete(&self, architecture: Architecture, inputs: &Inputs) -> Result<(), BuildFailure> {
        let name = self.build.job_name(architecture);
        let jobs: Api<Job> = self.api();
        let job = answered(jobs.get(&name)).await.map_err(|error| self.failed("read", "Job", &error))?;
        let owner = OwnerReference {
            api_version: "batch/v1".to_owned(),
            kind: "Job".to_owned(),
            name,
            uid: job.uid().unwrap_or_default(),
            ..OwnerReference::default()
        };
        let meta = metadata(self.build, architecture, Some(owner));
        if let Some(auth) = &inputs.auth {
            let created = self.add::<Secret>(meta.clone(), secret(auth)).await;
            created.map_err(|error| self.failed("create", "Secret", &error))?;
        }
        let created = self.add::<ConfigMap>(meta, config_map(&inputs.mounted)).await;
        created.map_err(|error| self.failed("create", "ConfigMap", &error))
    }

    /// Creates an object. One that is there already is the same: its name has the digest of its content.
    async fn add<K>(&self, meta: ObjectMeta, content: Value) -> kube::Result<()>
    where
        K: Resource<DynamicType = ()>,
    {
        let resource = ApiResource::erase::<K>(&());
        let mut object = DynamicObject::new("", &resource).data(content);
        object.metadata = meta;
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &self.build.namespace, &resource);
        let params =
            PostParams { field_manager: Some(names::REGISTRY_FIELD_MANAGER.to_owned()), ..PostParams::default() };
        match answered(api.create(&params, &object)).await {
            Err(kube::Error::Api(status)) if status.code == 409 && status.reason == "AlreadyExists" => Ok(()),
            created => created.map(|_| ()),
        }
    }

    /// The end of the log of a Job that failed. Whatever cannot be read is left out: the failure itself is known.
    pub async fn log(&self, architecture: Architecture) -> Option<BuildLog> {
        let pods = self.pods(&self.build.job_name(architecture)).await.ok()?;
        let pod = step::newest(&pods)?;
        let container = step::failed_container(pod).unwrap_or(BUILD);
        let params = LogParams {
            container: Some(container.to_owned()),
            tail_lines: Some(LOG_LINES),
            limit_bytes: Some(LOG_BYTES),
            ..LogParams::default()
        };
        let api: Api<Pod> = self.api();
        let text = match answered(api.logs(&pod.name_any(), &params)).await {
            Ok(text) => text,
            Err(error) => {
                tracing::info!(pod = pod.name_any(), error = %Cause(&error), "the log of a build cannot be read");
                return None;
            }
        };
        let text = excerpt(&text);
        let architecture = architecture.as_str().to_owned();
        (!text.is_empty()).then(|| BuildLog { architecture, container: container.to_owned(), text })
    }

    /// Removes the Job of an architecture.
    ///
    /// # Errors
    /// The API server refuses.
    pub async fn remove_one(&self, architecture: Architecture) -> Result<(), BuildFailure> {
        self.remove(&self.build.job_name(architecture)).await
    }

    async fn remove(&self, name: &str) -> Result<(), BuildFailure> {
        remove(&self.api(), name).await.map_err(|error| self.failed("remove", "Job", &error))
    }

    /// Removes all Jobs of the ImageBuilder but these.
    ///
    /// # Errors
    /// The API server refuses.
    pub async fn remove_all_but(&self, kept: &[String]) -> Result<(), BuildFailure> {
        let removed = remove_all_but(self.client, &self.build.namespace, &self.build.uid, kept).await;
        removed.map_err(|error| self.failed("remove", "Job", &error))
    }

    fn failed(&self, verb: &str, kind: &str, error: &kube::Error) -> BuildFailure {
        let namespace = &self.build.namespace;
        let failure = |reason, message| BuildFailure::new(reason, message);
        match error {
            kube::Error::Api(status) if status.code == 403 && !is_quota(&status.message) => failure(
                ImageBuilderReason::NamespaceForbidden,
                format!(
                    "the registry-manager may not {verb} objects of kind {kind} in namespace {namespace}: apply the overlay \
                     image-builder-namespace for it ({})",
                    status.message
                ),
            ),
            kube::Error::Api(status) if status.code == 404 && verb == "create" => {
                let message = format!("failed to create a {kind}: namespace {namespace} does not exist");
                failure(ImageBuilderReason::JobRejected, message)
            }
            kube::Error::Api(status)
                if (400..500).contains(&status.code) && ![408, 409, 429].contains(&status.code) =>
            {
                let message = format!("failed to {verb} a {kind} in namespace {namespace}: {}", status.message);
                failure(ImageBuilderReason::JobRejected, message)
            }
            error => {
                let message = format!("failed to {verb} a {kind} in namespace {namespace}: {}", Cause(error));
                failure(ImageBuilderReason::ApiUnavailable, message)
            }
        }
    }
}

/// Quotas and admission policies refuse with the same code as RBAC.
fn is_quota(message: &str) -> bool {
    message.contains("exceeded quota") || message.contains("denied the request") || message.contains("PodSecurity")
}

/// Removes all Jobs of an ImageBuilder in a namespace but these.
///
/// # Errors
/// The API server refuses.
pub async fn remove_all_but(client: &Client, namespace: &str, uid: &str, kept: &[String]) -> kube::Result<()> {
    let jobs: Api<Job> = Api::namespaced(client.clone(), namespace);
    let params = ListParams::default().labels(&format!("{}={uid}", names::IMAGE_BUILDER_LABEL));
    let found: Vec<PartialObjectMeta<Job>> = answered(jobs.list_metadata(&params)).await?.items;
    for job in found.iter().filter(|job| job.metadata.deletion_timestamp.is_none()) {
        let name = job.name_any();
        if !kept.contains(&name) {
            remove(&jobs, &name).await?;
        }
    }
    Ok(())
}

async fn remove(jobs: &Api<Job>, name: &str) -> kube::Result<()> {
    // The default of the API would leave the pods.
    match answered(jobs.delete(name, &DeleteParams::background())).await {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        removed => removed.map(|_| ()),
    }
}
