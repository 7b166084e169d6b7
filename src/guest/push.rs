//! Brings a guest's objects to what is wanted: looks first, writes only what differs, deletes only what is ours.

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

/// How long a new CRD gets until its kind is served.
const ESTABLISHED: Duration = Duration::from_secs(8);
const ESTABLISHED_POLL: Duration = Duration::from_millis(50);
/// How often an object that somebody else writes at the same time is looked at again.
const ATTEMPTS: usize = 3;
/// What the server adds to an object that we write; beyond that it could be written and never read again.
const ADDED_BYTES: usize = 64 * 1024;
/// A UUID, and room for what other servers take for one.
const MAX_UID_BYTES: usize = 128;
/// The longest number.
const MAX_TERM_BYTES: usize = 20;

/// One object as it should be, and what a write needs of the one that is there.
#[derive(Clone, Debug)]
pub struct Drifted {
    stamped: Value,
    /// What was looked at: nobody else's write in between is lost. None: there was none.
    resource_version: Option<String>,
}

/// What a look at some objects found.
#[derive(Clone, Debug, Default)]
pub struct Looked {
    /// The objects that are as they should be, as they are.
    pub live: Vec<Value>,
    /// Those that are not.
    pub drifted: Vec<Drifted>,
}

/// An object as it is listed: what its deletion needs.
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
    /// Looks at objects.
    ///
    /// # Errors
    /// [`GuestError`]; `Failed` if an object of that name is somebody else's.
    pub async fn look_at(&self, wanted: &[Value]) -> Result<Looked, GuestError> {
        let mut looked = Looked::default();
        for wanted in wanted {
            match self.look_at_one(&stamped(wanted)).await? {
                Ok(live) => looked.live.push(live),
                Err(drifted) => looked.drifted.push(drifted),
            }
        }
        Ok(looked)
    }

    async fn look_at_one(&self, stamped: &Value) -> Result<Result<Value, Drifted>, GuestError> {
        let drifted = |resource_version| Drifted { stamped: stamped.clone(), resource_version };
        let Some(live) = self.get_shaped(&path::of(stamped), &with_identity(stamped)).await? else {
            self.note(|seen| seen.is_gone(stamped));
            return Ok(Err(drifted(None)));
        };
        self.note(|seen| seen.is(&live));
        if is_applied(&live, stamped) {
            return Ok(Ok(live));
        }
        if is_somebody_elses(&live) {
            if stamped["kind"] == "Namespace" {
                return Ok(Ok(live)); // a namespace is a place for ours, too
            }
            let message = format!("is there already and has no label {MANAGED_LABEL}");
            return Err(GuestError::Failed { what: path::title(stamped), message });
        }
        self.expect_no_later_leader(stamped, live["metadata"]["annotations"][TERM].as_str())?;
        Ok(Err(drifted(live["metadata"]["resourceVersion"].as_str().map(str::to_owned))))
    }

    /// Refuses to touch what a later leader wrote: we may have been asleep, and believe that we still lead.
    fn expect_no_later_leader(&self, object: &Value, term: Option<&str>) -> Result<(), GuestError> {
        let look = self.look().ok_or(GuestError::Stopped)?;
        match term.and_then(|term| term.parse().ok()) {
            Some(term) if term > look.term.max(look.overrules) => {
                Err(GuestError::Newer { what: path::title(object), term })
            }
            _ => Ok(()),
        }
    }

    /// Applies those that drifted; answers all as they are then, and how many were written.
    ///
    /// # Errors
    /// [`GuestError`]: the first; the objects after it are left as they were. `Conflict` if somebody else writes one again and
    /// again.
    pub async fn apply_all(&self, looked: Looked) -> Result<(Vec<Value>, usize), GuestError> {
        let (mut live, mut written) = (looked.live, 0);
        for drifted in looked.drifted {
            let (object, wrote) = self.apply(drifted).await?;
            live.push(object);
            written += usize::from(wrote);
        }
        Ok((live, written))
    }

    /// Answers the object as it is then, and whether that took a write.
    async fn apply(&self, drifted: Drifted) -> Result<(Value, bool), GuestError> {
        let mut drifted = drifted;
        for _ in 1..ATTEMPTS {
            match self.apply_once(&drifted).await {
                Err(GuestError::Conflict { .. }) => {}
                other => return other.map(|live| (live, true)),
            }
            match self.look_at_one(&drifted.stamped).await? {
                Ok(live) => return Ok((live, false)),
                Err(newer) => drifted = newer,
            }
        }
        self.apply_once(&drifted).await.map(|live| (live, true))
    }

    async fn apply_once(&self, drifted: &Drifted) -> Result<Value, GuestError> {
        let what = format!("writing {}", path::title(&drifted.stamped));
        let mut body = drifted.stamped.clone();
        body["metadata"]["annotations"][TERM] = self.look().ok_or(GuestError::Stopped)?.term.to_string().into();
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
            let message = format!("{} bytes are too many for one object", request.body().len());
            return Err(GuestError::Failed { what, message });
        }
        let shape = json!({
            "kind": "", "metadata": {"name": "", "uid": "", "generation": 0, "resourceVersion": ""},
            "spec": {"nodeSelector": body["spec"]["nodeSelector"]},
        });
        let live = self.write(&what, request, &shape).await?.ok_or(GuestError::Gone { what })?;
        self.note(|seen| seen.is(&live));
        tracing::debug!(object = path::title(&body), "written to a guest");
        if body["kind"] == "CustomResourceDefinition" {
            self.until_established(&whole, &body).await?;
        }
        Ok(live)
    }

    async fn until_established(&self, path: &str, crd: &Value) -> Result<(), GuestError> {
        let served_at = served_at(crd);
        let served = async {
            loop {
                // The condition is there a moment before the kind is served.
                if let Some::<Established>(Established { status }) = self.get(path).await?
                    && status.is_established()
                    && self.get::<Listed>(&served_at).await?.is_some()
                {
                    return Ok(());
                }
                tokio::time::sleep(ESTABLISHED_POLL).await;
            }
        };
        let late = GuestError::Failed { what: path.to_owned(), message: "the kind is not served yet".to_owned() };
        tokio::time::timeout(ESTABLISHED, served).await.unwrap_or(Err(late))
    }

    /// Looks at objects and applies those that drifted; answers all as they are then, and how many were written.
    ///
    /// # Errors
    /// [`GuestError`]: the first; the objects after it are left as they were.
    pub async fn ensure(&self, wanted: &[Value]) -> Result<(Vec<Value>, usize), GuestError> {
        self.apply_all(self.look_at(wanted).await?).await
    }

    /// Deletes the objects of a kind that are ours and not among those; answers how many.
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

    /// Deletes an object of that kind and name if it is ours.
    ///
    /// # Errors
    /// [`GuestError`].
    pub async fn delete_ours(&self, object: &Value) -> Result<(), GuestError> {
        match self.get_shaped(&path::of(object), &with_identity(&named(object))).await? {
            Some(live) if live["metadata"]["labels"][MANAGED_LABEL] == "true" => self.delete(&live).await,
            _ => Ok(()),
        }
    }

    /// Deletes an object of that kind and name, whoever made it.
    ///
    /// # Errors
    /// [`GuestError`].
    pub async fn delete_any(&self, object: &Value) -> Result<(), GuestError> {
        match self.get_shaped(&path::of(object), &with_identity(&named(object))).await? {
            Some(live) => self.delete(&live).await,
            None => Ok(()),
        }
    }

    /// Deletes an object that was looked at, and no other that took its name; none there is fine.
    async fn delete(&self, object: &Value) -> Result<(), GuestError> {
        self.expect_no_later_leader(object, object["metadata"]["annotations"][TERM].as_str())?;
        let what = format!("deleting {}", path::title(object));
        let whole = path::of(object);
        let (collection, name) = whole.rsplit_once('/').unwrap_or_default();
        let uid = object["metadata"]["uid"].as_str().map(str::to_owned);
        let preconditions = uid.map(|uid| Preconditions { uid: Some(uid), ..Preconditions::default() });
        let params = DeleteParams { preconditions, ..DeleteParams::default() };
        let request = kube::core::Request::new(collection).delete(name, &params);
        self.write(&what, request, &Value::Null).await?;
        self.note(|seen| seen.is_gone(object));
        Ok(())
    }

    fn note(&self, note: impl FnOnce(&Seen)) {
        if let Some(look) = self.look() {
            note(&look.seen);
        }
    }
}

impl ListedMeta {
    /// None for what is no object of an API server: its name becomes a part of the path that is deleted.
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

/// The kind and name of an object alone.
fn named(object: &Value) -> Value {
    let metadata = &object["metadata"];
    json!({"kind": object["kind"], "metadata": {"name": metadata["name"], "namespace": metadata["namespace"]}})
}

/// A shape with those fields of an object that tell whose it is and which edition.
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

/// CRDs are shared: an agent that was installed by hand brought the same ones.
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
