//! Jobs of one kind: starts each when it is due and there is room, and ends those that are of no use any longer.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::{AbortHandle, spawn_local};
use tokio::time::sleep_until;

use super::agenda::{Agenda, Finished, Job, Kind, Limits, Moment, ObjectKey, Watched};

/// All objects of one kind and the jobs that run.
pub struct Queue<K: Kind> {
    agenda: Mutex<Agenda<K>>,
    /// By their numbers.
    jobs: Mutex<HashMap<u64, AbortHandle>>,
    /// Woken when a job may be started.
    changed: Notify,
}

impl<K: Kind> Queue<K> {
    /// With limits of jobs at once, and the least time between two jobs of one object.
    pub fn new(limits: Limits, least: Duration) -> Self {
        Self { agenda: Mutex::new(Agenda::new(limits, least)), jobs: Mutex::default(), changed: Notify::new() }
    }

    /// The objects.
    pub fn agenda(&self) -> MutexGuard<'_, Agenda<K>> {
        self.agenda.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn jobs(&self) -> MutexGuard<'_, HashMap<u64, AbortHandle>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in an object of this version as the API server has it.
    pub fn put(&self, object: Watched<K::Spec>, known: K::Known, version: &str) {
        let job = self.agenda().put(object, known, version, Moment::now());
        self.abort(job);
        self.changed.notify_one();
    }

    /// Drops an object.
    pub fn forget(&self, key: &ObjectKey) {
        let job = self.agenda().remove(key);
        self.abort(job);
        self.changed.notify_one();
    }

    fn abort(&self, job: Option<u64>) {
        let handle = job.and_then(|number| self.jobs().remove(&number));
        if let Some(handle) = handle {
            handle.abort();
        }
    }

    /// Ends all jobs: they are due again.
    pub fn stop_all(&self) {
        let stopped = self.agenda().stop_all(Moment::now());
        for job in stopped {
            self.abort(Some(job));
        }
    }

    /// Starts each job when it is due and there is room.
    pub async fn work<F>(&self, start: impl Fn(Job<K>) -> F) -> Infallible
    where
        F: Future<Output = ()> + 'static,
    {
        loop {
            // Before the look at the agenda, so that no change between the two is missed.
            let changed = self.changed.notified();
            if self.start_next(&start) {
                continue;
            }
            let due = self.agenda().next_due();
            let until_due = async {
                match due {
                    Some(due) => sleep_until(due.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = changed => {}
                () = until_due => {}
            }
        }
    }

    /// Whether there was a job to start.
    fn start_next<F>(&self, start: impl Fn(Job<K>) -> F) -> bool
    where
        F: Future<Output = ()> + 'static,
    {
        // Locked all the while, so that whoever stops the job finds its handle.
        let mut jobs = self.jobs();
        let Some(job) = self.agenda().start(Moment::now()) else { return false };
        let number = job.number;
        let task = spawn_local(start(job));
        jobs.insert(number, task.abort_handle());
        true
    }
}

/// A job whose end the agenda learns also if it panics.
pub struct Ending<K: Kind> {
    queue: Arc<Queue<K>>,
    object: Arc<Watched<K::Spec>>,
    number: u64,
    /// What it came to.
    pub finished: Finished<K>,
}

impl<K: Kind> Ending<K> {
    /// Of a job of this queue.
    pub fn new(queue: Arc<Queue<K>>, job: &Job<K>) -> Self {
        Self { queue, object: job.object.clone(), number: job.number, finished: Finished::default() }
    }
}

impl<K: Kind> Drop for Ending<K> {
    fn drop(&mut self) {
        self.queue.jobs().remove(&self.number);
        let finished = std::mem::take(&mut self.finished);
        self.queue.agenda().finish(&self.object.key, self.number, finished, Moment::now());
        self.queue.changed.notify_one();
    }
}
