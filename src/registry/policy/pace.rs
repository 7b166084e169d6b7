//! The pace of one registry: connections double until the registry first complains; from then on they grow by addition and
//! shrink by half, as TCP's window does. Pure.

use std::time::Duration;

use tokio::time::Instant;

use super::super::wire::rate_limit::RateLimit;

/// A registry that was never asked gets no more at once.
const INITIAL: f64 = 8.0;
/// Half of what was sent for each second is never less than this.
const LEAST_RATE: f64 = 0.5;
/// For each answer.
const RATE_STEP: f64 = 0.1;
/// From here on a limit limits nothing.
const FREE_RATE: f64 = 500.0;
/// After a refusal that does not say how long to wait.
const PAUSE: Duration = Duration::from_secs(1);
/// Over which time the rate is measured.
const MEASURED: Duration = Duration::from_secs(1);
/// A longer wait than any honest one; adding it to a time must not overflow.
const LONGEST: Duration = Duration::from_hours(366 * 24);

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// With an answer, also with one such as 404.
    Answered,
    /// The registry wants fewer requests, and says for how long if it does.
    Throttled(Option<Duration>),
    /// Without an answer.
    Failed,
    /// Nobody waited for the end.
    Abandoned,
}

/// A request under way. What began before the last time the pace was halved does not halve it again.
#[derive(Debug)]
pub(super) struct Ticket {
    epoch: u64,
    is_counted: bool,
}

/// What a request that wants to start has to do.
#[derive(Debug)]
pub(super) enum Turn {
    /// Start.
    Go(Ticket),
    /// Ask again when another one ends.
    WhenOneEnds,
    /// Ask again then: requests are spaced.
    Spaced(Instant),
    /// Ask again then: the registry wants nothing before.
    Paused(Instant),
}

#[derive(Debug)]
pub(super) struct Pace {
    most: f64,
    window: f64,
    under_way: usize,
    epoch: u64,
    paused_until: Option<Instant>,
    /// Requests for each second; nothing as long as the registry never complained.
    rate: Option<f64>,
    next_start: Instant,
    /// Since when starts are counted, how many there are, and the rate before.
    counted_since: Instant,
    count: u32,
    measured: f64,
}

impl Pace {
    pub(super) fn new(most: usize, now: Instant) -> Self {
        let most = f64::from(u32::try_from(most.max(1)).unwrap_or(u32::MAX));
        Self {
            most,
            window: INITIAL.min(most),
            under_way: 0,
            epoch: 0,
            paused_until: None,
            rate: None,
            next_start: now,
            counted_since: now,
            count: 0,
            measured: 0.0,
        }
    }

    pub(super) fn start(&mut self, now: Instant) -> Turn {
        if let Some(until) = self.paused_until.filter(|until| *until > now) {
            return Turn::Paused(until);
        }
        self.paused_until = None;
        if f64::from(u32::try_from(self.under_way).unwrap_or(u32::MAX)) + 1.0 > self.window {
            return Turn::WhenOneEnds;
        }
        if let Some(rate) = self.rate {
            if self.next_start > now {
                return Turn::Spaced(self.next_start);
            }
            self.next_start = now + Duration::from_secs_f64(1.0 / rate);
        }
        self.count_start(now);
        self.under_way += 1;
        Turn::Go(Ticket { epoch: self.epoch, is_counted: true })
    }

    /// Counts a request no longer although it goes on: it passes on what another one reads, which may need a turn itself. Were
    /// both counted, all turns could be held by requests that wait for one.
    pub(super) fn release(&mut self, ticket: &mut Ticket) {
        if std::mem::take(&mut ticket.is_counted) {
            self.under_way = self.under_way.saturating_sub(1);
        }
    }

    pub(super) fn end(&mut self, mut ticket: Ticket, outcome: Outcome, now: Instant) {
        self.release(&mut ticket);
        match outcome {
            Outcome::Answered => self.grow(),
            Outcome::Throttled(wait) => {
                if ticket.epoch == self.epoch {
                    self.halve(now);
                }
                self.pause(wait.unwrap_or(PAUSE), now);
            }
            Outcome::Failed | Outcome::Abandoned => {}
        }
    }

    /// A registry that says what is left of its budget is not sent more than that.
    pub(super) fn announced(&mut self, limit: RateLimit, now: Instant) {
        let Some(remaining) = limit.remaining else { return };
        match limit.reset {
            Some(reset) if remaining == 0 => self.pause(reset, now),
            _ => {
                let left = f64::from(u32::try_from(remaining).unwrap_or(u32::MAX)).max(1.0);
                self.window = self.window.min(left);
            }
        }
    }

    fn grow(&mut self) {
        // Until the first complaint nobody knows what the registry can take. Growth by one connection for each round would cost a
        // third of the time of a scan of 5,000 tags at a round trip of 10 ms.
        let step = if self.epoch == 0 { 1.0 } else { 1.0 / self.window };
        self.window = (self.window + step).min(self.most);
        self.rate = self.rate.map(|rate| rate + RATE_STEP).filter(|rate| *rate < FREE_RATE);
    }

    fn halve(&mut self, now: Instant) {
        self.epoch += 1;
        self.window = (self.window / 2.0).max(1.0);
        let sent = self.rate.unwrap_or_else(|| self.measured_rate(now));
        self.rate = Some((sent / 2.0).max(LEAST_RATE));
    }

    fn pause(&mut self, wait: Duration, now: Instant) {
        let until = now + wait.min(LONGEST);
        self.paused_until = Some(self.paused_until.map_or(until, |known| known.max(until)));
    }

