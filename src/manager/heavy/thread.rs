//! A named thread of low priority for long computations. Not for jobs that block, because jobs run one after the other.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tokio::sync::{mpsc, oneshot};

type Job = Box<dyn FnOnce() + Send>;

/// Maximum number of queued jobs. Further callers wait.
const QUEUED: usize = 16;

/// Runs jobs one after the other. After this is dropped, the thread ends with the current job, without being joined.
///
/// A single thread uses a single arena of glibc's allocator. Parsing large texts on many threads would fragment many arenas.
#[derive(Debug)]
pub struct WorkThread {
    jobs: mpsc::Sender<Job>,
}

/// A job panicked, with this message.
#[derive(Debug)]
pub struct Panicked(Box<dyn Any + Send>);

impl Panicked {
    /// Resumes the panic in the caller.
    pub fn resume(self) -> ! {
        std::panic::resume_unwind(self.0)
    }
}

impl WorkThread {
    /// Starts the thread. `niceness` is added to that of the process.
    ///
    /// # Errors
    /// If the thread cannot be created.
    pub fn start(name: &'static str, niceness: i32) -> io::Result<Self> {
        let (jobs, queued) = mpsc::channel(QUEUED);
        std::thread::Builder::new().name(name.to_owned()).spawn(move || work(name, niceness, queued))?;
        Ok(Self { jobs })
    }

    /// Runs a job on the thread. It is not started if the caller no longer waits.
    ///
    /// # Errors
    /// [`Panicked`].
    pub async fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Result<T, Panicked> {
        let (answer, answered) = oneshot::channel();
        let job = Box::new(move || {
            if !answer.is_closed() {
                let _ = answer.send(catch_unwind(AssertUnwindSafe(job)));
            }
        });
        let ended = || Panicked(Box::new("the thread has ended"));
        self.jobs.send(job).await.map_err(|_| ended())?;
        answered.await.map_err(|_| ended())?.map_err(Panicked)
    }
}

fn work(name: &str, niceness: i32, mut queued: mpsc::Receiver<Job>) {
    // On Linux, niceness is per thread.
    if let Err(error) = rustix::process::nice(niceness) {
        tracing::debug!(name, %error, "the thread keeps its priority");
    }
    while let Some(job) = queued.blocking_recv() {
        job();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thread() -> WorkThread {
        WorkThread::start("test-thread", 3).unwrap()
    }

    #[tokio::test]
    async fn jobs_run_one_after_the_other_on_one_named_thread_of_lower_priority() {
        let (before, thread) = (rustix::process::nice(0).unwrap(), thread());
        let look = || {
            let current = std::thread::current();
            (current.id(), current.name().map(str::to_owned), rustix::process::nice(0).unwrap())
        };
        let (first, second) = tokio::join!(thread.run(look), thread.run(look));
        let (id, name, niceness) = first.unwrap();
        assert_eq!(second.unwrap().0, id);
        assert_ne!(id, std::thread::current().id());
        assert_eq!((name.as_deref(), niceness), (Some("test-thread"), (before + 3).min(19)));
        assert_eq!(rustix::process::nice(0).unwrap(), before, "other threads keep theirs");
    }

    #[tokio::test]
    async fn a_panic_is_an_error_of_its_job_alone() {
        let thread = thread();
        let panicked = thread.run::<()>(|| panic!("of this job")).await.unwrap_err();
        assert_eq!(panicked.0.downcast_ref(), Some(&"of this job"));
        assert_eq!(thread.run(|| 7).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn a_job_that_nobody_waits_for_does_not_begin_and_the_thread_ends_with_its_owner() {
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let (held, ran) = std::sync::mpsc::channel::<()>();
        let thread = std::sync::Arc::new(thread());
        let run = |job: Box<dyn FnOnce() + Send>| {
            let thread = std::sync::Arc::clone(&thread);
            tokio::spawn(async move { thread.run(job).await.map_err(|_| ()) })
        };
        let first = run(Box::new(move || wait.recv().unwrap_or_default()));
        let second = run(Box::new(move || held.send(()).unwrap_or_default()));
        while thread.jobs.capacity() > QUEUED - 1 {
            tokio::task::yield_now().await; // until one is queued behind the other
        }
        second.abort();
        assert!(second.await.unwrap_err().is_cancelled());
        go.send(()).unwrap();
        first.await.unwrap().unwrap();
        drop(thread);
        assert!(ran.recv().is_err(), "dropped with its thread, without having run");
    }
}
