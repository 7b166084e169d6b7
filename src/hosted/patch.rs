//! Builds the JSON patch for one target, with `test`s, so that it applies only to the observed version.

use hypermirror_api::{annotations, names};
use serde_json::{Value, json};

use super::entries::Entries;
use super::observed::{ArgumentEntry, EnvEntry, ObservedContainer, ObservedTarget};
use super::target::{ArgumentForm, ArgumentList};

/// Builds a patch.
#[derive(Debug)]
pub struct PatchBuilder<'a> {
    target: &'a ObservedTarget,
    container: &'a ObservedContainer,
    annotations_exist: bool,
    changes: Vec<Value>,
}

impl<'a> PatchBuilder<'a> {
    /// Creates an empty patch for a target.
    pub fn new(target: &'a ObservedTarget, container: &'a ObservedContainer) -> Self {
        Self { target, container, annotations_exist: target.has_annotations, changes: Vec::new() }
    }

    /// Sets an annotation of the Deployment, or removes it with `None`. Has no effect if it is already up to date.
    pub fn annotation(&mut self, key: &str, current: Option<&str>, wanted: Option<&str>) -> &mut Self {
        let path = format!("/metadata/annotations/{}", key.replace('~', "~0").replace('/', "~1"));
        match wanted {
            _ if current == wanted => {}
            Some(value) => {
                if !std::mem::replace(&mut self.annotations_exist, true) {
                    self.push(json!({"op": "add", "path": "/metadata/annotations", "value": {}}));
                }
                self.push(json!({"op": "add", "path": path, "value": value}));
            }
            None => self.push(json!({"op": "remove", "path": path})),
        }
        self
    }

    /// Sets the annotations with the appended value and the retired entries.
    pub fn memory(&mut self, overrides: Option<&Entries>, retired: Option<&Entries>) -> &mut Self {
        let target = self.target;
        self.entries(annotations::OVERRIDES, target.overrides.as_ref(), overrides);
        self.entries(annotations::RETIRED, target.retired.as_ref(), retired)
    }

    /// Sets the annotation with the value of the appended argument.
    pub fn argument_memory(&mut self, wanted: Option<&Entries>) -> &mut Self {
        self.entries(annotations::APPENDED_ARGUMENT, self.target.argument.as_ref(), wanted)
    }

    fn entries(&mut self, key: &str, current: Option<&Entries>, wanted: Option<&Entries>) -> &mut Self {
        self.annotation(key, current.map(Entries::as_str), wanted.map(Entries::as_str))
    }

    /// Appends the environment variable.
    pub fn append_env(&mut self, value: &Entries) -> &mut Self {
        let entry = json!({"name": names::OVERRIDES_ENV, "value": value.as_str()});
        if self.container.has_env {
            self.push(json!({"op": "add", "path": self.path("env/-"), "value": entry}));
        } else {
            self.push(json!({"op": "add", "path": self.path("env"), "value": [entry]}));
        }
        self
    }

    /// Changes the value of the appended environment variable.
    pub fn replace_env(&mut self, entry: &EnvEntry, value: &Entries) -> &mut Self {
        self.test_env(entry);
        let path = self.path(&format!("env/{}/value", entry.index));
        self.push(json!({"op": "replace", "path": path, "value": value.as_str()}));
        self
    }

    /// Removes the appended environment variable.
    pub fn remove_env(&mut self, entry: &EnvEntry) -> &mut Self {
        self.test_env(entry);
        self.push(json!({"op": "remove", "path": self.path(&format!("env/{}", entry.index))}));
        self
    }

    fn test_env(&mut self, entry: &EnvEntry) {
        let path = self.path(&format!("env/{}", entry.index));
        self.push(json!({"op": "test", "path": format!("{path}/name"), "value": names::OVERRIDES_ENV}));
        self.push(json!({"op": "test", "path": format!("{path}/value"), "value": entry.value.as_str()}));
    }

    /// Appends the argument in this form.
    pub fn append_argument(&mut self, form: ArgumentForm, value: &Entries) -> &mut Self {
        let words = if form.split {
            vec![names::OVERRIDES_ARGUMENT.to_owned(), value.to_string()]
        } else {
            vec![format!("{}={value}", names::OVERRIDES_ARGUMENT)]
        };
        let exists = match form.list {
            ArgumentList::Args => self.container.args_len.is_some(),
            ArgumentList::Command => self.container.command_len.is_some(),
        };
        if exists {
            for word in words {
                let path = self.path(&format!("{}/-", form.list.field()));
                self.push(json!({"op": "add", "path": path, "value": word}));
            }
        } else {
            self.push(json!({"op": "add", "path": self.path(form.list.field()), "value": words}));
        }
        self
    }

    /// Removes the appended argument.
    pub fn remove_argument(&mut self, entry: &ArgumentEntry) -> &mut Self {
        let at = |index: usize| self.path(&format!("{}/{index}", entry.form.list.field()));
        let (first, second) = (at(entry.index), at(entry.index + 1));
        if entry.form.split {
            self.push(json!({"op": "test", "path": first, "value": names::OVERRIDES_ARGUMENT}));
            self.push(json!({"op": "test", "path": second, "value": entry.value.as_str()}));
            self.push(json!({"op": "remove", "path": second}));
        } else {
            let word = format!("{}={}", names::OVERRIDES_ARGUMENT, entry.value);
            self.push(json!({"op": "test", "path": first, "value": word}));
        }
        self.push(json!({"op": "remove", "path": first}));
        self
    }

    /// The changes without guards, for an object in an admission request. `None` if there are no changes.
    pub fn unguarded(self) -> Option<json_patch::Patch> {
        if self.changes.is_empty() { None } else { serde_json::from_value(Value::Array(self.changes)).ok() }
    }

    /// The patch with its guards. `None` if there are no changes.
    ///
    /// The guard is the generation, because it changes with the spec and the annotations of a Deployment, but not with its status.
    /// Status updates therefore cause no conflicts.
    pub fn build(self) -> Option<json_patch::Patch> {
        if self.changes.is_empty() {
            return None;
        }
        let mut operations = Vec::new();
        if !self.target.uid.is_empty() {
            operations.push(json!({"op": "test", "path": "/metadata/uid", "value": self.target.uid}));
        }
        if let Some(generation) = self.target.generation {
            operations.push(json!({"op": "test", "path": "/metadata/generation", "value": generation}));
        }
        operations.extend(self.changes);
        serde_json::from_value(Value::Array(operations)).ok()
    }

    fn push(&mut self, operation: Value) {
        self.changes.push(operation);
    }

    fn path(&self, rest: &str) -> String {
        format!("/spec/template/spec/containers/{}/{rest}", self.container.index)
    }
}
