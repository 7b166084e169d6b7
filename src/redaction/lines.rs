//! Redacts values that have a grammar of their own: override values, environments, lines of logs and metrics.

use hypermirror_api::names;
use serde_json::{Map, Value, json};

use super::grammar::{is_name, is_place};
use super::{DROPPED, Redactor, text};

/// The flag whose value has the grammar of the environment variable.
pub const OVERRIDES_FLAG: &str = names::OVERRIDES_ARGUMENT;
/// What the names of hypermirror's metrics begin with.
const METRICS: &str = "hypermirror_";
/// Metrics of the process.
const PROCESS: &str = "process_";

/// A value of `OPENSHIFT_IMG_OVERRIDES`: pairs of locations.
pub fn pairs(text: &str) -> String {
    let pair = |pair: &str| {
        let is_kept = match pair.split_once('=') {
            Some((source, mirror)) => [source, mirror].iter().all(|place| place.is_empty() || is_place(place)),
            None => pair.is_empty(),
        };
        if is_kept { pair.to_owned() } else { DROPPED.to_owned() }
    };
    text.split(',').map(pair).collect::<Vec<_>>().join(",")
}

/// The environment of a container: the names, and the one value that is hypermirror's business.
pub fn environment(value: &Value) -> Value {
    let variable = |variable: &Value| {
        let name = variable["name"].as_str().filter(|name| is_name(name))?;
        Some(match variable["value"].as_str().filter(|_| name == names::OVERRIDES_ENV) {
            Some(value) => json!({"name": name, "value": pairs(value)}),
            None => json!({"name": name}),
        })
    };
    value.as_array().into_iter().flatten().filter_map(variable).collect()
}

impl Redactor {
    /// One line of a log, as JSON or as text.
    pub fn log_line(&self, line: &str) -> String {
        match serde_json::from_str::<Value>(line) {
            Ok(value @ Value::Object(_)) => self.log_value(&value).to_string(),
            _ => self.text(line),
        }
    }

    fn log_value(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => self.text(text).into(),
            Value::Array(items) => items.iter().map(|item| self.log_value(item)).collect(),
            Value::Object(object) => {
                let fields = object.iter().filter(|(key, _)| key.split(['_', '.']).all(text::is_word));
                Value::Object(
                    fields.map(|(key, value)| (key.clone(), self.log_value(value))).collect::<Map<String, Value>>(),
                )
            }
            Value::Number(_) => self.text(&value.to_string()).into(),
            Value::Bool(_) | Value::Null => value.clone(),
        }
    }

    /// One line of metrics. `None` for comments, and for metrics of others.
    pub fn metric_line(&self, line: &str) -> Option<String> {
        let (series, value) = line.rsplit_once(' ')?;
        value.parse::<f64>().ok()?;
        let (name, labels) = match series.split_once('{') {
            Some((name, labels)) => (name, labels.strip_suffix('}')?),
            None => (series, ""),
        };
        let is_worded = |name: &str| name.split('_').all(text::is_word);
        if !is_worded(name) || !(name.starts_with(METRICS) || name.starts_with(PROCESS)) {
            return None;
        }
        let label = |label: &str| {
            let (key, value) = label.split_once('=')?;
            let value = value.trim_matches('"');
            is_worded(key).then(|| format!("{key}=\"{}\"", self.text(value)))
        };
        let labels: Vec<String> = labels
            .split("\",")
            .map(|part| format!("{part}\""))
            .filter_map(|part| label(part.trim_matches(',')))
            .collect();
        Some(if labels.is_empty() {
            format!("{name} {value}")
        } else {
            format!("{name}{{{}}} {value}", labels.join(","))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_override_value_keeps_its_places() {
        for (value, expected) in [
            (
                "=,a.example/x=m.example/x,a.example/x=n.example:5000/x",
                "=,a.example/x=m.example/x,a.example/x=n.example:5000/x",
            ),
            ("a.example=user:canary@m.example,b.example=m.example", "[dropped],b.example=m.example"),
            ("canary", "[dropped]"),
            ("", ""),
        ] {
            assert_eq!(pairs(value), expected);
        }
    }

    #[test]
    fn an_environment_keeps_its_names_and_the_overrides() {
        let env = json!([{"name": "A", "value": "canary"}, {"name": "OPENSHIFT_IMG_OVERRIDES", "value": "a.example=m.example"}, {"name": "can ary"}]);
        let expected = json!([{"name": "A"}, {"name": "OPENSHIFT_IMG_OVERRIDES", "value": "a.example=m.example"}]);
        assert_eq!(environment(&env), expected);
    }

    #[test]
    fn a_line_of_a_log_keeps_what_is_known() {
        let mut redactor = Redactor::default();
        redactor.learn_text("clusters/west");
        let line = r#"{"level":"WARN","fields":{"message":"failed to patch","canary-x":"y","error":"canary-1","key":"clusters/west"}}"#;
        let kept: Value = serde_json::from_str(&redactor.log_line(line)).unwrap();
        assert_eq!(kept["fields"]["message"], "failed to patch", "{kept}");
        assert_eq!(kept["fields"]["error"], DROPPED, "{kept}");
        assert_eq!(kept["fields"]["key"], "clusters/west", "{kept}");
        assert!(!kept.to_string().contains("canary"), "{kept}");
        assert_eq!(redactor.log_line("failed: token=canary-1"), "failed: [dropped]");
    }

    #[test]
    fn a_line_of_metrics_keeps_name_number_and_known_labels() {
        let redactor = Redactor::default();
        for (line, expected) in [
            ("hypermirror_leader 1", Some("hypermirror_leader 1")),
            (
                "hypermirror_leader{reason=\"Updating\",other=\"canary-1\"} 3",
                Some("hypermirror_leader{reason=\"Updating\",other=\"[dropped]\"} 3"),
            ),
            ("canary_x 1", None),
            ("# HELP hypermirror_leader canary", None),
            ("hypermirror_leader canary", None),
        ] {
            assert_eq!(redactor.metric_line(line).as_deref(), expected, "{line}");
        }
    }
}
