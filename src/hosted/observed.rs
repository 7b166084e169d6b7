//! The current state of a target Deployment that is relevant for plans.

use std::sync::Arc;

use hypermirror_api::{annotations, names};
use serde_json::Value;

use super::entries::Entries;
use super::target::{ArgumentForm, ArgumentList, TargetSpec};
use crate::digest::short_digest;

/// One observed target Deployment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObservedTarget {
    /// `metadata.uid`. Empty in a manifest.
    pub uid: String,
    /// `metadata.resourceVersion`. Empty in a manifest.
    pub resource_version: String,
    /// `metadata.generation`, which changes with the spec and the annotations of a Deployment, but not with its status.
    pub generation: Option<i64>,
    /// Whether `metadata.annotations` exists.
    pub has_annotations: bool,
    /// The annotation `hypermirror.dev/overrides`.
    pub overrides: Option<Entries>,
    /// The annotation `hypermirror.dev/retired`.
    pub retired: Option<Entries>,
    /// The annotation `hypermirror.dev/registry-overrides-argument`.
    pub argument: Option<Entries>,
    /// The annotation `hypermirror.dev/rollout`.
    pub rollout: Option<Arc<str>>,
    /// Whether it was rolled out and available when it was read; see [`is_rolled_out`].
    pub rolled_out: bool,
    /// Whether stock HyperShift reconciles this Deployment.
    pub stock_managed: bool,
    /// The field manager that wrote the spec last, if it is known.
    pub last_writer: Option<String>,
    /// A digest of the spec without appended values, and of the hash of stock HyperShift's desired state. It changes only when another
    /// client changes the Deployment.
    pub stock_digest: String,
    /// The target's container, if it exists.
    pub container: Option<ObservedContainer>,
}

/// The container that reads the overrides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObservedContainer {
    /// Its index in `spec.template.spec.containers`.
    pub index: usize,
    /// Whether `env` exists.
    pub has_env: bool,
    /// All `OPENSHIFT_IMG_OVERRIDES`, in order: index in `env`, and value.
    pub env: Vec<EnvEntry>,
    /// The length of `args`, if it exists.
    pub args_len: Option<usize>,
    /// The length of `command`, if it exists.
    pub command_len: Option<usize>,
    /// All `--registry-overrides`: those in `command`, then those in `args`.
    pub arguments: Vec<ArgumentEntry>,
}

/// One environment variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvEntry {
    /// Its index in `env`.
    pub index: usize,
    /// Its value. Empty if it has none.
    pub value: Entries,
}

/// One `--registry-overrides`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArgumentEntry {
    /// List and form.
    pub form: ArgumentForm,
    /// The index of its first element.
    pub index: usize,
    /// Its value.
    pub value: Entries,
}

impl ObservedTarget {
    /// Reads a Deployment from JSON. Unknown fields are ignored, and missing ones are empty.
    pub fn read(deployment: &Value, spec: &TargetSpec) -> Self {
        let metadata = &deployment["metadata"];
        let text = |field: &str| metadata[field].as_str().unwrap_or_default().to_owned();
        let annotation = |key: &str| metadata["annotations"][key].as_str();
        let overrides = annotation(annotations::OVERRIDES).map(Entries::from);
        let argument = annotation(annotations::APPENDED_ARGUMENT).map(Entries::from);
        let container = read_container(deployment, spec);
        let appended = Appended { overrides: overrides.as_ref(), argument: argument.as_ref() };
        Self {
            uid: text("uid"),
            resource_version: text("resourceVersion"),
            generation: metadata["generation"].as_i64(),
            has_annotations: metadata["annotations"].is_object(),
            retired: annotation(annotations::RETIRED).map(Entries::from),
            rollout: annotation(annotations::ROLLOUT).map(Arc::from),
            rolled_out: is_rolled_out(deployment),
            stock_managed: is_stock_managed(metadata),
            last_writer: last_writer(metadata),
            stock_digest: stock_digest(deployment, container.as_ref(), &appended),
            overrides,
            argument,
            container,
        }
    }
}

/// Whether the Deployment controller has observed the current spec, and all replicas are updated and available (like
/// `kubectl rollout status`). A paused Deployment is never rolled out.
pub fn is_rolled_out(deployment: &Value) -> bool {
    let (spec, status) = (&deployment["spec"], &deployment["status"]);
    let count = |field: &str| status[field].as_i64().unwrap_or_default();
    let wanted = spec["replicas"].as_i64().unwrap_or(1);
    let is_seen = count("observedGeneration") >= deployment["metadata"]["generation"].as_i64().unwrap_or_default();
    let is_complete = ["updatedReplicas", "availableReplicas"].iter().all(|field| count(field) == wanted);
    spec["paused"] != true && is_seen && is_complete && count("replicas") <= wanted
}

