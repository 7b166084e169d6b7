//! Writes a blob: in the form that the registry takes, and on from where it broke off.

mod feed;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::BoxFuture;
use futures::stream::{self, StreamExt as _};
use tokio::sync::Mutex as AsyncMutex;

use super::super::distribution::{Begun, Part, Sent, Session, Target};
use super::super::error::{Cause, Failure, RegistryError};
use super::super::quirks::{CHUNK, UploadForm};
use super::super::transport::{Outgoing, Pieces};
use super::super::wire::digest::Digest;
use super::Client;
use feed::Feed;

/// Chunks are halved where the registry refuses them, but not below this.
const LEAST_CHUNK: u64 = 4;
/// How often one upload may begin again, in another form or elsewhere, without a byte more being there.
const MAX_TURNS: u32 = 24;
/// How often an upload that the registry lost is begun again.
const MAX_LOSSES: u32 = 3;

/// A blob that can be read again from any place, as often as that is needed.
pub trait BlobSource: Send + Sync {
    /// Its digest.
    fn digest(&self) -> &Digest;
    /// Its length in bytes.
    fn size(&self) -> u64;
    /// Its bytes from `offset` to the end. They end with an error if the whole does not match the digest.
    fn open(&self, offset: u64) -> BoxFuture<'_, Result<Pieces, RegistryError>>;
}

/// How a blob got there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// Its bytes were sent.
    Uploaded,
    /// The registry had it in another repository.
    Mounted,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One upload.
struct Upload<'a> {
    client: &'a Client,
    target: Target<'a>,
    source: &'a dyn BlobSource,
    state: Mutex<State>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    /// More is to follow.
    Part,
    /// It ends the upload.
    Last,
}

struct State {
    session: Option<Session>,
    /// How much the registry holds.
    offset: u64,
    /// The request without an answer, after which only the registry knows the offset.
    unanswered: Option<Step>,
    form: UploadForm,
    /// Whether `form` is not what the registry is known for.
    is_new_form: bool,
    /// Whether a part was sent that is not the whole.
    is_in_parts: bool,
    /// How many requests were cut, and uploads lost.
    cuts: u32,
    losses: u32,
    open: Option<Arc<AsyncMutex<Feed>>>,
}

/// A request that is ready to be sent.
struct Ready {
    session: Session,
    offset: u64,
    is_last: bool,
    outgoing: Outgoing,
}

impl Client {
    /// Uploads a blob, in a session that was begun or one of its own.
    ///
    /// # Errors
    /// The registry refuses, or the source ended.
    pub async fn upload_blob(
        &self,
        target: Target<'_>,
        source: &dyn BlobSource,
        session: Option<Session>,
    ) -> Result<(), RegistryError> {
        let state = State {
            session,
            offset: 0,
            unanswered: None,
            form: self.learned.form(target),
            is_new_form: false,
            is_in_parts: false,
            cuts: 0,
            losses: 0,
            open: None,
        };
        Upload { client: self, target, source, state: Mutex::new(state) }.run().await
    }

    pub(super) async fn begin_upload(
        &self,
        target: Target<'_>,
        digest: &Digest,
        from: Option<&str>,
    ) -> Result<Begun, RegistryError> {
        self.run(target, || self.api.begin_upload(target, digest, from)).await
    }
}

