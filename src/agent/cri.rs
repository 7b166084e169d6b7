//! Whether CRI-O answers, and which process answers: the one that may be told to reload.

use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::net::UnixStream;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Endpoint, Uri};
use tonic_prost::ProstCodec;

/// A CRI-O that works answers in less than a millisecond.
const ANSWER: Duration = Duration::from_secs(2);
const VERSION: &str = "/runtime.v1.RuntimeService/Version";
/// What the kernel calls CRI-O's main process.
const COMM: &str = "crio";

/// `runtime.v1.VersionRequest` of the container runtime interface.
#[derive(Clone, PartialEq, prost::Message)]
pub struct VersionRequest {
    /// The version of the kubelet's API.
    #[prost(string, tag = "1")]
    pub version: String,
}

/// `runtime.v1.VersionResponse`, as far as it is read.
#[derive(Clone, PartialEq, prost::Message)]
pub struct VersionResponse {
    /// The runtime's name: `cri-o`, `containerd`.
    #[prost(string, tag = "2")]
    pub runtime_name: String,
    /// The runtime's version.
    #[prost(string, tag = "3")]
    pub runtime_version: String,
}

/// Why nobody can be told.
#[derive(Debug, thiserror::Error)]
pub enum CriError {
    /// Nobody listens, or nobody answers.
    #[error("the container runtime does not answer at {socket}, so it is stopped, still starting, or hung: {reason}")]
    NotReady {
        /// The socket.
        socket: String,
        /// What happened.
        reason: String,
    },
    /// The process that answers is not in sight.
    #[error("the process behind {0} is not in sight: the pod needs hostPID: true for --reload signal")]
    Hidden(String),
    /// Something else answers.
    #[error("{name} answers at {socket}, and it is not CRI-O")]
    NotCrio {
        /// The socket.
        socket: String,
        /// What answers.
        name: String,
    },
    /// The process cannot be told.
    #[error("CRI-O (process {process}) cannot be signalled: {error}")]
    Refused {
        /// Its id.
        process: i32,
        /// Why.
        error: io::Error,
    },
}

/// A CRI-O that is up: its main process, by a descriptor that no other process can take over.
#[derive(Debug)]
pub struct Crio {
    process: std::os::fd::OwnedFd,
    id: i32,
}

impl Crio {
    /// Asks CRI-O for its version, and finds the process that answered.
    ///
    /// That is the main process by its nature, the one that listens: CRI-O's helpers, which share its program and for a
    /// moment its name, never do. And one that answers has its handler of SIGHUP; before that the signal would kill it.
    ///
    /// # Errors
    /// [`CriError`], but for [`CriError::Refused`].
    pub async fn find(path: &Path) -> Result<Self, CriError> {
        let socket = path.display().to_string();
        let not_ready = |reason: String| CriError::NotReady { socket: socket.clone(), reason };
        let asked = async {
            let stream = UnixStream::connect(path).await.map_err(|error| not_ready(error.to_string()))?;
            let id = stream.peer_cred().ok().and_then(|peer| peer.pid()).unwrap_or_default();
            // Opened before the answer: what has answered by then was alive all the time, so its id was its own.
            let process = Pid::from_raw(id).and_then(|id| pidfd_open(id, PidfdFlags::empty()).ok());
            let version = ask(stream).await.map_err(|error| not_ready(error.message().to_owned()))?;
            Ok::<_, CriError>((id, process, version))
        };
        let late = |_| Err(not_ready(format!("no answer in {} s", ANSWER.as_secs())));
        let (id, process, version) = tokio::time::timeout(ANSWER, asked).await.unwrap_or_else(late)?;
        let process = process.ok_or_else(|| CriError::Hidden(socket.clone()))?;
        let comm = std::fs::read_to_string(format!("/proc/{id}/comm")).unwrap_or_default();
        // SIGHUP ends other runtimes.
        if comm.trim_end() != COMM {
            let name = if version.runtime_name.is_empty() { comm.trim_end().to_owned() } else { version.runtime_name };
            return Err(CriError::NotCrio { socket, name });
        }
        Ok(Self { process, id })
    }

    /// Tells it to read its configuration again.
    ///
    /// # Errors
    /// [`CriError::Refused`].
    pub fn reload(&self) -> Result<(), CriError> {
        pidfd_send_signal(&self.process, Signal::HUP)
            .map_err(|error| CriError::Refused { process: self.id, error: error.into() })
    }
}

async fn ask(stream: UnixStream) -> Result<VersionResponse, tonic::Status> {
    let unavailable = |error: &dyn std::error::Error| tonic::Status::unavailable(error.to_string());
    let once = Mutex::new(Some(stream));
    let connect = tower::service_fn(move |_: Uri| {
        let stream = once.lock().unwrap_or_else(PoisonError::into_inner).take();
        async move { stream.map(TokioIo::new).ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected)) }
    });
    // The name is never looked up.
    let endpoint = Endpoint::from_static("http://localhost");
    let channel = endpoint.connect_with_connector(connect).await.map_err(|error| unavailable(&error))?;
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.map_err(|error| unavailable(&error))?;
    let codec = ProstCodec::<VersionRequest, VersionResponse>::default();
    let request = tonic::Request::new(VersionRequest { version: "0.1.0".to_owned() });
    Ok(client.unary(request, PathAndQuery::from_static(VERSION), codec).await?.into_inner())
}
