//! Checks that CRI-O is running, and finds the process to signal.

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

/// A running CRI-O responds in less than a millisecond.
const ANSWER: Duration = Duration::from_secs(2);
const VERSION: &str = "/runtime.v1.RuntimeService/Version";
/// The kernel's name for CRI-O's main process.
const COMM: &str = "crio";

/// `runtime.v1.VersionRequest` of the container runtime interface.
#[derive(Clone, PartialEq, prost::Message)]
pub struct VersionRequest {
    /// The version of the kubelet's API.
    #[prost(string, tag = "1")]
    pub version: String,
}

/// The relevant part of `runtime.v1.VersionResponse`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct VersionResponse {
    /// The runtime's name: `cri-o`, `containerd`.
    #[prost(string, tag = "2")]
    pub runtime_name: String,
    /// The runtime's version.
    #[prost(string, tag = "3")]
    pub runtime_version: String,
}

/// Why CRI-O cannot be reloaded.
#[derive(Debug, thiserror::Error)]
pub enum CriError {
    /// No process listens or responds.
    #[error("the container runtime does not respond at {socket}; it is stopped, still starting, or hangs: {reason}")]
    NotReady {
        /// The socket.
        socket: String,
        /// The error.
        reason: String,
    },
    /// The process is in another PID namespace.
    #[error("the process at {0} is in another PID namespace; set hostPID: true in the pod for --reload=signal")]
    Hidden(String),
    /// The process is not CRI-O.
    #[error("the container runtime at {socket} is {name}, not CRI-O")]
    NotCrio {
        /// The socket.
        socket: String,
        /// The name of the process.
        name: String,
    },
    /// The process cannot be signalled.
    #[error("failed to signal CRI-O (process {process}): {error}")]
    Refused {
        /// The process ID.
        process: i32,
        /// The error.
        error: io::Error,
    },
}

/// The main process of a running CRI-O, as a file descriptor, which another process with the same ID cannot take over.
#[derive(Debug)]
pub struct Crio {
    process: std::os::fd::OwnedFd,
    id: i32,
}

impl Crio {
    /// Requests CRI-O's version and finds the process that responded.
    ///
    /// Only the main process listens. CRI-O's helpers have the same executable and briefly the same name, but never listen. A
    /// process that responds has its handler for SIGHUP installed; before that, the signal would kill it.
    ///
    /// # Errors
    /// [`CriError`], except [`CriError::Refused`].
    pub async fn find(path: &Path) -> Result<Self, CriError> {
        let socket = path.display().to_string();
        let not_ready = |reason: String| CriError::NotReady { socket: socket.clone(), reason };
        let identified = async {
            let stream = UnixStream::connect(path).await.map_err(|error| not_ready(error.to_string()))?;
            let id = stream.peer_cred().ok().and_then(|peer| peer.pid()).unwrap_or_default();
            // Open the descriptor before the response: a process that responds afterwards was alive all the time, so the ID
            // belongs to it.
            let process = Pid::from_raw(id).and_then(|id| pidfd_open(id, PidfdFlags::empty()).ok());
            let version = version(stream).await.map_err(|error| not_ready(error.message().to_owned()))?;
            Ok::<_, CriError>((id, process, version))
        };
        let late = |_| Err(not_ready(format!("no response within {} s", ANSWER.as_secs())));
        let (id, process, version) = tokio::time::timeout(ANSWER, identified).await.unwrap_or_else(late)?;
        let process = process.ok_or_else(|| CriError::Hidden(socket.clone()))?;
        let comm = std::fs::read_to_string(format!("/proc/{id}/comm")).unwrap_or_default();
        // SIGHUP terminates other runtimes.
        if comm.trim_end() != COMM {
            // A program that only calls itself CRI-O is named as the kernel names it.
            let is_named = !matches!(version.runtime_name.as_str(), "" | "cri-o");
            let name = if is_named { version.runtime_name } else { comm.trim_end().to_owned() };
            return Err(CriError::NotCrio { socket, name });
        }
        Ok(Self { process, id })
    }

    /// Sends SIGHUP, on which CRI-O reloads its configuration.
    ///
    /// # Errors
    /// [`CriError::Refused`].
    pub fn reload(&self) -> Result<(), CriError> {
        pidfd_send_signal(&self.process, Signal::HUP)
            .map_err(|error| CriError::Refused { process: self.id, error: error.into() })
    }
}

async fn version(stream: UnixStream) -> Result<VersionResponse, tonic::Status> {
    let unavailable = |error: &dyn std::error::Error| tonic::Status::unavailable(error.to_string());
    let once = Mutex::new(Some(stream));
    let connect = tower::service_fn(move |_: Uri| {
        let stream = once.lock().unwrap_or_else(PoisonError::into_inner).take();
        async move { stream.map(TokioIo::new).ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected)) }
    });
    // The host name is not used for a Unix socket.
    let endpoint = Endpoint::from_static("http://localhost");
    let channel = endpoint.connect_with_connector(connect).await.map_err(|error| unavailable(&error))?;
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.map_err(|error| unavailable(&error))?;
    let codec = ProstCodec::<VersionRequest, VersionResponse>::default();
    let request = tonic::Request::new(VersionRequest { version: "0.1.0".to_owned() });
    Ok(client.unary(request, PathAndQuery::from_static(VERSION), codec).await?.into_inner())
}