impl Upload<'_> {
    async fn run(&self) -> Result<(), RegistryError> {
        let (client, target) = (self.client, self.target);
        let registry = &target.repository.registry;
        let mut turns = 0;
        let mut reached = 0;
        loop {
            let prepare = || self.prepare();
            let send = |ready| self.send(ready);
            let sent = client.policy.run_stream(registry, target.credential, client.mode, prepare, send).await;
            turns += 1;
            match sent {
                Ok(Sent::Finished) => {
                    let state = locked(&self.state);
                    if state.is_new_form {
                        client.learned.takes_form(target, state.form);
                    }
                    return Ok(());
                }
                Ok(Sent::Again(error)) if turns > MAX_TURNS => return Err(error),
                Err(error) if turns > MAX_TURNS || !self.adapt(&error) => return Err(error),
                Ok(_) | Err(_) => {}
            }
            let offset = locked(&self.state).offset;
            if offset > reached {
                (reached, turns) = (offset, 0);
            }
        }
    }

    /// Asks where the upload is if that is not known, and opens the source there. Nothing is left to be sent if it is over.
    async fn prepare(&self) -> Result<Option<Ready>, RegistryError> {
        if self.settle().await? {
            return Ok(None);
        }
        let (session, offset, form) = {
            let state = locked(&self.state);
            (state.session.clone(), state.offset, state.form)
        };
        let session = match session {
            Some(session) => session,
            None => match self.client.begin_upload(self.target, self.source.digest(), None).await? {
                Begun::Session(session) => session,
                // Nothing was to be mounted.
                Begun::Mounted => return Err(self.failed(Cause::Unconfirmed("the upload did not begin".to_owned()))),
            },
        };
        let size = self.source.size();
        let end = match form {
            UploadForm::Chunks(chunk) => size.min(offset.saturating_add(chunk.max(session.least))),
            UploadForm::Whole | UploadForm::OnePatch => size,
        };
        // The whole in one PUT; else parts, and a PUT without bytes.
        let is_last = offset >= size || form == UploadForm::Whole && offset == 0;
        let length = end.saturating_sub(offset);
        let outgoing = if length == 0 { Outgoing::empty() } else { self.outgoing(offset, length).await? };
        let mut state = locked(&self.state);
        state.session = Some(session.clone());
        state.unanswered = Some(if is_last { Step::Last } else { Step::Part });
        state.is_in_parts |= !is_last && (end < size || offset > 0);
        Ok(Some(Ready { session, offset, is_last, outgoing }))
    }

    async fn outgoing(&self, offset: u64, length: u64) -> Result<Outgoing, RegistryError> {
        let held = locked(&self.state).open.take();
        let feed = match held {
            Some(feed) if feed.lock().await.at() == offset => feed,
            _ => Arc::new(AsyncMutex::new(Feed::new(self.source.open(offset).await?, offset))),
        };
        if offset + length < self.source.size() {
            locked(&self.state).open = Some(feed.clone());
        }
        let pieces = stream::unfold((feed, length), |(feed, left)| async move {
            if left == 0 {
                return None;
            }
            let piece = feed.lock().await.take(left).await?;
            let left = piece.as_ref().map_or(0, |piece| left - piece.len() as u64);
            Some((piece, (feed, left)))
        });
        Ok(Outgoing { length, pieces: pieces.boxed() })
    }

    /// After a request that broke off: how much of it is there, and whether that is the whole blob.
    async fn settle(&self) -> Result<bool, RegistryError> {
        let (session, is_closing) = {
            let mut state = locked(&self.state);
            let Some(unanswered) = state.unanswered.take() else { return Ok(false) };
            if state.form == UploadForm::OnePatch {
                state.restart();
            }
            (state.session.clone(), unanswered == Step::Last)
        };
        let Some(session) = session else { return Ok(is_closing && self.is_there().await) };
        let digest = self.source.digest();
        let api = &self.client.api;
        let asked = self.client.run(self.target, || api.upload_offset(self.target, digest, &session)).await;
        match asked {
            Ok((session, offset)) if offset <= self.source.size() => {
                let mut state = locked(&self.state);
                state.session = Some(session);
                state.offset = offset;
                return Ok(false);
            }
            Err(error) if error.cause.is_retryable() => return Err(error),
            // The registry ended it with the request, or does not resume: another one from the beginning.
            Ok(_) | Err(_) => locked(&self.state).restart(),
        }
        Ok(is_closing && self.is_there().await)
    }

    /// Whether the request that was to end the upload did, and only its answer was lost.
    async fn is_there(&self) -> bool {
        let is_there = self.client.head_blob(self.target, self.source.digest(), self.source.size()).await.is_ok();
        if is_there {
            // A form that was doubted for it was right.
            locked(&self.state).is_new_form = false;
        }
        is_there
    }

    async fn send(&self, ready: Option<Ready>) -> Result<Sent, RegistryError> {
        let Some(Ready { session, offset, is_last, outgoing }) = ready else { return Ok(Sent::Finished) };
        let length = outgoing.length;
        let digest = self.source.digest();
        let is_one_patch = locked(&self.state).form == UploadForm::OnePatch;
        let part = Part {
            session: &session,
            offset: (!is_last && !is_one_patch).then_some(offset),
            last: is_last.then_some(digest),
            outgoing,
        };
        let sent = self.client.api.send_part(self.target, digest, part).await;
        let mut state = locked(&self.state);
        match &sent {
            Ok(Sent::Continues(next, received)) => {
                state.session = Some(next.clone());
                state.unanswered = None;
                match received {
                    // Only the last part is there: it replaced those before.
                    Some(received) if offset > 0 && *received == length => {
                        state.form = UploadForm::OnePatch;
                        state.is_new_form = true;
                        state.restart();
                    }
                    // A single byte is told like none.
                    Some(received) if *received > 0 => state.offset = (*received).min(self.source.size()),
                    _ => state.offset = offset + length,
                }
            }
            Ok(Sent::Moved(next)) => {
                state.session = Some(next.clone());
                state.unanswered = None;
                state.open = None;
            }
            Ok(_) => {}
            Err(error) => {
                state.open = None;
                // Registries and gateways that limit requests hang up, too, instead of an answer.
                let is_cut = matches!(&error.cause, Cause::Unreachable { failure: Failure::Interrupted, .. });
                if is_cut {
                    state.cut(length);
                }
            }
        }
        sent
    }

    /// Whether another form or another beginning may help where a request was refused.
    fn adapt(&self, error: &RegistryError) -> bool {
        let mut state = locked(&self.state);
        let size = self.source.size();
        match &error.cause {
            Cause::Refused(refusal) => match refusal.status {
                413 => state.shrink(size),
                // Its offset is asked for.
                416 => true,
                // The registry lost the upload.
                404 | 410 if state.session.is_some() && state.losses < MAX_LOSSES => {
                    state.losses += 1;
                    state.restart();
                    true
                }
                400 if state.is_in_parts && state.form != UploadForm::OnePatch => {
                    // The parts did not add up: the registry keeps the last one only, and did not say so.
                    state.form = UploadForm::OnePatch;
                    state.is_new_form = true;
                    state.restart();
                    true
                }
                _ => false,
            },
            _ => false,
        }
    }

    fn failed(&self, cause: Cause) -> RegistryError {
        let place = super::Place::of(self.target.repository, Some(self.source.digest().to_string()));
        RegistryError { operation: "write the blob", place, cause }
    }
}

impl State {
    /// From the beginning, with another session.
    fn restart(&mut self) {
        self.session = None;
        self.offset = 0;
        self.unanswered = None;
        self.is_in_parts = false;
        self.open = None;
    }

    /// A request of so many bytes was cut. Only a limit that registries are known to have is remembered: connections break, too.
    fn cut(&mut self, length: u64) {
        self.cuts += 1;
        if self.form == UploadForm::Whole && length > CHUNK {
            (self.form, self.is_new_form) = (UploadForm::Chunks(CHUNK), true);
        } else if self.cuts > 1 && length / 2 >= LEAST_CHUNK && self.form != UploadForm::OnePatch {
            self.form = UploadForm::Chunks(length / 2);
        }
    }

    /// Smaller requests, if they can be smaller.
    fn shrink(&mut self, size: u64) -> bool {
        let before = match self.form {
            UploadForm::Chunks(chunk) => chunk.min(size),
            UploadForm::Whole | UploadForm::OnePatch => size.min(CHUNK * 2),
        };
        let chunk = before / 2;
        if chunk < LEAST_CHUNK {
            return false;
        }
        self.form = UploadForm::Chunks(chunk);
        self.is_new_form = true;
        self.restart();
        true
    }
}
