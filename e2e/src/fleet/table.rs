//! Prints lists like `kubectl get`.

use anyhow::Result;
use serde_json::Value;

use super::Fleet;

impl Fleet {
    /// The header and the rows of a list with the columns of the API server, as printed by `kubectl get`, or by `kubectl get -A`
    /// with namespaces. A column without a value is empty.
    ///
    /// # Errors
    ///
    /// If the API server rejects the list.
    pub async fn table(&self, path: &str, namespaces: bool) -> Result<Vec<Vec<String>>> {
        let accept = "application/json;as=Table;v=v1;g=meta.k8s.io";
        let request = http::Request::get(path).header("Accept", accept).body(Vec::new())?;
        let table: Value = self.client.request(request).await?;
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let columns = list(&table["columnDefinitions"]);
        let shown: Vec<usize> = (0..columns.len()).filter(|place| columns[*place]["priority"] == 0).collect();
        let line = |namespace: &Value, cells: &mut dyn Iterator<Item = String>| {
            namespaces.then(|| text(namespace)).into_iter().chain(cells).collect()
        };
        let names = &mut shown.iter().map(|place| text(&columns[*place]["name"]).to_uppercase());
        let header = line(&"NAMESPACE".into(), names);
        let rows = list(&table["rows"]);
        let rows = rows.iter().map(|row| {
            line(&row["object"]["metadata"]["namespace"], &mut shown.iter().map(|place| text(&row["cells"][*place])))
        });
        Ok(std::iter::once(header).chain(rows).collect())
    }
}

fn text(cell: &Value) -> String {
    match cell {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
