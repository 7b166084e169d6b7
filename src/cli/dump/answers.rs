//! What `check`, `render overrides`, `status` and the dashboard say.

use anyhow::Result;
use hypermirror_api::{HostedClusterMirrors, MirrorCoverage};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::super::check::{self, Depth};
use super::super::dashboard::{self, bundle::Pages};
use super::super::input::{Connection, Input, InputArgs, Wanted};
use super::super::planning::Planner;
use super::super::{console, status};
use super::objects::Objects;
use super::reader::Reader;
use crate::manager::options::PlanOptions;
use crate::redaction::shape::Shape;
use crate::redaction::shapes;

/// What was answered, not redacted yet.
#[derive(Default)]
pub struct Answers {
    /// Values with their shapes, by file.
    pub values: Vec<(&'static str, Value, Shape)>,
    /// The dashboard.
    pub pages: Pages,
}

/// Answers from objects that are read once for all.
pub async fn read(reader: &mut Reader, connection: &Connection, options: &PlanOptions, now: Timestamp) -> Answers {
    let end = reader.end();
    let client = reader.client.clone();
    let mut answers = Answers::default();
    let answered = tokio::time::timeout_at(end, async {
        let targets = options.targets();
        let args = InputArgs { files: Vec::new(), connection: connection.clone() };
        let input = args.load(Wanted { plane: true, ..check::wanted(&targets) }).await?;
        let rows = check::findings(&input, options, Some((&client, Depth::Objects))).await;
        let maps = maps(&input, options)?;
        let findings = serde_json::to_value(&rows)?;
        answers.values = vec![("check.json", findings, shapes::findings()), ("maps.json", maps, shapes::maps())];
        dashboard::bundle::render_into(&mut answers.pages, client.clone(), (input, now, rows), options).await
    });
    if let Err(error) = answered.await.unwrap_or_else(|_| Err(anyhow::anyhow!("the time is over (--timeout)"))) {
        let what = if answers.values.is_empty() {
            "what check finds, the maps and the dashboard"
        } else {
            "a part of the dashboard"
        };
        reader.miss(what, console::causes(&error));
    }
    answers
}

fn maps(input: &Input, options: &PlanOptions) -> Result<Value> {
    let planner = Planner::new(input, options, false);
    let mut maps = Map::new();
    for cluster in &input.clusters {
        let plan = planner.plan(cluster);
        maps.insert(plan.key.to_string(), serde_json::to_value(&plan.map.map.resolved.sources)?);
    }
    Ok(Value::Object(maps))
}

/// The tree of `status`, of redacted reports and coverages.
pub fn status(objects: &Objects) -> String {
    let reports: Vec<HostedClusterMirrors> = decoded(objects.of("hostedclustermirrors"));
    let coverages: Vec<MirrorCoverage> = decoded(objects.of("mirrorcoverages"));
    console::plain(&status::text(&objects.clusters(), &reports, &coverages))
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
