//! Applies objects in a guest cluster: reads them first, writes only those that differ, and deletes only those that
//! hypermirror manages.

use std::time::Duration;

use hypermirror_api::annotations::TERM;
use hypermirror_api::names::{FIELD_MANAGER, MANAGED_LABEL};
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::{GuestClient, MAX_OBJECT_BYTES};
use super::compare::{is_applied, stamped};
use super::error::GuestError;
use super::few::Few;
use super::path;
use super::seen::Seen;

/// Time until the kind of a new CRD is served.
const ESTABLISHED: Duration = Duration::from_secs(8);
const ESTABLISHED_POLL: Duration = Duration::from_millis(50);
/// Attempts to write an object that another client changes at the same time.
const ATTEMPTS: usize = 3;
/// Space for fields that the server adds. An object without this space could be written, but not read any more.
const ADDED_BYTES: usize = 64 * 1024;
/// A UUID, with space for longer identifiers.
const MAX_UID_BYTES: usize = 128;
/// The digits of the largest number.
const MAX_TERM_BYTES: usize = 20;

/// A desired object that differs from the current one.
#[derive(Clone, Debug)]
pub struct Drifted {
    stamped: Value,
    /// The version that was read, so that a concurrent write is detected. `None` if the object did not exist.
    resource_version: Option<String>,
}

/// The result of comparing objects.
#[derive(Clone, Debug, Default)]
pub struct Compared {
    /// The current objects that are up to date.
    pub live: Vec<Value>,
    /// The desired objects that differ.
    pub drifted: Vec<Drifted>,
}

