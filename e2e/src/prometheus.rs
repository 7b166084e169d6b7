//! A Prometheus server that scrapes processes of a scenario, with the rules of this repository.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::{Launch, Process, binaries, endpoint, eventually, port};

const SOON: Duration = Duration::from_secs(30);
/// Interval of scrapes: short, because scenarios take seconds.
const INTERVAL: &str = "500ms";

/// A running server.
pub struct Prometheus {
    /// The process.
    pub process: Process,
    url: String,
}

/// A rule or query of `monitoring`, and where it is.
#[derive(Clone, Debug)]
pub struct Query {
    /// The file and the panel.
    pub place: String,
    /// PromQL.
    pub expression: String,
}

impl Prometheus {
    /// Starts a server with its data in `directory`, which scrapes these jobs: each has a name and an address.
    ///
    /// # Errors
    ///
    /// If it does not become ready.
    pub async fn start(directory: &Path, jobs: &[(&str, &str)]) -> Result<Self> {
        let (file, data) = (directory.join("prometheus.yml"), directory.join("prometheus"));
        std::fs::write(&file, config(jobs)?)?;
        let address = format!("127.0.0.1:{}", port::free()?);
        let mut process = Launch::new("prometheus", "prometheus", directory)
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", data.display()))
            .arg(format!("--web.listen-address={address}"))
            .spawn()
            .context("prometheus is installed by hack/setup")?;
        let url = format!("http://{address}");
        process.wait_until_ready(&format!("{url}/-/ready"), SOON).await?;
        Ok(Self { process, url })
    }

    /// Waits until every job was scraped.
    ///
    /// # Errors
    ///
    /// If one is not.
    pub async fn scrapes(&self, jobs: usize) -> Result<()> {
        eventually(SOON, "everything is scraped", async || {
            let up = self.number("sum(up)").await?;
            Ok(up.is_some_and(|up| up > usize_as_f64(jobs) - 0.5).then_some(()))
        })
        .await
    }

    /// The samples of an instant query.
    ///
    /// # Errors
    ///
    /// If Prometheus refuses the query.
    pub async fn query(&self, expression: &str) -> Result<Vec<Value>> {
        let answer = self.get(&format!("/api/v1/query?query={}", encoded(expression))).await?;
        ensure!(answer["status"] == "success", "{expression}: {answer}");
        Ok(answer["data"]["result"].as_array().cloned().unwrap_or_default())
    }

    /// The value of a query with one sample.
    ///
    /// # Errors
    ///
    /// As [`Self::query`], or if there are several.
    pub async fn number(&self, expression: &str) -> Result<Option<f64>> {
        let samples = self.query(expression).await?;
        ensure!(samples.len() < 2, "{expression}: {samples:?}");
        let value = samples.first().and_then(|sample| sample["value"][1].as_str());
        value.map(|value| value.parse().with_context(|| format!("{expression}: {value}"))).transpose()
    }

    /// The health of each rule, and its last error.
    ///
    /// # Errors
    ///
    /// If Prometheus does not answer.
    pub async fn rules(&self) -> Result<Vec<(String, String)>> {
        let answer = self.get("/api/v1/rules").await?;
        let groups = answer["data"]["groups"].as_array().into_iter().flatten();
        let rules = groups.flat_map(|group| group["rules"].as_array().into_iter().flatten());
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Ok(rules
            .map(|rule| (text(&rule["name"]), format!("{} {}", text(&rule["health"]), text(&rule["lastError"]))))
            .collect())
    }

    async fn get(&self, path: &str) -> Result<Value> {
        let answer = endpoint::get(&format!("{}{path}", self.url)).await?;
        serde_json::from_str(&answer.body).with_context(|| answer.body.clone())
    }
}

fn usize_as_f64(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}

/// The directory with rules and dashboards.
fn monitoring() -> PathBuf {
    binaries::repository_root().join("monitoring")
}

fn config(jobs: &[(&str, &str)]) -> Result<String> {
    let scrapes = jobs
        .iter()
        .map(|(name, address)| serde_json::json!({"job_name": name, "static_configs": [{"targets": [address]}]}));
    let config = serde_json::json!({
        "global": {"scrape_interval": INTERVAL, "evaluation_interval": INTERVAL},
        "rule_files": [monitoring().join("rules.yaml")],
        "scrape_configs": scrapes.collect::<Vec<_>>(),
    });
    Ok(serde_yaml::to_string(&config)?)
}

fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |encoded, byte| {
        if byte.is_ascii_alphanumeric() {
            encoded + char::from(byte).encode_utf8(&mut [0; 4])
        } else {
            encoded + &format!("%{byte:02X}")
        }
    })
}

/// The queries of all dashboards, with a value for each of their variables.
///
/// # Errors
///
/// If a dashboard cannot be read.
pub fn dashboard_queries() -> Result<Vec<Query>> {
    let mut queries = Vec::new();
    for entry in std::fs::read_dir(monitoring().join("dashboards"))? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let dashboard: Value = serde_json::from_slice(&std::fs::read(&path)?)?;
        for panel in dashboard["panels"].as_array().into_iter().flatten() {
            for target in panel["targets"].as_array().into_iter().flatten() {
                let expression = target["expr"].as_str().context("a target without a query")?;
                let place = format!("{}: {}", path.display(), panel["title"]);
                queries.push(Query { place, expression: with_variables(expression) });
            }
        }
    }
    Ok(queries)
}

fn with_variables(expression: &str) -> String {
    expression.replace("$__rate_interval", "1m").replace("$namespace", ".*").replace("$host", ".*")
}
