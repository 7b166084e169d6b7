//! ImportRules: copies images that pods cannot pull, where a rule says from where and to where.
//!
//! Off by default. The source of an image is never guessed: a rule names it. Nothing is written to pods: a kubelet tries again by
//! itself. What decides is pure: `consent`, `prefix`, `rule`, `pods`, `plan`, `ledger`, `status`.

pub mod consent;
mod copy;
pub mod ledger;
pub mod metrics;
mod mirrors;
pub mod plan;
pub mod pods;
pub mod prefix;
pub mod rule;
mod run;
mod state;
pub mod status;
mod watch;

use super::image::defaults::{EnvironmentError, boolean};
use consent::Consent;
use metrics::ImportMetrics;
pub use run::work;

/// The variable that turns imports on, as the earlier operator calls it.
const FEATURE: &str = "FEATURE_COPY_ON_THE_FLY";

/// What all imports share.
#[derive(Debug)]
pub struct Imports {
    /// `--import-namespaces`.
    pub consent: Vec<Consent>,
    /// Numbers.
    pub metrics: ImportMetrics,
}

impl Imports {
    /// If the environment turns them on.
    ///
    /// # Errors
    /// The variable is neither `true` nor `false`.
    pub fn of_environment(
        variable: impl Fn(&str) -> Option<String>,
        consent: &[Consent],
        metrics: &ImportMetrics,
    ) -> Result<Option<Self>, EnvironmentError> {
        let value = variable(FEATURE).filter(|value| !value.is_empty());
        let is_on = boolean(FEATURE, value.as_deref())?;
        Ok(is_on.then(|| Self { consent: consent.to_vec(), metrics: metrics.clone() }))
    }
}
