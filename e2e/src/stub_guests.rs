//! Stand-ins of guest clusters, for tests with more of them than real API servers fit into memory: each has a port of its own, and
//! all are in one process.
//!
//! A stub answers what the manager asks of a guest cluster, from a [`store`] in memory. It has no admission, no validation and no
//! garbage collection; what it knows of server-side apply is what a single field manager sees. A scenario compares the requests to a
//! stub with those to a real API server.

mod answer;
mod path;
pub mod store;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use axum::body::Body;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::Request;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::watch;

use crate::Credentials;
use crate::credentials::kubeconfig;
use crate::fleet::guests::HCCO;
use crate::mock::route::query;
use crate::mock::server::{Answered, Bound, Connection, Hangup, Listener, Service, Tls};
use crate::pki::{Authority, Validity};
use store::Store;

/// Time until the agents of a stub have applied a set, as measured with real ones.
const AGENTS: Duration = Duration::from_millis(100);

/// Whether a stub responds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// Like an API server.
    #[default]
    Up,
    /// Accepts connections and requests, and never responds.
    Silent,
    /// Responds with 503, like a load balancer without an API server, with this `Retry-After` in seconds.
    Unavailable(Option<u32>),
}

/// A NodeMirrorSet that was written to a stub.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Applied {
    /// The number of the stub.
    pub guest: usize,
    /// When it was written.
    pub at: SystemTime,
    /// The first mirror of each source.
    pub mirrors: Vec<String>,
}

/// One stub.
#[derive(Debug)]
struct Guest {
    number: usize,
    state: watch::Sender<State>,
    store: Arc<Mutex<Store>>,
    /// Method and path of each request.
    requests: Mutex<Vec<String>>,
    applied: Arc<Mutex<Vec<Applied>>>,
}

/// Running stubs. They end when this is dropped.
#[derive(Debug)]
pub struct StubGuests {
    guests: Vec<Arc<Guest>>,
    listeners: Vec<Listener>,
    applied: Arc<Mutex<Vec<Applied>>>,
    authority: Authority,
}

impl StubGuests {
    /// Starts this number of stubs on the loopback address, each with this number of nodes, whose agents apply every set.
    ///
    /// # Errors
    ///
    /// If there are no ports or no certificates.
    pub async fn start(guests: usize, nodes: usize) -> Result<Self> {
        let authority = Authority::new("stub")?;
        let tls = Tls::new(&authority, &["127.0.0.1"], Some(&authority))?;
        let mut stubs = Self { guests: Vec::new(), listeners: Vec::new(), applied: Arc::default(), authority };
        for number in 0..guests {
            let guest = Arc::new(Guest {
                number,
                state: watch::Sender::default(),
                store: Arc::new(Mutex::new(Store::new(nodes))),
                requests: Mutex::default(),
                applied: Arc::clone(&stubs.applied),
            });
            let bound = Bound::new(IpAddr::V4(Ipv4Addr::LOCALHOST)).await?;
            stubs.listeners.push(bound.serve(Some(tls.clone()), Arc::<Guest>::clone(&guest))?);
            stubs.guests.push(guest);
        }
        Ok(stubs)
    }

    /// A kubeconfig for each, as HyperShift writes it for its own components.
    ///
    /// # Errors
    ///
    /// If one cannot be written.
    pub fn kubeconfigs(&self) -> Result<Vec<String>> {
        let certificate = self.authority.client(HCCO, Some("system:masters"), Validity::Current)?;
        let credentials = Credentials::Certificate(certificate);
        let authority = self.authority.certificate();
        let of = |listener: &Listener| {
            kubeconfig("stub", &format!("https://{}", listener.address()), &authority, &credentials)
        };
        self.listeners.iter().map(of).collect()
    }

    /// Lets one respond in another way from now on.
    ///
    /// # Errors
    ///
    /// If there is no such stub.
    pub fn set_state(&self, guest: usize, state: State) -> Result<()> {
        self.guests.get(guest).context("no such stub")?.state.send_replace(state);
        Ok(())
    }

    /// Method and path of each request to one of them since the last call. The method of a watch is `WATCH`.
    ///
    /// # Errors
    ///
    /// If there is no such stub.
    pub fn take_requests(&self, guest: usize) -> Result<Vec<String>> {
        Ok(std::mem::take(&mut *locked(&self.guests.get(guest).context("no such stub")?.requests)))
    }

    /// The sets that were written since the last call.
    pub fn take_applied(&self) -> Vec<Applied> {
        std::mem::take(&mut *locked(&self.applied))
    }

    /// The number of stubs.
    pub fn number(&self) -> usize {
        self.guests.len()
    }
}

impl Service for Guest {
    fn answer(self: Arc<Self>, request: Request<Body>, _: Connection) -> BoxFuture<'static, Answered> {
        async move {
            let is_watch = query(request.uri().query(), "watch").is_some();
            let method = if is_watch { "WATCH" } else { request.method().as_str() };
            locked(&self.requests).push(format!("{method} {}", request.uri().path()));
            let mut state = self.state.subscribe();
            let now = *state.borrow_and_update();
            match now {
                State::Up => answer::answer(&self.store, state, request, |set| self.record(set)).await,
                State::Unavailable(pause) => Ok(answer::unavailable(pause)),
                State::Silent => {
                    // A connection that was silent does not come back to life.
                    state.changed().await.map_err(|_| Hangup)?;
                    Err(Hangup)
                }
            }
        }
        .boxed()
    }
}

impl Guest {
    /// Records a set that was written, and lets the agents apply it.
    fn record(&self, set: &Value) {
        locked(&self.applied).push(Applied { guest: self.number, at: SystemTime::now(), mirrors: first_mirrors(set) });
        let store = Arc::clone(&self.store);
        tokio::spawn(async move {
            tokio::time::sleep(AGENTS).await;
            locked(&store).confirm();
        });
    }
}

/// The first mirror of each source of a NodeMirrorSet.
pub fn first_mirrors(set: &Value) -> Vec<String> {
    let sources = set["spec"]["digestMirrors"].as_array().into_iter().flatten();
    sources.filter_map(|source| source["mirrors"][0].as_str().map(str::to_owned)).collect()
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
