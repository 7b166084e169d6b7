//! Retries and pacing: what is asked again, how often, and how many requests a registry gets at once.

mod budget;
mod pace;

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::credentials::{Credential, CredentialId};
use super::error::{Cause, Failure, Place, RegistryError};
use super::name::RegistryAddress;
use super::wire::rate_limit::RateLimit;
use budget::Budget;
use pace::{Outcome, Pace, Ticket, Turn};

const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// The same after a refusal that does not say how long to wait. The pace of the registry has slowed down by then, for all requests.
const LONGEST_WAIT_AFTER_REFUSAL: Duration = Duration::from_secs(4);
/// Paces beyond this number are dropped with all that are not in use.
const MAX_PACES: usize = 10_000;

/// How patient a caller is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PolicyOptions {
    /// How often one request is sent. Refusals of a registry that wants fewer requests do not count as long as `max_wait` is not over,
    /// unless there is only one attempt.
    pub attempts: u32,
    /// The wait before a request is sent again after a failure; doubled each time, and shortened at random.
    pub first_wait: Duration,
    /// The longest time for one request with the whole of its answer, if there is a limit.
    pub request_timeout: Option<Duration>,
    /// How long one request may wait altogether because the registry wants fewer requests. If it wants a longer wait, the request
    /// fails at once, and the error says until when.
    pub max_wait: Duration,
    /// The most requests at once to one registry.
    pub concurrency: usize,
}

impl Default for PolicyOptions {
    fn default() -> Self {
        Self {
            attempts: 5,
            first_wait: FIRST_WAIT,
            request_timeout: None,
            max_wait: Duration::from_mins(2),
            concurrency: 64,
        }
    }
}

/// What a caller wants to know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// The answer.
    #[default]
    Patient,
    /// Whether there is one now: a registry that throttles is not asked again.
    Probe,
}

/// Paces of all registries.
#[derive(Debug)]
pub struct Policy {
    options: PolicyOptions,
    paces: Mutex<HashMap<(String, CredentialId), Arc<Pacer>>>,
}

/// The pace of one registry as one holder of a credential gets it.
#[derive(Debug)]
struct Pacer {
    state: Mutex<(Pace, Budget)>,
    /// Woken when a request ends.
    ended: Notify,
}

impl Policy {
    /// With these limits.
    pub fn new(options: PolicyOptions) -> Self {
        Self { options, paces: Mutex::default() }
    }

    /// Takes in a budget of requests that a registry announced.
    pub fn announced(&self, registry: &RegistryAddress, credential: &Credential, limit: RateLimit) {
        self.pacer(registry, credential).state().0.announced(limit, Instant::now());
    }

    /// Makes a call when it is its turn, and again where that may help.
    ///
    /// # Errors
    /// The last error of the call; [`Cause::Throttled`] if the registry wants a longer wait than anybody has.
    pub async fn run<T, C: Future<Output = Result<T, RegistryError>>>(
        &self,
        registry: &RegistryAddress,
        credential: &Credential,
        mode: Mode,
        call: impl Fn() -> C,
    ) -> Result<T, RegistryError> {
        let timed = |()| self.in_time(registry, call());
        self.attempts(registry, credential, mode, false, || std::future::ready(Ok(())), timed).await
    }

    /// The same for a call that sends what `prepare` opens, again before each time. It has no limit of time, and is not counted
    /// once it has begun.
    ///
    /// # Errors
    /// As [`Self::run`], and those of `prepare`.
    pub async fn run_stream<P, T, O, C>(
        &self,
        registry: &RegistryAddress,
        credential: &Credential,
        mode: Mode,
        prepare: impl Fn() -> O,
        call: impl Fn(P) -> C,
    ) -> Result<T, RegistryError>
    where
        O: Future<Output = Result<P, RegistryError>>,
        C: Future<Output = Result<T, RegistryError>>,
    {
        self.attempts(registry, credential, mode, true, prepare, call).await
    }

