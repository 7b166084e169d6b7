//! Plays a scripted answer.

use axum::body::{Body, HttpBody as _};
use bytes::{Bytes, BytesMut};
use futures::{StreamExt as _, stream};
use http::{HeaderValue, Response, header};

use super::answer;
use super::record::Entry;
use super::rule::{Answer, Change, Fixed};
use super::server::{Answered, Hangup};

/// The scripted answer, or the usual one that `usual` gives.
pub(super) async fn play<F: Future<Output = Answered>>(
    scripted: Option<Answer>,
    body: Body,
    entry: &Entry,
    usual: impl FnOnce(Body) -> F,
) -> Answered {
    let response = match scripted {
        None => usual(body).await?,
        Some(Answer::Silence) => std::future::pending().await,
        Some(Answer::Hangup { after }) => {
            discard(body, after, entry).await;
            return Err(Hangup);
        }
        Some(Answer::Fixed(fixed)) => {
            discard(body, fixed.after, entry).await;
            made(fixed)
        }
        Some(Answer::Changed(changes)) => changes.into_iter().fold(usual(body).await?, changed),
    };
    Ok(answer::counted(response, entry.clone()))
}

/// The whole body of a request; none if it is longer than `limit` or breaks off.
pub(super) async fn read(body: Body, limit: usize, entry: &Entry) -> Option<Bytes> {
    let mut parts = body.into_data_stream();
    let mut whole = BytesMut::new();
    while let Some(part) = parts.next().await {
        let part = part.ok()?;
        entry.received(part.len());
        whole.extend_from_slice(&part);
        if whole.len() > limit {
            return None;
        }
    }
    Some(whole.freeze())
}

async fn discard(body: Body, least: u64, entry: &Entry) {
    let mut parts = body.into_data_stream();
    let mut read = 0;
    while read < least {
        let Some(Ok(part)) = parts.next().await else { return };
        entry.received(part.len());
        read += part.len() as u64;
    }
}

fn made(fixed: Fixed) -> Response<Body> {
    let mut response = answer::empty(fixed.status);
    *response.body_mut() = Body::from(fixed.body);
    fixed.headers.into_iter().fold(response, |response, (name, value)| answer::set(response, name, &value))
}

fn changed(mut response: Response<Body>, change: Change) -> Response<Body> {
    match change {
        Change::Status(status) => *response.status_mut() = status,
        Change::Header(name, value) => return answer::set(response, name, &value),
        Change::Without(name) => {
            response.headers_mut().remove(name);
        }
        Change::Body(bytes) => {
            let length = HeaderValue::from(bytes.len());
            response.headers_mut().insert(header::CONTENT_LENGTH, length);
            *response.body_mut() = Body::from(bytes);
        }
        Change::Flip(at) => return parts(response, move |from, part| flipped(part, at.checked_sub(from))),
        Change::CutAfter(length) => return ended(response, length, End::Cut),
        Change::StallAfter(length) => return ended(response, length, End::Stall),
        Change::Repeat { part, times } => {
            response.headers_mut().remove(header::CONTENT_LENGTH);
            let endless = stream::iter(std::iter::repeat_n(part, usize::MAX));
            let times = times.and_then(|times| usize::try_from(times).ok()).unwrap_or(usize::MAX);
            *response.body_mut() = Body::from_stream(endless.take(times).map(Ok::<_, Hangup>));
        }
    }
    response
}

fn flipped(part: Bytes, at: Option<u64>) -> Bytes {
    let at = at.and_then(|at| usize::try_from(at).ok()).filter(|at| *at < part.len());
    let Some(at) = at else { return part };
    let mut part = BytesMut::from(part);
    if let Some(byte) = part.get_mut(at) {
        *byte ^= 1;
    }
    part.freeze()
}

/// Changes the parts of a body; `change` gets where each begins.
fn parts(response: Response<Body>, mut change: impl FnMut(u64, Bytes) -> Bytes + Send + 'static) -> Response<Body> {
    let mut from = 0;
    response.map(|body| {
        Body::from_stream(body.into_data_stream().map(move |part| {
            part.map(|part| {
                let length = part.len() as u64;
                let part = change(from, part);
                from += length;
                part
            })
        }))
    })
}

#[derive(Clone, Copy)]
enum End {
    Cut,
    Stall,
}

/// The body up to `length`, and then the end.
fn ended(mut response: Response<Body>, length: u64, end: End) -> Response<Body> {
    // What was promised stays promised.
    if let Some(size) = response.body().size_hint().exact() {
        response.headers_mut().entry(header::CONTENT_LENGTH).or_insert(HeaderValue::from(size));
    }
    response.map(|body| {
        let mut left = length;
        let before = body.into_data_stream().map(move |part| {
            let part = part.map_err(|_| Hangup)?;
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(part.len());
            left -= most as u64;
            Ok::<_, Hangup>(part.slice(..most))
        });
        let mut sent = 0;
        let before = before.take_while(move |part| {
            let goes_on = sent < length;
            sent += part.as_ref().map_or(0, |part| part.len() as u64);
            std::future::ready(goes_on)
        });
        let after = stream::once(async move {
            match end {
                // What was written before is sent before.
                End::Cut => {
                    tokio::task::yield_now().await;
                    Err(Hangup)
                }
                End::Stall => std::future::pending().await,
            }
        });
        Body::from_stream(before.chain(after))
    })
}
