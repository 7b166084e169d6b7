//! Brings a guest's objects to what is wanted: looks first, writes only what differs, deletes only what is ours.

use std::time::Duration;

use hypermirror_api::names::{FIELD_MANAGER, MANAGED_LABEL};
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use serde_json::Value;

use super::client::GuestClient;
use super::compare::{is_applied, stamped};
use super::error::GuestError;
use super::path;

/// How long a new CRD gets until its kind is served.
const ESTABLISHED: Duration = Duration::from_secs(8);
const ESTABLISHED_POLL: Duration = Duration::from_millis(50);

/// One object, as it is and as it should be.
#[derive(Clone, Debug)]
pub struct Drifted {
    stamped: Value,
}

/// What a look at some objects found.
#[derive(Clone, Debug, Default)]
pub struct Looked {
    /// The objects that are as they should be, as they are.
    pub live: Vec<Value>,
    /// Those that are not.
    pub drifted: Vec<Drifted>,
}

impl GuestClient {
    /// Looks at objects.
    ///
    /// # Errors
    /// [`GuestError`]; `Failed` if an object of that name is somebody else's.
    pub async fn look(&self, wanted: &[Value]) -> Result<Looked, GuestError> {
        let mut looked = Looked::default();
        for wanted in wanted {
            let stamped = stamped(wanted);
            match self.get::<Value>(&path::of(wanted)).await? {
                Some(live) if is_applied(&live, &stamped) => looked.live.push(live),
                Some(live) if is_somebody_elses(&live) => {
                    if wanted["kind"] != "Namespace" {
                        let message = format!("is there already and has no label {MANAGED_LABEL}");
                        return Err(GuestError::Failed { what: path::title(wanted), message });
                    }
                    looked.live.push(live); // a namespace is a place for ours, too
                }
                _ => looked.drifted.push(Drifted { stamped }),
            }
        }
        Ok(looked)
    }

    /// Applies one object; answers it as it is then.
    ///
    /// # Errors
    /// [`GuestError`].
    pub async fn apply(&self, drifted: &Drifted) -> Result<Value, GuestError> {
        let Drifted { stamped } = drifted;
        let what = format!("writing {}", path::title(stamped));
        let whole = path::of(stamped);
        let (collection, name) = whole.rsplit_once('/').unwrap_or_default();
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let body = Patch::Apply(stamped);
        let call = async {
            let request = kube::core::Request::new(collection).patch(name, &params, &body);
            self.inner().request::<Value>(request.map_err(kube::Error::BuildRequest)?).await
        };
        let live = self.call(&what, call).await?;
        tracing::debug!(object = path::title(stamped), "written to a guest");
        if stamped["kind"] == "CustomResourceDefinition" { self.until_established(&whole).await } else { Ok(live) }
    }

    async fn until_established(&self, path: &str) -> Result<Value, GuestError> {
        let served = async {
            loop {
                // The condition is there a moment before the kind is served.
                if let Some(crd) = self.get::<Value>(path).await?.filter(is_established)
                    && self.get::<Value>(&served_at(&crd)).await?.is_some()
                {
                    return Ok(crd);
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
        let mut looked = self.look(wanted).await?;
        for drifted in &looked.drifted {
            looked.live.push(self.apply(drifted).await?);
        }
        Ok((looked.live, looked.drifted.len()))
    }

    /// Deletes the objects of a kind that are ours and not among those; answers how many.
    ///
    /// # Errors
    /// [`GuestError`].
    pub async fn prune(&self, kind: &str, wanted: &[Value]) -> Result<usize, GuestError> {
        let ours = self.list::<Value>(&path::collection(kind), &format!("{MANAGED_LABEL}=true")).await?;
        let name = |object: &Value| object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let names: Vec<String> = wanted.iter().filter(|object| object["kind"] == kind).map(name).collect();
        let mut deleted = 0;
        for mut object in ours.into_iter().filter(|object| !names.contains(&name(object))) {
            object["kind"] = kind.into(); // the items of a list do not say it
            self.delete(&object).await?;
            deleted += 1;
        }
        Ok(deleted)
    }

    /// Deletes an object of that kind and name if it is ours.
    ///
    /// # Errors
    /// [`GuestError`].
    pub async fn delete_ours(&self, object: &Value) -> Result<(), GuestError> {
        match self.get::<Value>(&path::of(object)).await? {
            Some(live) if live["metadata"]["labels"][MANAGED_LABEL] == "true" => self.delete(&live).await,
            _ => Ok(()),
        }
    }

    /// Deletes an object that was looked at, and no other that took its name; none there is fine.
    ///
    /// # Errors
    /// [`GuestError`].
    pub async fn delete(&self, object: &Value) -> Result<(), GuestError> {
        let what = format!("deleting {}", path::title(object));
        let whole = path::of(object);
        let (collection, name) = whole.rsplit_once('/').unwrap_or_default();
        let uid = object["metadata"]["uid"].as_str().map(str::to_owned);
        let preconditions = uid.map(|uid| Preconditions { uid: Some(uid), ..Preconditions::default() });
        let params = DeleteParams { preconditions, ..DeleteParams::default() };
        let call = async {
            let request = kube::core::Request::new(collection).delete(name, &params);
            self.inner().request::<Value>(request.map_err(kube::Error::BuildRequest)?).await
        };
        match self.call(&what, call).await {
            Ok(_) | Err(GuestError::Gone { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
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

fn is_established(crd: &Value) -> bool {
    let conditions = crd["status"]["conditions"].as_array();
    let mut conditions = conditions.into_iter().flatten();
    conditions.any(|condition| condition["type"] == "Established" && condition["status"] == "True")
}
