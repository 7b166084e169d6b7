//! Reads from the API server within a time, and remembers what it could not read.

use std::time::Duration;

use http_body_util::{BodyExt as _, Limited};
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::client::Body;
use kube::{Api, Client};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::client::cause::Cause;
use crate::client::deadline::answered;
use crate::client::pages::Pages;

/// Objects per page.
const PAGE: u32 = 500;
/// Objects of one list: more is no longer read by anybody.
const MAX_OBJECTS: usize = 5_000;
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The groups whose versions matter.
const GROUPS: [&str; 8] = [
    "hypermirror.dev",
    "hypershift.openshift.io",
    "config.openshift.io",
    "operator.openshift.io",
    "registry.kubecontroller.io",
    "skopeo.io",
    "buildah.io",
    "admissionregistration.k8s.io",
];

/// Reads, until the time is over.
pub struct Reader {
    /// The management cluster.
    pub client: Client,
    end: Instant,
    missing: Vec<(String, String)>,
    absent: Vec<String>,
}

/// Versions of the program and of the cluster.
pub struct Versions {
    /// As JSON.
    pub values: Value,
    names: Vec<String>,
}

impl Versions {
    /// Texts may contain these.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }
}

impl Reader {
    pub fn new(client: Client, timeout: Duration) -> Self {
        Self { client, end: Instant::now() + timeout, missing: Vec::new(), absent: Vec::new() }
    }

    /// Records that something is missing.
    pub fn miss(&mut self, what: impl Into<String>, why: impl Into<String>) {
        self.missing.push((what.into(), why.into()));
    }

    /// What is missing, and why.
    pub fn missing(&self) -> impl Iterator<Item = (&String, &String)> {
        self.missing.iter().map(|(what, why)| (what, why))
    }

    /// Kinds that the cluster does not serve.
    pub fn absent(&self) -> impl Iterator<Item = &String> {
        self.absent.iter()
    }

    /// The time that is left. Work that several tasks do at once ends with it.
    pub fn end(&self) -> Instant {
        self.end
    }

    /// All objects of a kind, or what could be read of them.
    pub async fn list(&mut self, resource: &ApiResource, namespace: Option<&str>) -> Vec<Value> {
        let api: Api<DynamicObject> = match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, resource),
            None => Api::all_with(self.client.clone(), resource),
        };
        let what = match namespace {
            Some(namespace) => format!("{} in namespace {namespace}", resource.plural),
            None => resource.plural.clone(),
        };
        let mut pages = Pages::of(ListParams::default(), PAGE);
        let mut found = Vec::new();
        while let Some(params) = pages.next() {
            let page = match tokio::time::timeout_at(self.end, answered(api.list(params))).await {
                Ok(Ok(page)) => page,
                Ok(Err(kube::Error::Api(status))) if status.code == 404 => {
                    self.absent.push(resource.kind.clone());
                    break;
                }
                Ok(Err(error)) => {
                    self.miss(what, Cause(&error).to_string());
                    break;
                }
                Err(_) => {
                    self.miss(what, "the time is over (--timeout)");
                    break;
                }
            };
            pages.read(&page.metadata);
            found.extend(page.items.into_iter().filter_map(|object| named(object, resource)));
            if found.len() > MAX_OBJECTS {
                found.truncate(MAX_OBJECTS);
                self.miss(what, format!("only the first {MAX_OBJECTS} are in the bundle"));
                break;
            }
        }
        found
    }

    /// The text at a path of the API server, at most so many bytes.
    pub async fn text(&mut self, what: &str, path: &str, limit: usize) -> Option<String> {
        let read = tokio::time::timeout_at(self.end, fetch(&self.client, path, limit)).await;
        match read.unwrap_or_else(|_| Err("the time is over (--timeout)".to_owned())) {
            Ok(text) => Some(text),
            Err(why) => {
                self.miss(what, why);
                None
            }
        }
    }

    /// The versions of the program and of the cluster.
    pub async fn versions(&mut self) -> Versions {
        let (mut values, mut names) = (json!({"hypermirror": VERSION}), vec![VERSION.to_owned()]);
        match answered(self.client.apiserver_version()).await {
            Ok(info) => {
                values["kubernetes"] = info.git_version.clone().into();
                names.push(info.git_version);
            }
            Err(error) => self.miss("the version of the API server", Cause(&error).to_string()),
        }
        match answered(self.client.list_api_groups()).await {
            Ok(groups) => {
                let groups = groups.groups.into_iter().filter(|group| GROUPS.contains(&group.name.as_str()));
                let served = groups.map(|group| {
                    let versions = group.versions.into_iter().map(|version| Value::from(version.version)).collect();
                    (group.name, Value::Array(versions))
                });
                values["served"] = Value::Object(served.collect::<Map<String, Value>>());
            }
            Err(error) => self.miss("the API groups", Cause(&error).to_string()),
        }
        Versions { values, names }
    }
}

/// An object with its kind, which lists leave out.
pub fn named(object: DynamicObject, resource: &ApiResource) -> Option<Value> {
    let mut value = serde_json::to_value(object).ok()?;
    value["kind"] = resource.kind.clone().into();
    value["apiVersion"] = resource.api_version.clone().into();
    Some(value)
}

async fn fetch(client: &Client, path: &str, limit: usize) -> Result<String, String> {
    let request = http::Request::get(path).body(Body::empty()).map_err(|error| error.to_string())?;
    let answer = answered(client.send(request)).await.map_err(|error| Cause(&error).to_string())?;
    let status = answer.status();
    let read = Limited::new(answer.into_body(), limit).collect();
    let body = read.await.map_err(|error| format!("failed to read the response: {error}"))?.to_bytes();
    if status.is_success() {
        return Ok(String::from_utf8_lossy(&body).into_owned());
    }
    let refusal: Value = serde_json::from_slice(&body).unwrap_or_default();
    let message = refusal["message"].as_str().unwrap_or_default();
    Err(format!("the API server responded with status {}: {message}", status.as_u16()))
}