    async fn attempts<P, T, O, C>(
        &self,
        registry: &RegistryAddress,
        credential: &Credential,
        mode: Mode,
        is_stream: bool,
        prepare: impl Fn() -> O,
        call: impl Fn(P) -> C,
    ) -> Result<T, RegistryError>
    where
        O: Future<Output = Result<P, RegistryError>>,
        C: Future<Output = Result<T, RegistryError>>,
    {
        let pacer = self.pacer(registry, credential);
        let mut patience = Patience { left: self.options.max_wait };
        let mut tries = Tries::default();
        // Ends: each turn adds to the failures or to the time since the first refusal, and both are bounded.
        loop {
            // Without a permit: it may need one itself.
            let prepared = prepare().await?;
            let mut permit = pacer.turn(&mut patience).await.map_err(|until| throttled(registry, until))?;
            if is_stream {
                permit.release();
            }
            let error = match call(prepared).await {
                Ok(value) => {
                    permit.end(Outcome::Answered);
                    return Ok(value);
                }
                Err(error) => error,
            };
            let wants = retry_after(&error.cause);
            permit.end(outcome(&error.cause, wants));
            let is_answer = !error.cause.is_retryable() || mode == Mode::Probe && error.cause.is_throttling();
            let again = tries.add(&self.options, mode, is_refusal(&error.cause, wants));
            // What the registry asks for costs nothing; what fails costs a part of the budget of all.
            let is_paid = again == Again::Refused || again == Again::Failed && pacer.state().1.take();
            if is_answer || !is_paid {
                return Err(error);
            }
            let wait = wants.unwrap_or_else(|| tries.wait(&self.options, again));
            if !patience.spend(wait) {
                let cause = wants.map_or(error.cause, |wait| Cause::Throttled { until: from_now(wait) });
                return Err(RegistryError { cause, ..error });
            }
            sleep(wait).await;
        }
    }

    async fn in_time<T>(
        &self,
        registry: &RegistryAddress,
        call: impl Future<Output = Result<T, RegistryError>>,
    ) -> Result<T, RegistryError> {
        let Some(limit) = self.options.request_timeout else { return call.await };
        if let Ok(answer) = timeout(limit, call).await {
            return answer;
        }
        let message = format!("no answer within {} s", limit.as_secs());
        let host = registry.name().to_owned();
        Err(asked(registry, Cause::Unreachable { host, failure: Failure::Timeout, message }))
    }

    fn pacer(&self, registry: &RegistryAddress, credential: &Credential) -> Arc<Pacer> {
        let mut paces = self.paces.lock().unwrap_or_else(PoisonError::into_inner);
        if paces.len() >= MAX_PACES {
            paces.retain(|_, pacer| Arc::strong_count(pacer) > 1);
        }
        let new = || {
            let state = (Pace::new(self.options.concurrency, Instant::now()), Budget::default());
            Arc::new(Pacer { state: Mutex::new(state), ended: Notify::new() })
        };
        paces.entry((registry.base().to_string(), credential.id())).or_insert_with(new).clone()
    }
}

/// How much longer one request may wait.
struct Patience {
    left: Duration,
}

impl Patience {
    fn spend(&mut self, wait: Duration) -> bool {
        let is_enough = wait <= self.left;
        if is_enough {
            self.left -= wait;
        }
        is_enough
    }
}

/// Why a request may be sent again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Again {
    /// The registry wants fewer requests: it works, and takes this one later.
    Refused,
    /// It failed in another way.
    Failed,
    /// It may not.
    Never,
}

/// How often a request was sent without success.
#[derive(Default)]
struct Tries {
    all: u32,
    failures: u32,
    refused_since: Option<Instant>,
}

impl Tries {
    /// Counts one. In a storm of refusals all attempts would be over within seconds, so refusals are bounded by time; but a request
    /// that waited for others in that time keeps its attempts.
    fn add(&mut self, options: &PolicyOptions, mode: Mode, is_refusal: bool) -> Again {
        self.all += 1;
        if !is_refusal {
            self.failures += 1;
            return if self.failures < options.attempts { Again::Failed } else { Again::Never };
        }
        let since = *self.refused_since.get_or_insert_with(Instant::now);
        let is_patient = mode == Mode::Patient && options.attempts > 1 && since.elapsed() < options.max_wait;
        if is_patient || self.all < options.attempts { Again::Refused } else { Again::Never }
    }