fn read_container(deployment: &Value, spec: &TargetSpec) -> Option<ObservedContainer> {
    let containers = deployment["spec"]["template"]["spec"]["containers"].as_array()?;
    let index = containers.iter().position(|container| container["name"] == spec.container.as_str())?;
    let container = containers.get(index)?;
    let env = container["env"].as_array();
    let entries = env.into_iter().flatten().enumerate();
    let overrides = entries.filter(|(_, entry)| entry["name"] == names::OVERRIDES_ENV);
    let mut arguments = read_arguments(container, ArgumentList::Command);
    arguments.extend(read_arguments(container, ArgumentList::Args));
    Some(ObservedContainer {
        index,
        has_env: env.is_some(),
        env: overrides
            .map(|(index, entry)| EnvEntry { index, value: entry["value"].as_str().unwrap_or_default().into() })
            .collect(),
        args_len: container["args"].as_array().map(Vec::len),
        command_len: container["command"].as_array().map(Vec::len),
        arguments,
    })
}

fn read_arguments(container: &Value, list: ArgumentList) -> Vec<ArgumentEntry> {
    let words: Vec<&str> = container[list.field()]
        .as_array()
        .map(|words| words.iter().map(|word| word.as_str().unwrap_or_default()).collect())
        .unwrap_or_default();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(word) = words.get(at) {
        let joined = word.strip_prefix(names::OVERRIDES_ARGUMENT).and_then(|rest| rest.strip_prefix('='));
        if let Some(value) = joined {
            found.push(ArgumentEntry { form: ArgumentForm { list, split: false }, index: at, value: value.into() });
        } else if *word == names::OVERRIDES_ARGUMENT
            && let Some(value) = words.get(at + 1)
        {
            found.push(ArgumentEntry { form: ArgumentForm { list, split: true }, index: at, value: (*value).into() });
            at += 1; // the value is not a separate argument
        }
        at += 1;
    }
    found
}

/// Identified by the hash of HyperShift's `upsert.ApplyManifest`, or by the field managers of its operators.
fn is_stock_managed(metadata: &Value) -> bool {
    if metadata["annotations"][annotations::STOCK_DESIRED_STATE_HASH].is_string() {
        return true;
    }
    let managers = metadata["managedFields"].as_array().into_iter().flatten();
    managers.filter_map(|entry| entry["manager"].as_str()).any(|manager| {
        manager == names::HYPERSHIFT_OPERATOR_MANAGER || manager == names::CONTROL_PLANE_OPERATOR_MANAGER
    })
}

fn last_writer(metadata: &Value) -> Option<String> {
    let managers = metadata["managedFields"].as_array()?.iter();
    managers
        .filter(|entry| entry["subresource"].as_str().unwrap_or_default().is_empty())
        .filter(|entry| entry["manager"] != names::FIELD_MANAGER)
        .max_by_key(|entry| entry["time"].as_str().unwrap_or_default())
        .and_then(|entry| entry["manager"].as_str())
        .map(str::to_owned)
}

/// The appended value according to the annotation.
struct Appended<'a> {
    overrides: Option<&'a Entries>,
    argument: Option<&'a Entries>,
}

/// Removes appended values. Repeated environment variables and arguments count as appended; a single one only if the annotation
/// has it.
fn stock_digest(deployment: &Value, container: Option<&ObservedContainer>, appended: &Appended<'_>) -> String {
    let hash = &deployment["metadata"]["annotations"][annotations::STOCK_DESIRED_STATE_HASH];
    let mut spec = deployment["spec"].clone();
    if let Some(observed) = container {
        let path = format!("/template/spec/containers/{}", observed.index);
        if let Some(container) = spec.pointer_mut(&path) {
            let env = drop_appended(&observed.env, |entry| Some(&entry.value) == appended.overrides);
            remove(container, "env", env.map(|entry| (entry.index, 1)));
            let arguments: Vec<_> =
                drop_appended(&observed.arguments, |entry| Some(&entry.value) == appended.argument).collect();
            for list in [ArgumentList::Args, ArgumentList::Command] {
                let of_list = arguments.iter().filter(|entry| entry.form.list == list);
                remove(container, list.field(), of_list.map(|entry| (entry.index, 1 + usize::from(entry.form.split))));
            }
        }
    }
    short_digest(&format!("{spec}{hash}"))
}

fn drop_appended<T>(entries: &[T], is_ours: impl Fn(&T) -> bool) -> impl Iterator<Item = &T> {
    let first = usize::from(!entries.first().is_some_and(|entry| entries.len() == 1 && is_ours(entry)));
    entries.iter().skip(first)
}

fn remove(container: &mut Value, field: &str, places: impl Iterator<Item = (usize, usize)>) {
    let mut places: Vec<_> = places.collect();
    places.sort_unstable();
    if let Some(list) = container[field].as_array_mut() {
        for (index, count) in places.into_iter().rev() {
            let end = (index + count).min(list.len());
            list.drain(index.min(end)..end);
        }
    }
}

#[cfg(test)]
mod tests;