    fn count_start(&mut self, now: Instant) {
        if now.saturating_duration_since(self.counted_since) >= MEASURED {
            self.measured = self.rate_of_count(now);
            self.counted_since = now;
            self.count = 0;
        }
        self.count = self.count.saturating_add(1);
    }

    fn rate_of_count(&self, now: Instant) -> f64 {
        let time = now.saturating_duration_since(self.counted_since).max(MEASURED);
        f64::from(self.count) / time.as_secs_f64()
    }

    fn measured_rate(&self, now: Instant) -> f64 {
        self.measured.max(self.rate_of_count(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Starts as many as may start at once.
    fn started(pace: &mut Pace, now: Instant) -> Vec<Ticket> {
        let mut tickets = Vec::new();
        while let Turn::Go(ticket) = pace.start(now) {
            tickets.push(ticket);
        }
        tickets
    }

    #[tokio::test(start_paused = true)]
    async fn connections_double_until_the_registry_complains_and_then_grow_by_one_for_each_round() {
        let now = Instant::now();
        let mut pace = Pace::new(60, now);
        let rounds = |pace: &mut Pace, rounds: usize, now: Instant| -> Vec<usize> {
            let round = |_| {
                let tickets = started(pace, now);
                let count = tickets.len();
                for ticket in tickets {
                    pace.end(ticket, Outcome::Answered, now);
                }
                count
            };
            (0..rounds).map(round).collect()
        };
        assert_eq!(rounds(&mut pace, 5, now), [8, 16, 32, 60, 60]);
        let ticket = started(&mut pace, now).pop().unwrap();
        pace.end(ticket, Outcome::Throttled(None), now);
        // The rate recovers with the answers; here only connections count.
        (pace.rate, pace.under_way) = (None, 0);
        let after = rounds(&mut pace, 60, now + PAUSE);
        assert_eq!((after[0], after[59]), (30, 60));
        assert!(after.windows(2).all(|pair| pair[1] == pair[0] || pair[1] == pair[0] + 1), "{after:?}");
        assert_eq!(started(&mut Pace::new(3, now), now).len(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn b01_a_burst_of_refusals_halves_the_pace_once() {
        let now = Instant::now();
        let mut pace = Pace::new(64, now);
        let tickets = started(&mut pace, now);
        assert_eq!(tickets.len(), 8);
        for ticket in tickets {
            pace.end(ticket, Outcome::Throttled(None), now);
        }
        assert!(matches!(pace.start(now), Turn::Paused(until) if until == now + PAUSE));
        let later = now + PAUSE;
        assert!(matches!(pace.start(later), Turn::Go(_)));
        // 8 in the first second: now 4 for each second, and 4 at once.
        assert!(matches!(pace.start(later), Turn::Spaced(until) if until == later + Duration::from_millis(250)));
        assert!((pace.window - 4.0).abs() < f64::EPSILON);
    }

    #[tokio::test(start_paused = true)]
    async fn b02_nothing_starts_before_the_time_that_the_registry_names() {
        let now = Instant::now();
        let mut pace = Pace::new(64, now);
        let mut tickets = started(&mut pace, now);
        pace.end(tickets.pop().unwrap(), Outcome::Throttled(Some(Duration::from_secs(7))), now);
        pace.end(tickets.pop().unwrap(), Outcome::Throttled(None), now);
        let end = now + Duration::from_secs(7);
        assert!(
            matches!(pace.start(end - Duration::from_millis(1)), Turn::Paused(until) if until == end),
            "the longest counts"
        );
        for ticket in tickets {
            pace.end(ticket, Outcome::Answered, now);
        }
        assert!(matches!(pace.start(end), Turn::Go(_)));
        let mut other = Pace::new(64, now);
        let ticket = started(&mut other, now).pop().unwrap();
        other.end(ticket, Outcome::Throttled(Some(Duration::MAX)), now);
        assert!(matches!(other.start(now), Turn::Paused(_)), "no overflow");
    }

    #[tokio::test(start_paused = true)]
    async fn the_rate_recovers() {
        let now = Instant::now();
        let mut pace = Pace::new(64, now);
        let ticket = started(&mut pace, now).pop().unwrap();
        pace.end(ticket, Outcome::Throttled(None), now);
        assert!(pace.rate.is_some());
        for _ in 0..10_000 {
            pace.grow();
        }
        assert!(pace.rate.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_left_of_an_announced_budget_is_not_exceeded() {
        let now = Instant::now();
        let limit = |remaining| RateLimit { limit: Some(100), remaining: Some(remaining), reset: Some(PAUSE * 60) };
        let mut pace = Pace::new(64, now);
        pace.announced(limit(3), now);
        assert_eq!(started(&mut pace, now).len(), 3);
        pace.announced(limit(0), now);
        assert!(matches!(pace.start(now), Turn::Paused(until) if until == now + PAUSE * 60));
        let mut silent = Pace::new(64, now);
        silent.announced(RateLimit::default(), now);
        assert_eq!(started(&mut silent, now).len(), 8);
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_or_is_given_up_frees_its_place() {
        let now = Instant::now();
        let mut pace = Pace::new(2, now);
        let mut tickets = started(&mut pace, now);
        assert!(matches!(pace.start(now), Turn::WhenOneEnds));
        pace.end(tickets.pop().unwrap(), Outcome::Failed, now);
        pace.end(tickets.pop().unwrap(), Outcome::Abandoned, now);
        assert_eq!(started(&mut pace, now).len(), 2);
    }
}
