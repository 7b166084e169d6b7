//! What `check`, `render overrides` and `status` say.

use anyhow::Result;
use hypermirror_api::{HostedClusterMirrors, MirrorCoverage};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::super::check::{self, Depth};
use super::super::input::{Connection, InputArgs};
use super::super::planning::Planner;
use super::super::{console, status};
use super::objects::Objects;
use super::reader::Reader;
use crate::manager::options::PlanOptions;
use crate::redaction::shape::Shape;
use crate::redaction::shapes;

/// Values that are not redacted yet, with their shapes, by file.
pub async fn read(
    reader: &mut Reader,
    connection: &Connection,
    options: &PlanOptions,
) -> Vec<(&'static str, Value, Shape)> {
    let end = reader.end();
    let targets = options.targets();
    let args = InputArgs { files: Vec::new(), connection: connection.clone() };
    let client = reader.client.clone();
    let answered = tokio::time::timeout_at(end, async {
        let input = args.load(check::wanted(&targets)).await?;
        let rows = check::findings(&input, options, Some((&client, Depth::Objects))).await;
        let planner = Planner::new(&input, options, false);
        let mut maps = Map::new();
        for cluster in &input.clusters {
            let plan = planner.plan(cluster);
            maps.insert(plan.key.to_string(), serde_json::to_value(&plan.map.map.resolved.sources)?);
        }
        anyhow::Ok((serde_json::to_value(&rows)?, Value::Object(maps)))
    });
    match answered.await.unwrap_or_else(|_| Err(anyhow::anyhow!("the time is over (--timeout)"))) {
        Ok((rows, maps)) => vec![("check.json", rows, shapes::findings()), ("maps.json", maps, shapes::maps())],
        Err(error) => {
            reader.miss("what check finds, and the maps", console::causes(&error));
            Vec::new()
        }
    }
}

/// The tree of `status`, of redacted reports and coverages.
#[expect(clippy::unnecessary_wraps, reason = "other pages can fail")]
pub fn status(objects: &Objects) -> Result<Vec<(String, Vec<u8>)>> {
    let reports: Vec<HostedClusterMirrors> = decoded(objects.of("hostedclustermirrors"));
    let coverages: Vec<MirrorCoverage> = decoded(objects.of("mirrorcoverages"));
    let text = status::text(&objects.clusters(), &reports, &coverages);
    Ok(vec![("status.txt".to_owned(), console::plain(&text).into_bytes())])
}

/// Redacted objects have no spec. One whose time was dropped because it is none is in its file only.
fn decoded<T: DeserializeOwned>(objects: &[Value]) -> Vec<T> {
    let decode = |object: &Value| {
        let mut object = object.clone();
        object["spec"] = Value::Object(Map::new());
        serde_json::from_value(object).ok()
    };
    objects.iter().filter_map(decode).collect()
}
