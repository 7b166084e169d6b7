//! Logs on standard error, as text or JSON, and OTLP traces if an endpoint is configured.

use std::io::IsTerminal as _;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::trace::SdkTracerProvider;
use thiserror::Error;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, fmt};

use crate::printable::Printable;

/// The filter besides the level if `RUST_LOG` is not set. It excludes the Kubernetes client's own log of failed requests,
/// because callers report these errors with more context.
const DEFAULT_FILTER: &str = "kube_client::client::builder=off";

/// The least severe lines that are logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogLevel {
    /// Everything that helps to find a fault
    Debug,
    /// What the process does
    #[default]
    Info,
    /// What is not as it should be
    Warn,
    /// What failed
    Error,
}

impl LogLevel {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// The format of logs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// Plain text
    Text,
    /// One JSON object per line
    #[default]
    Json,
}

/// Why logs or traces could not be started.
#[derive(Debug, Error)]
pub enum TelemetryError {
    /// `RUST_LOG` is not a valid filter.
    #[error("failed to parse the filter in RUST_LOG")]
    Filter(#[source] tracing_subscriber::filter::FromEnvError),
    /// The OTLP endpoint is invalid.
    #[error("failed to create an exporter for OTEL_EXPORTER_OTLP_ENDPOINT")]
    Exporter(#[source] opentelemetry_otlp::ExporterBuildError),
    /// The process has a logger already.
    #[error("failed to start logging")]
    Twice(#[source] tracing_subscriber::util::TryInitError),
}

/// Flushes traces when the process ends.
#[derive(Debug, Default)]
pub struct Telemetry {
    provider: Option<SdkTracerProvider>,
}

impl Telemetry {
    /// Sends the remaining traces.
    pub fn shutdown(self) {
        if let Some(Err(error)) = self.provider.map(|provider| provider.shutdown()) {
            tracing::warn!(%error, "failed to send the last traces");
        }
    }
}

/// Starts logs, and traces if `OTEL_EXPORTER_OTLP_ENDPOINT` is set. Needs a tokio runtime for the latter.
///
/// # Errors
/// [`TelemetryError`]: an invalid filter or endpoint, or a second start.
pub fn start(format: LogFormat) -> Result<Telemetry, TelemetryError> {
    start_at(format, LogLevel::default())
}

/// [`start`] with another level, unless `RUST_LOG` is set.
///
/// # Errors
/// As [`start`].
pub fn start_at(format: LogFormat, level: LogLevel) -> Result<Telemetry, TelemetryError> {
    let filter = match std::env::var_os("RUST_LOG") {
        Some(_) => EnvFilter::try_from_default_env().map_err(TelemetryError::Filter)?,
        None => EnvFilter::new(format!("{},{DEFAULT_FILTER}", level.as_str())),
    };
    let is_coloured = std::io::stderr().is_terminal();
    // Text for a terminal has colours, and the formatter escapes those in fields. JSON has no colours.
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
