//! A collector of OTLP traces that takes every call and keeps what it is sent.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use bytes::Bytes;
use h2::server::SendResponse;
use http::{HeaderMap, HeaderValue, Request, Response};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// The frame of an empty message of gRPC: everything was accepted.
const ACCEPTED: &[u8] = &[0; 5];

type Received = Arc<Mutex<Vec<u8>>>;

/// A running collector. Dropping it ends it and its connections.
#[derive(Debug)]
pub struct Collector {
    address: SocketAddr,
    received: Received,
    task: JoinHandle<()>,
}

impl Collector {
    /// Starts one on the loopback address.
    ///
    /// # Errors
    ///
    /// When there is no port.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let (address, received) = (listener.local_addr()?, Received::default());
        let task = tokio::spawn(accept(listener, received.clone()));
        Ok(Self { address, received, task })
    }

    /// Its address, as `OTEL_EXPORTER_OTLP_ENDPOINT` has it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All messages so far, as text: names and attributes of spans are in them as they are.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.received.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Connections end with this task.
async fn accept(listener: TcpListener, received: Received) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let received = received.clone();
        // What an exporter breaks off ends that connection alone.
        connections.spawn(async move { serve(stream, received).await.ok() });
    }
}

async fn serve(stream: TcpStream, received: Received) -> Result<()> {
    let mut connection = h2::server::handshake(stream).await?;
    let mut calls = JoinSet::new();
    while let Some(call) = connection.accept().await {
        let (request, respond) = call?;
        let received = received.clone();
        calls.spawn(async move { take(request, respond, &received).await.ok() });
    }
    Ok(())
}

async fn take(request: Request<h2::RecvStream>, mut respond: SendResponse<Bytes>, received: &Received) -> Result<()> {
    let mut body = request.into_body();
    while let Some(part) = body.data().await {
        let part = part?;
        body.flow_control().release_capacity(part.len())?;
        received.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&part);
    }
    let head = Response::builder().header("content-type", "application/grpc").body(())?;
    let mut answer = respond.send_response(head, false)?;
    answer.send_data(Bytes::from_static(ACCEPTED), false)?;
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    Ok(answer.send_trailers(trailers)?)
}
