//! AWS for tests: moto answers its APIs, and every call is read on its way.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::binaries::repository_root;
use crate::process::{Launch, Process, tail};
use crate::{eventually, port};

/// Python imports all that moto has.
const START_LIMIT: Duration = Duration::from_mins(1);

/// Where `hack/registries/moto` puts it.
const PROGRAM: &str = "target/testbed/bin/moto/bin/moto_server";

/// The password that moto gives for the account that it simulates; the user is `AWS`.
pub const PASSWORD: &str = "123456789012-auth-token";

/// What stands before the name of a repository that is created.
const CREATED: &[u8] = br#""repositoryName":""#;

/// Called with the name of a repository before AWS is asked to create it.
type OnCreate = Arc<dyn Fn(&str) + Send + Sync>;

/// Running APIs. Dropping them stops them.
#[derive(Debug)]
pub struct Aws {
    address: SocketAddr,
    /// What each connection sent.
    sent: Arc<Mutex<Vec<Vec<u8>>>>,
    task: JoinHandle<()>,
    _process: Process,
}

impl Aws {
    /// Starts moto on a free port, with its log in `directory`.
    ///
    /// # Errors
    ///
    /// If it is not installed, or does not listen.
    pub async fn start(directory: &Path, on_create: impl Fn(&str) + Send + Sync + 'static) -> Result<Self> {
        let program = repository_root().join(PROGRAM);
        ensure!(program.is_file(), "no {}: run hack/registries/build", program.display());
        let port = port::free()?;
        let arguments = ["-H".to_owned(), "127.0.0.1".to_owned(), "-p".to_owned(), port.to_string()];
        let mut process = Launch::new("moto", program, directory).args(arguments).spawn()?;
        let moto = SocketAddr::from(([127, 0, 0, 1], port));
        eventually(START_LIMIT, "moto listens", async || {
            if let Some(status) = process.exit_status()? {
                bail!("it ended ({status}); its log:\n{}", tail(&process.log()?));
            }
            Ok(Some(TcpStream::connect(moto).await?))
        })
        .await?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let (address, sent) = (listener.local_addr()?, Arc::<Mutex<Vec<Vec<u8>>>>::default());
        let task = tokio::spawn(accept(listener, moto, sent.clone(), Arc::new(on_create)));
        Ok(Self { address, sent, task, _process: process })
    }

    /// The address of all APIs, for `AWS_ENDPOINT_URL`.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// How many calls there were of an action, such as `GetAuthorizationToken`.
    pub fn calls(&self, action: &str) -> usize {
        let count = |sent: &Vec<u8>| String::from_utf8_lossy(sent).matches(action).count();
        locked(&self.sent).iter().map(count).sum()
    }
}

impl Drop for Aws {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Connections end with this task.
async fn accept(listener: TcpListener, moto: SocketAddr, sent: Arc<Mutex<Vec<Vec<u8>>>>, on_create: OnCreate) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let number = {
            let mut sent = locked(&sent);
            sent.push(Vec::new());
            sent.len() - 1
        };
        let (sent, on_create) = (sent.clone(), on_create.clone());
        connections.spawn(async move { serve(stream, moto, &sent, number, &on_create).await.ok() });
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(
    client: TcpStream,
    moto: SocketAddr,
    sent: &Mutex<Vec<Vec<u8>>>,
    number: usize,
    on_create: &OnCreate,
) -> Result<()> {
    let server = TcpStream::connect(moto).await?;
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
        (client.into_split(), server.into_split());
    let there = async {
        let mut buffer = vec![0; 16 * 1024];
        let mut seen = 0;
        loop {
            let length = from_client.read(&mut buffer).await?;
            if length == 0 {
                return to_server.shutdown().await;
            }
            for name in note(&mut locked(sent)[number], &buffer[..length], &mut seen) {
                on_create(&name);
            }
            to_server.write_all(&buffer[..length]).await?;
        }
    };
    let back = async {
        copy(&mut from_server, &mut to_client).await?;
        to_client.shutdown().await
    };
    tokio::try_join!(there, back)?;
    Ok(())
}

/// Keeps a part of what a client sends; the names of repositories that are complete in it for the first time.
fn note(sent: &mut Vec<u8>, part: &[u8], seen: &mut usize) -> Vec<String> {
    sent.extend_from_slice(part);
    let mut names = Vec::new();
    while let Some(at) = sent[*seen..].windows(CREATED.len()).position(|window| window == CREATED) {
        let begin = *seen + at + CREATED.len();
        let Some(length) = sent[begin..].iter().position(|byte| *byte == b'"') else { break };
        names.push(String::from_utf8_lossy(&sent[begin..begin + length]).into_owned());
        *seen = begin + length;
    }
    names
}
