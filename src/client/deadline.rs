//! How long one request may take.

use std::time::Duration;

/// A slow admission chain takes seconds; more is a server that does not answer.
pub const DEADLINE: Duration = Duration::from_secs(15);

/// Awaits an answer, but not for ever: a connection whose other end is gone says nothing for many minutes.
///
/// # Errors
/// The call's own; [`kube::Error::Service`] when the time is up.
pub async fn answered<T>(call: impl Future<Output = kube::Result<T>>) -> kube::Result<T> {
    answered_within(DEADLINE, call).await
}

/// The same with another time.
///
/// # Errors
/// As [`answered`].
pub async fn answered_within<T>(limit: Duration, call: impl Future<Output = kube::Result<T>>) -> kube::Result<T> {
    match tokio::time::timeout(limit, call).await {
        Ok(answer) => answer,
        Err(elapsed) => Err(kube::Error::Service(elapsed.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_call_without_an_answer_ends_at_the_deadline() {
        let start = tokio::time::Instant::now();
        let answer = answered(std::future::pending::<kube::Result<()>>()).await;
        assert!(matches!(answer, Err(kube::Error::Service(_))), "{answer:?}");
        assert_eq!(start.elapsed(), DEADLINE);
        assert_eq!(answered(async { Ok(1) }).await.unwrap(), 1);
    }
}
