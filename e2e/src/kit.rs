//! The kinds and objects that a cluster of a test bed has from the start.

use std::path::Path;

use anyhow::Result;
use kube::Client;
use serde_json::Value;

use crate::{Crds, Fleet, fleet::documents};

/// Kinds, and objects that are applied in this order.
#[derive(Debug, Clone)]
#[must_use]
pub struct Kit {
    kinds: Crds,
    objects: Vec<Value>,
}

impl Kit {
    /// Only kinds.
    pub fn of(kinds: Crds) -> Self {
        Self { kinds, objects: Vec::new() }
    }

    /// Adds an object.
    pub fn object(mut self, object: Value) -> Self {
        self.objects.push(object);
        self
    }

    /// Adds every document of a file.
    ///
    /// # Errors
    ///
    /// If the file is unreadable or is no YAML.
    pub fn file(mut self, path: &Path) -> Result<Self> {
        self.objects.extend(documents(path)?);
        Ok(self)
    }

    /// Applies all and waits until the kinds are served.
    ///
    /// # Errors
    ///
    /// If the API server rejects a request, or does not serve a kind in time.
    pub async fn install(&self, client: &Client) -> Result<()> {
        self.kinds.install(client).await?;
        let fleet = Fleet { client: client.clone() };
        for object in &self.objects {
            fleet.apply(object).await?;
        }
        Ok(())
    }

    /// Waits until the kinds are served by an API server that has them already.
    ///
    /// # Errors
    ///
    /// If it does not serve one in time.
    pub(crate) async fn served(&self, client: &Client) -> Result<()> {
        self.kinds.served(client).await
    }

    /// All of it as text: two kits are the same if this is.
    pub(crate) fn text(&self) -> String {
        let objects = self.objects.iter().map(Value::to_string);
        self.kinds.texts().chain(objects).collect::<Vec<_>>().join("\n")
    }
}
