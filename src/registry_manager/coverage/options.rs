//! The flags about coverage.

use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::process::flags::parse_duration;
use crate::registry::coverage::matrix::Level;

/// How closely registries are asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum CoverageLevel {
    /// The manifest is there
    #[value(name = "L0")]
    L0,
    /// All manifests and blobs of it are there
    #[default]
    #[value(name = "L1")]
    L1,
}

impl CoverageLevel {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::L0 => "L0",
            Self::L1 => "L1",
        }
    }
}

impl From<CoverageLevel> for Level {
    fn from(level: CoverageLevel) -> Self {
        match level {
            CoverageLevel::L0 => Self::L0,
            CoverageLevel::L1 => Self::L1,
        }
    }
}

/// The flags about coverage.
#[derive(Args, Clone, Debug)]
pub struct CoverageOptions {
    /// Time between two checks of what hosted clusters need; 0s: none
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = parse_duration)]
    pub coverage_interval: Duration,
    /// How closely these checks look at registries
    #[arg(long, value_enum, default_value_t, value_name = "LEVEL", ignore_case = true)]
    pub coverage_level: CoverageLevel,
    /// Copy what is missing for HostedClusters with hypermirror.dev/fill
    #[arg(long, requires = "destination_allow")]
    pub fill: bool,
    /// Registry that fetches from elsewhere what it is asked for: only asked for manifests
    #[arg(long, value_name = "HOST")]
    pub pull_through: Vec<String>,
}