    fn wait(&self, options: &PolicyOptions, again: Again) -> Duration {
        if again == Again::Refused {
            backoff(options.first_wait, self.all - self.failures, LONGEST_WAIT_AFTER_REFUSAL)
        } else {
            backoff(options.first_wait, self.failures, LONGEST_WAIT)
        }
    }
}

/// The right to have one request under way.
struct Permit<'a> {
    pacer: &'a Pacer,
    ticket: Option<Ticket>,
}

impl Permit<'_> {
    fn end(mut self, outcome: Outcome) {
        self.end_with(outcome);
    }

    /// The request begins, and is not counted any longer.
    fn release(&mut self) {
        if let Some(ticket) = &mut self.ticket {
            self.pacer.state().0.release(ticket);
            self.pacer.ended.notify_one();
        }
    }

    fn end_with(&mut self, outcome: Outcome) {
        if let Some(ticket) = self.ticket.take() {
            let mut state = self.pacer.state();
            let (pace, budget) = &mut *state;
            pace.end(ticket, outcome, Instant::now());
            if outcome == Outcome::Answered {
                budget.refill();
            }
            drop(state);
            // Two: the pace may have grown by one.
            self.pacer.ended.notify_one();
            self.pacer.ended.notify_one();
        }
    }
}

impl Drop for Permit<'_> {
    /// A caller that gives up in the middle says nothing about the registry.
    fn drop(&mut self) {
        self.end_with(Outcome::Abandoned);
    }
}

impl Pacer {
    fn state(&self) -> MutexGuard<'_, (Pace, Budget)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for its turn. Waits that the registry asks for are bounded, those for other requests of ours are not.
    async fn turn(&self, patience: &mut Patience) -> Result<Permit<'_>, Timestamp> {
        loop {
            // Before the look at the state, so that no end between the two is missed.
            let ended = self.ended.notified();
            let now = Instant::now();
            let turn = self.state().0.start(now);
            match turn {
                Turn::Go(ticket) => return Ok(Permit { pacer: self, ticket: Some(ticket) }),
                Turn::WhenOneEnds => ended.await,
                Turn::Spaced(until) => sleep_until(until).await,
                Turn::Paused(until) => {
                    let wait = until.saturating_duration_since(now);
                    if !patience.spend(wait) {
                        return Err(from_now(wait));
                    }
                    sleep_until(until).await;
                }
            }
        }
    }
}

/// Whether the registry wants to be asked later. It may also say so with 503.
const fn is_refusal(cause: &Cause, wants: Option<Duration>) -> bool {
    cause.is_throttling() || wants.is_some()
}

/// What an error says about the registry.
const fn outcome(cause: &Cause, wants: Option<Duration>) -> Outcome {
    if is_refusal(cause, wants) {
        Outcome::Throttled(wants)
    } else if cause.is_retryable() {
        Outcome::Failed
    } else {
        Outcome::Answered
    }
}

fn retry_after(cause: &Cause) -> Option<Duration> {
    match cause {
        Cause::Refused(refusal) if cause.is_retryable() => refusal.retry_after,
        _ => None,
    }
}

fn throttled(registry: &RegistryAddress, until: Timestamp) -> RegistryError {
    asked(registry, Cause::Throttled { until })
}

fn asked(registry: &RegistryAddress, cause: Cause) -> RegistryError {
    let place = Place { registry: registry.name().to_owned(), repository: String::new(), reference: None };
    RegistryError { operation: "ask", place, cause }
}

fn from_now(wait: Duration) -> Timestamp {
    Timestamp::now().checked_add(wait).unwrap_or(Timestamp::MAX)
}

/// Half of it is at random, so that requests that failed together do not come back together.
fn backoff(first: Duration, attempt: u32, longest: Duration) -> Duration {
    let whole = first.saturating_mul(1 << (attempt - 1).min(16)).min(longest);
    let parts = RandomState::new().build_hasher().finish() % 1_000;
    whole / 2 + (whole / 2).mul_f64(f64::from(u32::try_from(parts).unwrap_or_default()) / 1_000.0)
}

#[cfg(test)]
mod tests;
