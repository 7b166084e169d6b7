//! A proxy that records where clients want to go, and takes them there or nowhere: a test sees every connection that a client
//! tries, also to hosts that are not there. Names that it knows lead to servers on the loopback address.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// The first byte of TLS.
const HANDSHAKE: u8 = 0x16;

/// No request line or header of a test is as long.
const MOST: u64 = 64 * 1024;

/// A connection that a client wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attempt {
    /// The host, as the client named it.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Whether what it sent there began as TLS; none if it sent nothing, since it was not let through.
    pub is_tls: Option<bool>,
    /// Whether an `Authorization` header was there for the proxy to read.
    pub has_credentials: bool,
    /// The `Proxy-Authorization` header, empty without one.
    pub proxy_authorization: String,
}

#[derive(Debug, Default)]
struct State {
    routes: BTreeMap<String, SocketAddr>,
    attempts: Vec<Attempt>,
}

/// A running proxy for HTTP and, by CONNECT, for anything. Dropping it ends it and its connections.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Starts one on the loopback address. It knows no name yet.
    ///
    /// # Errors
    ///
    /// When there is no port.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let (address, state) = (listener.local_addr()?, Arc::<Mutex<State>>::default());
        let task = tokio::spawn(accept(listener, state.clone()));
        Ok(Self { address, state, task })
    }

    /// Its address, as `http_proxy` has it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Takes clients that want to go to `host:port` to this address. Others are turned away with 502.
    pub fn route(&self, target: &str, to: SocketAddr) {
        locked(&self.state).routes.insert(target.to_owned(), to);
    }

    /// Where clients wanted to go, in the order in which they came.
    pub fn attempts(&self) -> Vec<Attempt> {
        locked(&self.state).attempts.clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Connections end with this task.
async fn accept(listener: TcpListener, state: Arc<Mutex<State>>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let state = state.clone();
        // What a client or server breaks off ends that connection alone.
        connections.spawn(async move { serve(stream, &state).await.ok() });
        while connections.try_join_next().is_some() {}
    }
}

/// What a client sent first.
struct Head {
    method: String,
    /// Host and port, and the target in the form in which a server takes it.
    host: String,
    port: u16,
    path: String,
    headers: Vec<String>,
}

impl Head {
    fn header(&self, name: &str) -> Option<&str> {
        let parts = self.headers.iter().filter_map(|line| line.split_once(':'));
        let mut found = parts.filter(|(key, _)| key.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.trim())
    }
}

async fn serve(stream: TcpStream, state: &Mutex<State>) -> Result<()> {
    let mut client = BufReader::new(stream);
    let head = read(&mut client).await?;
    let attempt = Attempt {
        host: head.host.clone(),
        port: head.port,
        is_tls: None,
        has_credentials: head.header("authorization").is_some(),
        proxy_authorization: head.header("proxy-authorization").unwrap_or_default().to_owned(),
    };
    let (number, to) = {
        let mut state = locked(state);
        state.attempts.push(attempt);
        let to = state.routes.get(&format!("{}:{}", head.host, head.port)).copied();
        (state.attempts.len() - 1, to)
    };
    let Some(to) = to else {
        client.write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await?;
        return Ok(());
    };
    let seen = |is_tls| {
        if let Some(attempt) = locked(state).attempts.get_mut(number) {
            attempt.is_tls = Some(is_tls);
        }
    };
    let mut server = TcpStream::connect(to).await?;
    if head.method == "CONNECT" {
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
        let first = client.fill_buf().await?.first().copied();
        seen(first == Some(HANDSHAKE));
    } else {
        seen(false);
        // One request for each connection: the next one may be for another host.
        let mut text = format!("{} {} HTTP/1.1\r\nConnection: close\r\n", head.method, head.path);
        let is_own = |line: &&String| !line.to_ascii_lowercase().starts_with("proxy-") && !is_connection(line);
        head.headers.iter().filter(is_own).for_each(|line| {
            text.push_str(line);
            text.push_str("\r\n");
        });
        server.write_all(format!("{text}\r\n").as_bytes()).await?;
    }
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}

fn is_connection(line: &str) -> bool {
    line.to_ascii_lowercase().starts_with("connection:")
}

async fn read(client: &mut BufReader<TcpStream>) -> Result<Head> {
    let mut limited = client.take(MOST);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        ensure!(limited.read_line(&mut line).await? > 0, "the client went away");
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        lines.push(line.to_owned());
    }
    ensure!(!lines.is_empty(), "no request line");
    let first = lines.remove(0);
    let mut words = first.split(' ');
    let (method, target) = (words.next().context("no method")?, words.next().context("no target")?);
    let uri: http::Uri = target.parse().with_context(|| format!("target {target}"))?;
    let authority = uri.authority().with_context(|| format!("{target} has no host"))?;
    let port = match (authority.port_u16(), uri.scheme_str()) {
        (Some(port), _) => port,
        (None, Some("http")) => 80,
        _ => bail!("{target} has no port"),
    };
    let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str).to_owned();
    Ok(Head { method: method.to_owned(), host: authority.host().to_owned(), port, path, headers: lines })
}
