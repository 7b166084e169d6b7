//! The process of the stubs, and its client.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use hypermirror::process::open_files;
use hypermirror_bench::manager::LIMIT;
use hypermirror_e2e::stub_guests::{Applied, State, StubGuests};
use hypermirror_e2e::{Launch, Process, endpoint};
use rustix::process::getppid;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::net::TcpListener;

/// Runs stubs until the benchmark or this process ends. The address of the control server is logged.
pub async fn serve(number: usize, nodes: usize) -> Result<()> {
    open_files::raise_limit();
    let stubs = Arc::new(StubGuests::start(number, nodes).await?);
    let router = Router::new()
        .route(
            "/kubeconfigs",
            get(async |Shared(stubs): Shared<Arc<StubGuests>>| {
                stubs.kubeconfigs().map(Json).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
            }),
        )
        .route("/applied", get(async |Shared(stubs): Shared<Arc<StubGuests>>| Json(stubs.take_applied())))
        .route(
            "/requests",
            get(async |Shared(stubs): Shared<Arc<StubGuests>>| {
                let all: Vec<Vec<String>> =
                    (0..stubs.number()).filter_map(|guest| stubs.take_requests(guest).ok()).collect();
                Json(all)
            }),
        )
        .route("/state", post(set_state))
        .with_state(stubs);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", json!({"message": "stubs listening", "address": listener.local_addr()?.to_string()}));
    tokio::select! {
        served = async { axum::serve(listener, router).await } => Ok(served?),
        () = parent_ended() => Ok(()),
    }
}

/// A benchmark that is killed does not stop its stubs.
async fn parent_ended() {
    let parent = getppid();
    while getppid() == parent {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn set_state(
    Shared(stubs): Shared<Arc<StubGuests>>,
    Json((guests, state)): Json<(Vec<usize>, State)>,
) -> StatusCode {
    let is_set = guests.into_iter().all(|guest| stubs.set_state(guest, state).is_ok());
    if is_set { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND }
}

/// The running process.
pub struct Stubs {
    process: Process,
    url: String,
}

impl Stubs {
    pub async fn start(number: usize, nodes: usize, directory: &Path) -> Result<Self> {
        let launch = Launch::new("stubs", std::env::current_exe()?, directory).args([
            "stubs".to_owned(),
            format!("--number={number}"),
            format!("--nodes={nodes}"),
        ]);
        let mut process = launch.spawn()?;
        let address = process.wait_for_log_field("stubs listening", "address", LIMIT).await?;
        Ok(Self { process, url: format!("http://{address}") })
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.process.handle().id()
    }

    async fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let answer = endpoint::get(&format!("{}{path}", self.url)).await?;
        ensure!(answer.status == 200, "{answer:?}");
        serde_json::from_str(&answer.body).context("failed to read the response of the stubs")
    }

    pub async fn kubeconfigs(&self) -> Result<Vec<String>> {
        self.read("/kubeconfigs").await
    }

    /// The sets that were written since the last call.
    pub async fn applied(&self) -> Result<Vec<Applied>> {
        self.read("/applied").await
    }

    /// The requests to each stub since the last call.
    pub async fn requests(&self) -> Result<Vec<Vec<String>>> {
        self.read("/requests").await
    }

    pub async fn set_state(&self, guests: &[usize], state: State) -> Result<()> {
        let request = reqwest::Client::new().post(format!("{}/state", self.url));
        let request = request.header("content-type", "application/json").body(json!([guests, state]).to_string());
        request.send().await?.error_for_status()?;
        Ok(())
    }
}
