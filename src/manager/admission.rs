//! The installed admission (the webhook or the policies): detects it for reports, and removes it when hypermirror is removed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hypermirror_api::report::Admission;
use kube::Client;
use tokio::sync::watch;

use super::options::Mode;
use super::store::Store;
use crate::client::cause::Cause;
use crate::management::admission_registration::{installed, remove};

/// Interval. An admission is rarely installed or removed, and a delay in reports is acceptable.
const INTERVAL: Duration = Duration::from_mins(1);

/// The known state of the admission. Clones share it.
#[derive(Clone)]
pub struct AdmissionState {
    client: Client,
    store: Store,
    mode: Mode,
    /// `None` until it is known.
    installed: watch::Sender<Option<Admission>>,
    /// Whether it was removed, as the first step of the removal from all hosted clusters.
    is_removed: Arc<AtomicBool>,
}

impl AdmissionState {
    /// Creates the state.
    pub fn new(client: Client, store: Store, mode: Mode) -> Self {
        let (installed, is_removed) = (watch::Sender::new(None), Arc::default());
        Self { client, store, mode, installed, is_removed }
    }

    /// The installed admission, if it is known.
    pub fn installed(&self) -> Option<Admission> {
        *self.installed.borrow()
    }

    /// Detects the admission once. Returns whether it has changed.
    pub async fn detect(&self) -> bool {
        // With --mode=observe there are no entries to restore.
        if self.mode == Mode::Observe {
            return false;
        }
        match installed(&self.client).await {
            Ok(now) => self.installed.send_replace(Some(now)) != Some(now),
            Err(error) => {
                tracing::debug!(error = %Cause(&error), "failed to detect the installed admission; trying again");
                false
            }
        }
    }

    /// Detects the admission periodically until the process ends.
    pub async fn follow(self) {
        // Not a watch: not all supported API servers serve these kinds, and a watch of a missing kind fails all the time.
        loop {
            tokio::time::sleep(INTERVAL).await;
            if self.detect().await {
                self.store.enqueue_clusters();
            }
        }
    }

    /// Whether hypermirror is being removed from the fleet and the admission still has to be removed.
    pub fn has_to_be_removed(&self, uninstalls: bool) -> bool {
        uninstalls && !self.is_removed.load(Ordering::Relaxed)
    }

    /// Removes the admission when hypermirror is removed from the fleet. It comes first: it would restore the entries that are
    /// removed from the Deployments afterwards.
    pub async fn remove_first(&self, uninstalls: bool) {
        if !uninstalls {
            self.is_removed.store(false, Ordering::Relaxed);
        }
        if !self.has_to_be_removed(uninstalls) || self.mode == Mode::Observe {
            return;
        }
        match remove(&self.client).await {
            Ok(removed) => {
                tracing::info!(removed = removed.join(", "), "removing hypermirror: removed the admission");
                self.is_removed.store(true, Ordering::Relaxed);
                self.store.enqueue_all();
            }
            Err(error) => {
                tracing::warn!(error = %Cause(&error), "removing hypermirror: failed to remove the admission; trying again");
            }
        }
    }
}

#[cfg(test)]
mod tests;
