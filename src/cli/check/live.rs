//! What usually fails on the first day, as far as only a live cluster shows it. Reads only, except that access reviews are created,
//! which nothing stores.

mod admission;
mod guests;
mod registries;
mod rights;
mod signatures;
mod versions;

use futures::{StreamExt as _, stream};
use k8s_openapi::api::apps::v1::Deployment;
use kube::{Api, Client};

use super::super::MANAGER_NAMESPACE;
use super::super::input::Input;
use crate::client::cause::Cause;
use crate::client::deadline::answered;
use crate::diagnosis::Diagnosis;
use crate::manager::options::PlanOptions;

/// Requests at the same time, so that a large fleet is read quickly without overloading the API server.
const AT_ONCE: usize = 16;

/// How far to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// At objects of the management cluster that are no Secrets.
    Objects,
    /// Also at pull secrets and kubeconfigs, with connections to guest clusters and mirrors.
    Deep,
}

/// Diagnoses a live cluster.
pub async fn diagnose(client: &Client, input: &Input, options: &PlanOptions, depth: Depth) -> Vec<Diagnosis> {
    let manager = Process::read(client, "hypermirror-manager").await;
    let registry_manager = Process::read(client, "hypermirror-registry-manager").await;
    let (admission, has_policy) = admission::diagnose(client, manager.words()).await;
    let mut found = admission;
    found.extend(admission::diagnose_namespaces(client, input).await);
    found.extend(versions::diagnose(client).await);
    found.extend(rights::diagnose(client, input, (&manager, &registry_manager), has_policy).await);
    found.extend(signatures::diagnose(client, input, options).await);
    match depth {
        Depth::Deep => {
            found.extend(registries::diagnose(client, input, options).await);
            found.extend(guests::diagnose(client, input).await);
        }
        Depth::Objects if !input.clusters.is_empty() => found.push(Diagnosis::not_checked(
            "Secrets/all",
            "pull secrets, certificates of mirrors, guest clusters, their nodes and agents were not checked",
            "pass --deep, which reads Secrets and connects to guest clusters and mirrors",
        )),
        Depth::Objects => {}
    }
    found
}

/// The Deployment of one of hypermirror's processes.
enum Process {
    /// It does not exist.
    Absent,
    /// Its arguments and environment.
    Installed(Vec<String>),
    /// It cannot be read.
    Unknown(String),
}

impl Process {
    async fn read(client: &Client, name: &str) -> Self {
        let api: Api<Deployment> = Api::namespaced(client.clone(), MANAGER_NAMESPACE);
        match answered(api.get_opt(name)).await {
            Ok(None) => Self::Absent,
            Ok(Some(deployment)) => Self::Installed(words(&deployment)),
            Err(error) => {
                Self::Unknown(format!("failed to read Deployment {MANAGER_NAMESPACE}/{name}: {}", Cause(&error)))
            }
        }
    }

    fn words(&self) -> Option<&[String]> {
        match self {
            Self::Installed(words) => Some(words),
            Self::Absent | Self::Unknown(_) => None,
        }
    }
}

/// The arguments, and the environment as `NAME=value`, of the first container.
fn words(deployment: &Deployment) -> Vec<String> {
    let spec = deployment.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
    let Some(container) = spec.and_then(|spec| spec.containers.first()) else { return Vec::new() };
    let env = container.env.iter().flatten();
    let env = env.filter_map(|variable| Some(format!("{}={}", variable.name, variable.value.as_ref()?)));
    container.args.iter().flatten().cloned().chain(env).collect()
}

/// Awaits some at a time, in order.
async fn in_order<T>(work: impl IntoIterator<Item = impl Future<Output = T>>) -> Vec<T> {
    stream::iter(work).buffered(AT_ONCE).collect().await
}

/// Whether the API server refuses a request for lack of rights.
fn is_forbidden(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 403)
}
