//! Logs, traces and metrics.

pub mod lag;
pub mod logs;
pub mod metrics;
pub mod requests;
