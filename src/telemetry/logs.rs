//! Logs on standard error, as text or JSON, and OTLP traces where an endpoint is set.

use std::io::IsTerminal as _;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::trace::SdkTracerProvider;
use thiserror::Error;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, fmt};

use crate::printable::Printable;

/// What is logged unless `RUST_LOG` says otherwise: the client logs every failed request as an error of its own, which
/// the callers report with what it was for.
const DEFAULT_FILTER: &str = "info,kube_client::client::builder=off";

/// How logs look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// Plain text
    Text,
    /// One JSON object a line
    #[default]
    Json,
}

/// Why there are no logs or traces.
#[derive(Debug, Error)]
pub enum TelemetryError {
    /// `RUST_LOG` does not parse.
    #[error("RUST_LOG is not a filter")]
    Filter(#[source] tracing_subscriber::filter::FromEnvError),
    /// The OTLP endpoint does not make an exporter.
    #[error("OTEL_EXPORTER_OTLP_ENDPOINT does not make an exporter")]
    Exporter(#[source] opentelemetry_otlp::ExporterBuildError),
    /// Something else logs already.
    #[error("logs were started twice")]
    Twice(#[source] tracing_subscriber::util::TryInitError),
}

/// Ends the export of traces when the process ends.
#[derive(Debug, Default)]
pub struct Telemetry {
    provider: Option<SdkTracerProvider>,
}

impl Telemetry {
    /// Sends what is left.
    pub fn shutdown(self) {
        if let Some(Err(error)) = self.provider.map(|provider| provider.shutdown()) {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}

/// Starts logs, and traces if `OTEL_EXPORTER_OTLP_ENDPOINT` is set. Needs a tokio runtime for the latter.
///
/// # Errors
/// [`TelemetryError`]: a filter or an endpoint that does not work, or a second start.
pub fn start(format: LogFormat) -> Result<Telemetry, TelemetryError> {
    let filter = match std::env::var_os("RUST_LOG") {
        Some(_) => EnvFilter::try_from_default_env().map_err(TelemetryError::Filter)?,
        None => EnvFilter::new(DEFAULT_FILTER),
    };
    let is_coloured = std::io::stderr().is_terminal();
    // Text for a terminal has colours, and its formatter escapes those of others; JSON has none.
    let keeps_colours = is_coloured && format == LogFormat::Text;
    let lines =
        fmt::layer().with_writer(move || Printable::new(std::io::stderr(), keeps_colours)).with_ansi(is_coloured);
    let lines = match format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let provider = match std::env::var_os("OTEL_EXPORTER_OTLP_ENDPOINT") {
        Some(_) => {
            let exporter = SpanExporter::builder().with_tonic().build().map_err(TelemetryError::Exporter)?;
            Some(SdkTracerProvider::builder().with_batch_exporter(exporter).build())
        }
        None => None,
    };
    let traces =
        provider.as_ref().map(|provider| tracing_opentelemetry::layer().with_tracer(provider.tracer("hypermirror")));
    let started = tracing_subscriber::registry().with(filter).with(lines).with(traces).try_init();
    started.map_err(TelemetryError::Twice)?;
    Ok(Telemetry { provider })
}
