//! Waits for a state instead of sleeping. Tests must use only these two functions to wait.

use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use tokio::time::Instant;

/// Interval between two observations: short, because it delays every test, and longer than a request.
const INTERVAL: Duration = Duration::from_millis(50);

/// Waits until `observe` returns a value. `Ok(None)` and errors both mean "not yet"; an error describes the current state.
///
/// # Errors
///
/// If there is no value within `limit`. The error has `what` was expected and the last observed state. An observation that
/// hangs also ends at the limit.
pub async fn eventually<T>(
    limit: Duration,
    what: &str,
    mut observe: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = Instant::now() + limit;
    let mut last = anyhow!("nothing");
    loop {
        last = match tokio::time::timeout_at(deadline, observe()).await {
            Ok(Ok(Some(value))) => return Ok(value),
            Ok(Ok(None)) => anyhow!("not there"),
            Ok(Err(error)) => error,
            Err(_) => last.context("the last observation did not complete"),
        };
        if Instant::now() + INTERVAL >= deadline {
            return Err(last.context("last seen")).with_context(|| format!("not within {limit:?}: {what}"));
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Repeats `check` for the whole `window` and fails if it fails once. For events that must not happen.
///
/// # Errors
///
/// The first error of `check`, with `what` was expected to stay true.
pub async fn consistently(window: Duration, what: &str, mut check: impl AsyncFnMut() -> Result<()>) -> Result<()> {
    let end = Instant::now() + window;
    loop {
        check().await.with_context(|| format!("did not stay true: {what}"))?;
        if Instant::now() >= end {
            return Ok(());
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_value_that_comes_late_is_returned() {
        let mut looks = 0;
        let value = eventually(Duration::from_secs(5), "third look", async || {
            looks += 1;
            Ok((looks == 3).then_some(looks))
        })
        .await;
        assert_eq!(value.unwrap(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn the_error_names_the_expected_and_the_observed_state() {
        let error = eventually::<()>(Duration::from_secs(1), "two replicas", async || Err(anyhow!("one replica")))
            .await
            .unwrap_err();
        assert_eq!(format!("{error:#}"), "not within 1s: two replicas: last seen: one replica");
    }

    #[tokio::test(start_paused = true)]
    async fn an_observation_that_hangs_does_not_hang_the_test() {
        let error = eventually::<()>(Duration::from_secs(1), "an answer", async || std::future::pending().await)
            .await
            .unwrap_err();
        assert!(format!("{error:#}").contains("did not complete"), "{error:#}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_state_that_stops_being_true_is_an_error() {
        let mut looks = 0;
        let error = consistently(Duration::from_secs(5), "quiet", async || {
            looks += 1;
            anyhow::ensure!(looks < 3, "noise");
            Ok(())
        })
        .await
        .unwrap_err();
        assert_eq!(format!("{error:#}"), "did not stay true: quiet: noise");
    }
}