/// The fields of a listed object that its deletion needs.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Listed {
    metadata: ListedMeta,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ListedMeta {
    name: String,
    namespace: Option<String>,
    uid: String,
    annotations: Option<ListedAnnotations>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ListedAnnotations {
    #[serde(rename = "hypermirror.dev/term")]
    term: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Established {
    status: EstablishedStatus,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct EstablishedStatus {
    conditions: Few<EstablishedCondition, 16>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct EstablishedCondition {
    r#type: String,
    status: String,
}

impl GuestClient {
    /// Compares desired objects with the current ones.
    ///
    /// # Errors
    /// [`GuestError`]; `Failed` if hypermirror does not manage the existing object of that name.
    pub async fn compare(&self, wanted: &[Value]) -> Result<Compared, GuestError> {
        let mut compared = Compared::default();
        for wanted in wanted {
            match self.compare_one(&stamped(wanted)).await? {
                Ok(live) => compared.live.push(live),
                Err(drifted) => compared.drifted.push(drifted),
            }
        }
        Ok(compared)
    }

    async fn compare_one(&self, stamped: &Value) -> Result<Result<Value, Drifted>, GuestError> {
        let drifted = |resource_version| Drifted { stamped: stamped.clone(), resource_version };
        let Some(live) = self.get_shaped(&path::of(stamped), &with_identity(stamped)).await? else {
            self.record(|seen| seen.is_gone(stamped));
            return Ok(Err(drifted(None)));
        };
        self.record(|seen| seen.is(&live));
        if is_applied(&live, stamped) {
            return Ok(Ok(live));
        }
        if is_somebody_elses(&live) {
            if stamped["kind"] == "Namespace" {
                return Ok(Ok(live)); // any existing namespace can be used
            }
            let message = format!(
                "already exists without the label {MANAGED_LABEL}, so it is not changed; delete it, or add the label"
            );
            return Err(GuestError::Failed { what: path::title(stamped), message });
        }
        self.expect_no_later_leader(stamped, live["metadata"]["annotations"][TERM].as_str())?;
        Ok(Err(drifted(live["metadata"]["resourceVersion"].as_str().map(str::to_owned))))
    }

    /// Rejects objects that a newer leader wrote: this process may have been suspended and no longer be the leader.
    fn expect_no_later_leader(&self, object: &Value, term: Option<&str>) -> Result<(), GuestError> {
        let limits = self.limits().ok_or(GuestError::Stopped)?;
        match term.and_then(|term| term.parse().ok()) {
            Some(term) if term > limits.term.max(limits.overrules) => {
                Err(GuestError::Newer { what: path::title(object), term })
            }
            _ => Ok(()),
        }
    }

    /// Applies the objects that differ. Returns all objects and the number of writes.
    ///
    /// # Errors
    /// The first [`GuestError`]; the objects after it are not changed. `Conflict` if another client changes an object
    /// repeatedly.
    pub async fn apply_all(&self, compared: Compared) -> Result<(Vec<Value>, usize), GuestError> {
        let (mut live, mut written) = (compared.live, 0);
        for drifted in compared.drifted {
            let (object, wrote) = self.apply(drifted).await?;
            live.push(object);
            written += usize::from(wrote);
        }
        Ok((live, written))
    }

    /// Returns the object, and whether it was written.
    async fn apply(&self, drifted: Drifted) -> Result<(Value, bool), GuestError> {
        let mut drifted = drifted;
        for _ in 1..ATTEMPTS {
            match self.apply_once(&drifted).await {
                Err(GuestError::Conflict { .. }) => {}
                other => return other.map(|live| (live, true)),
            }
            match self.compare_one(&drifted.stamped).await? {
                Ok(live) => return Ok((live, false)),
                Err(newer) => drifted = newer,
            }
        }
        self.apply_once(&drifted).await.map(|live| (live, true))
    }

    async fn apply_once(&self, drifted: &Drifted) -> Result<Value, GuestError> {
        let what = format!("PATCH {}", path::title(&drifted.stamped));
        let mut body = drifted.stamped.clone();
        body["metadata"]["annotations"][TERM] = self.limits().ok_or(GuestError::Stopped)?.term.to_string().into();
        if let Some(version) = &drifted.resource_version {
            body["metadata"]["resourceVersion"] = version.as_str().into();
        }
        let whole = path::of(&body);
        let (collection, name) = whole.rsplit_once('/').unwrap_or_default();
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let request = kube::core::Request::new(collection).patch(name, &params, &Patch::Apply(&body));
        if let Ok(request) = &request
            && request.body().len() > MAX_OBJECT_BYTES - ADDED_BYTES
        {
            let message = format!("the object has {} bytes, which exceeds the limit", request.body().len());
            return Err(GuestError::Failed { what, message });
        }
        let shape = json!({
            "kind": "", "metadata": {"name": "", "uid": "", "generation": 0, "resourceVersion": ""},
            "spec": {"nodeSelector": body["spec"]["nodeSelector"]},
        });
        let live = self.write(&what, request, &shape).await?.ok_or(GuestError::Gone { what })?;
        self.record(|seen| seen.is(&live));
        tracing::debug!(object = path::title(&body), "applied an object in a guest cluster");
        if body["kind"] == "CustomResourceDefinition" {
            self.until_established(&whole, &body).await?;
        }
        Ok(live)
    }

    async fn until_established(&self, path: &str, crd: &Value) -> Result<(), GuestError> {
        let served_at = served_at(crd);
        let served = async {
            loop {
                // The condition is True slightly before the kind is served, so poll until both are true.
                if let Some::<Established>(Established { status }) = self.get(path).await?
                    && status.is_established()
                    && self.get::<Listed>(&served_at).await?.is_some()
                {
                    return Ok(());
                }
                tokio::time::sleep(ESTABLISHED_POLL).await;
            }
        };
        let late = GuestError::Failed {
            what: path.to_owned(),
            message: "waiting for the API server to serve the kind".to_owned(),
        };
        tokio::time::timeout(ESTABLISHED, served).await.unwrap_or(Err(late))
    }

    /// Compares objects and applies those that differ. Returns all objects and the number of writes.
    ///
    /// # Errors
    /// The first [`GuestError`]; the objects after it are not changed.
    pub async fn ensure(&self, wanted: &[Value]) -> Result<(Vec<Value>, usize), GuestError> {
        self.apply_all(self.compare(wanted).await?).await
    }

    /// Deletes the managed objects of a kind that are not in `wanted`. Returns the number of deletions.
    ///
    /// # Errors
    /// [`GuestError`].
    pub async fn prune(&self, kind: &str, wanted: &[Value]) -> Result<usize, GuestError> {
        let mut unwanted: Vec<Value> = Vec::new();
        let is_wanted = |name: &str| wanted.iter().any(|it| it["kind"] == kind && it["metadata"]["name"] == name);
        let keep = |object: Listed| {
            if !is_wanted(&object.metadata.name) {
                unwanted.extend(object.metadata.into_object(kind));
            }
        };
        self.each_metadata(&path::collection(kind), &format!("{MANAGED_LABEL}=true"), keep).await?;
        for object in &unwanted {
            self.delete(object).await?;
        }
        Ok(unwanted.len())
    }

    /// Deletes an object if hypermirror manages it.
    ///
    /// # Errors
    /// [`GuestError`].
    pub async fn delete_ours(&self, object: &Value) -> Result<(), GuestError> {
        match self.get_shaped(&path::of(object), &with_identity(&named(object))).await? {
            Some(live) if live["metadata"]["labels"][MANAGED_LABEL] == "true" => self.delete(&live).await,
            _ => Ok(()),
        }
    }

    /// Deletes an object, even if hypermirror does not manage it.
    ///
    /// # Errors
    /// [`GuestError`].
    pub async fn delete_any(&self, object: &Value) -> Result<(), GuestError> {
        match self.get_shaped(&path::of(object), &with_identity(&named(object))).await? {
            Some(live) => self.delete(&live).await,
            None => Ok(()),
        }
    }

    /// Deletes an object that was read, but not a newer one of the same name. It may already be deleted.
    async fn delete(&self, object: &Value) -> Result<(), GuestError> {
        self.expect_no_later_leader(object, object["metadata"]["annotations"][TERM].as_str())?;
        let what = format!("DELETE {}", path::title(object));
        let whole = path::of(object);
        let (collection, name) = whole.rsplit_once('/').unwrap_or_default();
        let uid = object["metadata"]["uid"].as_str().map(str::to_owned);
        let preconditions = uid.map(|uid| Preconditions { uid: Some(uid), ..Preconditions::default() });
        let params = DeleteParams { preconditions, ..DeleteParams::default() };
        let request = kube::core::Request::new(collection).delete(name, &params);
        self.write(&what, request, &Value::Null).await?;
        self.record(|seen| seen.is_gone(object));
        Ok(())
    }

    fn record(&self, record: impl FnOnce(&Seen)) {
        if let Some(limits) = self.limits() {
            record(&limits.seen);
        }
    }
}

impl ListedMeta {
    /// `None` for invalid names, because the name becomes a segment of the deleted path.
    fn into_object(self, kind: &str) -> Option<Value> {
        let namespace = self.namespace.unwrap_or_default();
        let is_sound = path::is_name(&self.name) && (namespace.is_empty() || path::is_name(&namespace));
        let term = self.annotations.unwrap_or_default().term.filter(|term| term.len() <= MAX_TERM_BYTES);
        let metadata = json!({
            "name": self.name, "namespace": namespace, "uid": self.uid, "annotations": {TERM: term.unwrap_or_default()},
        });
        (is_sound && self.uid.len() <= MAX_UID_BYTES).then(|| json!({"kind": kind, "metadata": metadata}))
    }
}

/// Only the kind and name of an object.
fn named(object: &Value) -> Value {
    let metadata = &object["metadata"];
    json!({"kind": object["kind"], "metadata": {"name": metadata["name"], "namespace": metadata["namespace"]}})
}

/// The shape of an object with the fields that identify its manager and its version.
fn with_identity(object: &Value) -> Value {
    let mut shape = object.clone();
    let metadata = &mut shape["metadata"];
    for field in ["uid", "generation", "resourceVersion"] {
        metadata[field] = Value::Null;
    }
    metadata["labels"][MANAGED_LABEL] = Value::Null;
    metadata["annotations"][TERM] = Value::Null;
    shape
}

/// CRDs are shared with agents that were installed manually, so the label is not required.
fn is_somebody_elses(live: &Value) -> bool {
    live["kind"] != "CustomResourceDefinition" && live["metadata"]["labels"][MANAGED_LABEL] != "true"
}

fn served_at(crd: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (group, plural) = (text(&crd["spec"]["group"]), text(&crd["spec"]["names"]["plural"]));
    format!("/apis/{group}/{}/{plural}?limit=1", text(&crd["spec"]["versions"][0]["name"]))
}

impl EstablishedStatus {
    fn is_established(&self) -> bool {
        self.conditions.iter().any(|condition| condition.r#type == "Established" && condition.status == "True")
    }
}
