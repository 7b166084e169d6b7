//! The CRDs of the fleet: the reduced or the stock ones. Tests can install and remove them.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, anyhow, ensure};
use futures::future::try_join_all;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, Patch, PatchParams},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{binaries::repository_root, eventually};

/// The variable for a directory with other CRDs than the reduced ones, such as the stock ones.
pub const STOCK_VARIABLE: &str = "HYPERMIRROR_E2E_CRDS";

const MANAGER: &str = "hypermirror-e2e";

const LIMIT: Duration = Duration::from_mins(1);

/// The directory of the stock CRDs, if the environment variable is set.
pub fn stock() -> Option<PathBuf> {
    std::env::var_os(STOCK_VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// A set of CRDs.
#[derive(Debug, Clone)]
pub struct Crds(Vec<Value>);

impl Crds {
    /// The CRDs of the fleet, from `HYPERMIRROR_E2E_CRDS` or `e2e/crds`.
    ///
    /// # Errors
    ///
    /// If a file cannot be read.
    pub fn of_the_fleet() -> Result<Self> {
        let reduced = Self::read(&[repository_root().join("e2e/crds")])?;
        match stock() {
            // The directory may have other CRDs, which are not used.
            Some(directory) => Self::read(&[directory])?.only(&reduced.names()),
            None => Ok(reduced),
        }
    }

    /// The CRDs in YAML files, in JSON files of one CRD each, and in all `*.yaml` and `*.json` of directories.
    ///
    /// # Errors
    ///
    /// If a file cannot be read or is no YAML, or there is no CRD at all.
    pub fn read(paths: &[impl AsRef<Path>]) -> Result<Self> {
        let mut crds = Vec::new();
        for file in files(paths)? {
            let text = std::fs::read_to_string(&file).with_context(|| format!("failed to read {}", file.display()))?;
            if file.extension().is_some_and(|extension| extension == "json") {
                crds.push(serde_json::from_str(&text).with_context(|| format!("failed to parse {}", file.display()))?);
                continue;
            }
            for document in serde_yaml::Deserializer::from_str(&text) {
                let value =
                    Value::deserialize(document).with_context(|| format!("failed to parse {}", file.display()))?;
                if value["kind"] == "CustomResourceDefinition" {
                    crds.push(value);
                }
            }
        }
        ensure!(!crds.is_empty(), "no CRD found");
        Ok(Self(crds))
    }

    /// Only those with these names, such as `hostedclusters.hypershift.openshift.io`.
    ///
    /// # Errors
    ///
    /// If one of them is not there.
    pub fn only(&self, names: &[&str]) -> Result<Self> {
        let find = |name: &&str| self.0.iter().find(|crd| crd["metadata"]["name"] == **name).cloned();
        let found = names.iter().map(|name| find(name).ok_or_else(|| anyhow!("no CRD {name}")));
        found.collect::<Result<_>>().map(Self)
    }

    /// All CRDs except those with these names.
    ///
    /// # Errors
    ///
    /// If one of them is not there.
    pub fn without(&self, names: &[&str]) -> Result<Self> {
        self.only(names)?;
        let stays = |crd: &&Value| !crd["metadata"]["name"].as_str().is_some_and(|name| names.contains(&name));
        Ok(Self(self.0.iter().filter(stays).cloned().collect()))
    }

    /// These and others.
    #[must_use]
    pub fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    /// The same kinds without validation.
    #[must_use]
    pub fn relaxed(&self) -> Self {
        let mut crds = self.0.clone();
        let versions = crds.iter_mut().filter_map(|crd| crd["spec"]["versions"].as_array_mut()).flatten();
        for version in versions {
            version["schema"]["openAPIV3Schema"] =
                json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
        }
        Self(crds)
    }

    /// Writes the CRDs of the fleet as JSON files without descriptions. Each stock CRD has half a megabyte of descriptions, which
    /// every scenario would parse and send without any effect on validation.
    ///
    /// # Errors
    ///
    /// If a file cannot be read or written, or a kind is missing.
    pub fn condense(from: &Path, into: &Path) -> Result<()> {
        let reduced = Self::read(&[repository_root().join("e2e/crds")])?;
        std::fs::create_dir_all(into)?;
        for mut crd in Self::read(&[from])?.only(&reduced.names())?.0 {
            remove_descriptions(&mut crd);
            let name = crd["metadata"]["name"].as_str().unwrap_or_default();
            std::fs::write(into.join(format!("{name}.json")), crd.to_string())?;
        }
        Ok(())
    }

    /// The schema of an object's kind, if that is one of these.
    pub fn schema(&self, object: &Value) -> Option<&Value> {
        let crd = self.0.iter().find(|crd| crd["spec"]["names"]["kind"] == object["kind"])?;
        Some(&crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"])
    }

    /// Their names.
    pub fn names(&self) -> Vec<&str> {
        self.0.iter().filter_map(|crd| crd["metadata"]["name"].as_str()).collect()
    }

    /// Applies them and waits until their resources are served.
    ///
    /// # Errors
    ///
    /// If one is refused or not served within a minute.
    pub async fn install(&self, client: &Client) -> Result<()> {
        try_join_all(self.0.iter().map(|crd| install(client, crd))).await.map(|_| ())
    }

    /// Waits until their resources are served by an API server that has them already.
    ///
    /// # Errors
    ///
    /// If one is not served within a minute.
    pub(crate) async fn served(&self, client: &Client) -> Result<()> {
        let kinds: Vec<CustomResourceDefinition> =
            self.0.iter().map(CustomResourceDefinition::deserialize).collect::<Result<_, _>>()?;
        try_join_all(kinds.iter().map(|kind| served(client, kind))).await.map(|_| ())
    }

    /// Each of them as text.
    pub(crate) fn texts(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(Value::to_string)
    }

    /// Deletes them, with all their objects, and waits until they are gone.
    ///
    /// # Errors
    ///
    /// If one is not gone within a minute.
    pub async fn delete(&self, client: &Client) -> Result<()> {
        let api: Api<CustomResourceDefinition> = Api::all(client.clone());
        for name in self.names() {
            api.delete(name, &DeleteParams::default()).await.with_context(|| format!("failed to delete {name}"))?;
        }
        for name in self.names() {
            eventually(LIMIT, &format!("{name} is gone"), async || {
                Ok(api.get_opt(name).await?.is_none().then_some(()))
            })
            .await?;
        }
        Ok(())
    }
}

async fn install(client: &Client, crd: &Value) -> Result<()> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let name = crd["metadata"]["name"].as_str().ok_or_else(|| anyhow!("a CRD without a name"))?;
    let params = PatchParams::apply(MANAGER).force();
    let applied =
        api.patch(name, &params, &Patch::Apply(crd)).await.with_context(|| format!("failed to apply {name}"))?;
    eventually(LIMIT, &format!("{name} is established"), async || {
        let crd = api.get(&applied.name_any()).await?;
        let conditions = crd.status.and_then(|status| status.conditions).unwrap_or_default();
        let established = conditions.iter().any(|c| c.type_ == "Established" && c.status == "True");
        ensure!(established, "{conditions:?}");
        Ok(Some(()))
    })
    .await?;
    served(client, &applied).await
}

async fn served(client: &Client, crd: &CustomResourceDefinition) -> Result<()> {
    // The condition Established is True slightly before the resource is served; until then, the server responds with 404.
    let group = &crd.spec.group;
    for version in crd.spec.versions.iter().filter(|version| version.served) {
        let uri = format!("/apis/{group}/{}/{}?limit=1", version.name, crd.spec.names.plural);
        eventually(LIMIT, &format!("{uri} is served"), async || {
            client.request_text(http::Request::get(&uri).body(Vec::new())?).await?;
            Ok(Some(()))
        })
        .await?;
    }
    Ok(())
}

/// Of schemas; a field of that name has an object there.
fn remove_descriptions(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, value| name != "description" || !value.is_string());
            fields.values_mut().for_each(remove_descriptions);
        }
        Value::Array(items) => items.iter_mut().for_each(remove_descriptions),
        _ => {}
    }
}

fn files(paths: &[impl AsRef<Path>]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths.iter().map(AsRef::as_ref) {
        if !path.is_dir() {
            files.push(path.to_owned());
            continue;
        }
        let entries = std::fs::read_dir(path).with_context(|| format!("failed to list {}", path.display()))?;
        let entries: Vec<_> = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
        let is_crd =
            |file: &PathBuf| file.extension().is_some_and(|extension| extension == "yaml" || extension == "json");
        files.extend(entries.into_iter().filter(is_crd));
    }
    files.sort();
    Ok(files)
}
