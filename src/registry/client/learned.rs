//! What registries were found to do with blobs, so that each is tried once and not for every blob.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::super::distribution::Target;
use super::super::quirks::{Quirks, UploadForm};

/// Registries that are remembered.
const MAX_REGISTRIES: usize = 10_000;

/// What a registry does with a mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mounts {
    /// It mounts what the other repository holds: an upload in the place of a mount says that it does not hold it.
    Honoured,
    /// It begins an upload, although the blob is there: all repositories share their blobs.
    Shared,
    /// It begins an upload, and the blob is not there.
    Ignored,
}

/// What is known of one registry.
#[derive(Clone, Copy, Debug, Default)]
struct Habits {
    form: Option<UploadForm>,
    mounts: Option<Mounts>,
    takes_posts: Option<bool>,
}

/// What is known of all registries.
#[derive(Debug, Default)]
pub(super) struct Learned(Mutex<HashMap<String, Habits>>);

impl Learned {
    fn locked(&self) -> MutexGuard<'_, HashMap<String, Habits>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of(&self, target: Target<'_>) -> Habits {
        self.locked().get(target.repository.registry.base().as_str()).copied().unwrap_or_default()
    }

    fn change(&self, target: Target<'_>, change: impl FnOnce(&mut Habits)) {
        let mut all = self.locked();
        if all.len() >= MAX_REGISTRIES {
            all.clear();
        }
        change(all.entry(target.repository.registry.base().to_string()).or_default());
    }

    /// How it takes the bytes of a blob.
    pub(super) fn form(&self, target: Target<'_>) -> UploadForm {
        self.of(target).form.unwrap_or_else(|| Quirks::of(&target.repository.registry).uploads)
    }

    pub(super) fn takes_form(&self, target: Target<'_>, form: UploadForm) {
        self.change(target, |habits| habits.form = Some(form));
    }

    /// What it does with mounts, if that is known.
    pub(super) fn mounts(&self, target: Target<'_>) -> Option<Mounts> {
        self.of(target).mounts
    }

    /// A mount shows for good that it mounts. What looks like the opposite may be a blob that is gone, and counts only as long as
    /// nothing else is known.
    pub(super) fn answers_mounts(&self, target: Target<'_>, mounts: Mounts) {
        self.change(target, |habits| {
            if mounts == Mounts::Honoured || habits.mounts.is_none() {
                habits.mounts = Some(mounts);
            }
        });
    }

    /// Whether it may take a blob with the first request.
    pub(super) fn may_take_posts(&self, target: Target<'_>) -> bool {
        self.of(target).takes_posts.unwrap_or(true)
    }

    pub(super) fn takes_posts(&self, target: Target<'_>, takes: bool) {
        self.change(target, |habits| habits.takes_posts = Some(takes));
    }
}
