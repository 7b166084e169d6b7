//! Deadlines of requests.

use std::time::Duration;

use thiserror::Error;

/// The default. A slow admission chain takes seconds; a server that takes longer does not respond.
pub const DEADLINE: Duration = Duration::from_secs(15);

/// There was no response in time.
#[derive(Clone, Copy, Debug, Error)]
#[error("no response within {} s", .0.as_secs())]
pub struct NoResponse(pub Duration);

/// Awaits a response with the default deadline, because a broken connection can stay silent for many minutes.
///
/// # Errors
/// The error of the call, or [`kube::Error::Service`] with [`NoResponse`] after [`DEADLINE`].
pub async fn answered<T>(call: impl Future<Output = kube::Result<T>>) -> kube::Result<T> {
    answered_within(DEADLINE, call).await
}

/// [`answered`] with another deadline.
///
/// # Errors
/// As [`answered`].
pub async fn answered_within<T>(limit: Duration, call: impl Future<Output = kube::Result<T>>) -> kube::Result<T> {
    within(limit, call, |late| kube::Error::Service(late.into())).await
}

/// [`answered`] with another deadline and error.
///
/// # Errors
/// The error of the call, or `late` after this time.
pub async fn within<T, E>(
    limit: Duration,
    call: impl Future<Output = Result<T, E>>,
    late: impl FnOnce(NoResponse) -> E,
) -> Result<T, E> {
    // A server that accepts a connection and never answers is not noticed below: the client has no read timeout by default.
    tokio::time::timeout(limit, call).await.unwrap_or_else(|_| Err(late(NoResponse(limit))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_call_without_a_response_ends_at_the_deadline() {
        let start = tokio::time::Instant::now();
        let answer = answered(std::future::pending::<kube::Result<()>>()).await;
        assert!(matches!(&answer, Err(kube::Error::Service(_))), "{answer:?}");
        assert!(answer.unwrap_err().to_string().ends_with("no response within 15 s"));
        assert_eq!(start.elapsed(), DEADLINE);
        assert_eq!(answered(async { Ok(1) }).await.unwrap(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_names_its_own_limit_and_error() {
        let start = tokio::time::Instant::now();
        let limit = Duration::from_millis(2500);
        let late = within(limit, std::future::pending::<Result<(), String>>(), |late| format!("GET /x: {late}")).await;
        assert_eq!((late, start.elapsed()), (Err("GET /x: no response within 2 s".to_owned()), limit));
        let refused = within(limit, async { Err::<(), _>("refused") }, |_| "late").await;
        assert_eq!(refused, Err("refused"));
    }
}
