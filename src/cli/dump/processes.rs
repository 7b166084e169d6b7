//! Logs and metrics of hypermirror's own pods.

use serde_json::Value;

use super::super::MANAGER_NAMESPACE;
use super::objects::Objects;
use super::reader::Reader;
use crate::redaction::Redactor;
use crate::redaction::grammar::is_name;

/// Lines and bytes of one log: the last hours of a busy manager.
const LINES: usize = 5_000;
const LOG_BYTES: usize = 2 << 20;
const METRIC_BYTES: usize = 8 << 20;
/// Pods whose logs are read. Two managers and a registry-manager are usual.
const MAX_PODS: usize = 10;
const METRICS_PORT: u16 = 8080;
const LABEL: &str = "app.kubernetes.io/name";
const NAME: &str = "hypermirror";

/// Texts by directory and name of the file.
#[derive(Default)]
pub struct Processes {
    logs: Vec<(String, String)>,
    metrics: Vec<(String, String)>,
}

/// Reads what the pods have written.
pub async fn read(reader: &mut Reader, objects: &Objects) -> Processes {
    let mut found = Processes::default();
    let is_ours = |pod: &&Value| pod["metadata"]["labels"][LABEL] == NAME;
    for pod in objects.of("pods").iter().filter(is_ours).take(MAX_PODS) {
        let Some(name) = pod["metadata"]["name"].as_str().filter(|name| is_name(name)) else { continue };
        let path = format!("/api/v1/namespaces/{MANAGER_NAMESPACE}/pods/{name}");
        for container in pod["spec"]["containers"].as_array().into_iter().flatten() {
            let Some(container) = container["name"].as_str().filter(|name| is_name(name)) else { continue };
            let restarts = restarts(pod, container);
            for previous in if restarts > 0 { &[false, true][..] } else { &[false] } {
                let query =
                    format!("container={container}&tailLines={LINES}&limitBytes={LOG_BYTES}&previous={previous}");
                let suffix = if *previous { ".previous" } else { "" };
                let file = format!("{name}.{container}{suffix}.log");
                let what = format!("the log of pod {name}, container {container}{suffix}");
                // The server's limit ends before ours, so that a log that it cuts is no error.
                if let Some(text) = reader.text(&what, &format!("{path}/log?{query}"), 2 * LOG_BYTES).await {
                    found.logs.push((file, text));
                }
            }
        }
        let what = format!("the metrics of pod {name}");
        let path = format!("{path}:{METRICS_PORT}/proxy/metrics");
        if let Some(text) = reader.text(&what, &path, METRIC_BYTES).await {
            found.metrics.push((format!("{name}.prom"), text));
        }
    }
    found
}

fn restarts(pod: &Value, container: &str) -> i64 {
    let statuses = pod["status"]["containerStatuses"].as_array().into_iter().flatten();
    let status = statuses.into_iter().find(|status| status["name"] == container);
    status.and_then(|status| status["restartCount"].as_i64()).unwrap_or_default()
}

impl Processes {
    /// The files without secrets: directory, name, content.
    pub fn redacted(&self, redactor: &Redactor) -> Vec<((&'static str, String), String)> {
        let logs = self.logs.iter().map(|(name, text)| {
            let lines = text.lines().map(|line| redactor.log_line(line) + "\n");
            (("logs", name.clone()), lines.collect::<String>())
        });
        let metrics = self.metrics.iter().map(|(name, text)| {
            let lines = text.lines().filter_map(|line| redactor.metric_line(line)).map(|line| line + "\n");
            (("metrics", name.clone()), lines.collect::<String>())
        });
        logs.chain(metrics).collect()
    }
}
