//! Reloads CRI-O and verifies that it has loaded the file.

use std::path::PathBuf;
use std::time::Duration;

use hypermirror_api::NodeReason;
use tokio::net::UnixStream;

use super::cri::{CriError, Crio};
use super::files::Host;
use super::proof::Proof;
use crate::process::flags::ReloadMethod;

/// A running CRI-O opens the file within a millisecond after the signal.
const READ: Duration = Duration::from_secs(2);
/// systemd responds when the job is queued.
const BUS: Duration = Duration::from_secs(5);
const UNIT: &str = "crio.service";

/// Reloads CRI-O.
#[derive(Clone, Debug)]
pub struct Reloader {
    /// The method.
    pub method: ReloadMethod,
    /// systemd's bus.
    pub bus: PathBuf,
    /// CRI-O's socket.
    pub cri: PathBuf,
}

/// Why a reload is not confirmed.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// CRI-O is not running or cannot be signalled.
    #[error(transparent)]
    Runtime(#[from] CriError),
    /// systemd could not be reached or refused the request.
    #[error("failed to reload {UNIT} with systemd over {bus}: {reason}")]
    Bus {
        /// The bus.
        bus: String,
        /// The error.
        reason: String,
    },
    /// CRI-O was reloaded and did not load the file in time.
    #[error(
        "CRI-O was reloaded and did not read the file within {} s: check its log for an invalid file in \
                 /etc/crio/crio.conf.d, and whether it hangs",
        READ.as_secs()
    )]
    NotRead,
    /// The watch failed.
    #[error("failed to watch whether CRI-O reads the file: {0}")]
    Watch(#[from] std::io::Error),
}

impl ReloadError {
    /// The reason of the condition.
    pub const fn reason(&self) -> NodeReason {
        match self {
            Self::Runtime(CriError::NotReady { .. }) => NodeReason::RuntimeNotReady,
            Self::Runtime(CriError::Hidden(_) | CriError::NotCrio { .. }) => NodeReason::RuntimeNotFound,
            Self::Runtime(CriError::Refused { .. }) | Self::Bus { .. } => NodeReason::Refused,
            Self::NotRead | Self::Watch(_) => NodeReason::NotRead,
        }
    }
}

impl Reloader {
    /// Whether the agent reloads CRI-O.
    pub fn is_enabled(&self) -> bool {
        self.method != ReloadMethod::None
    }

    /// Reloads CRI-O and returns when it has loaded the file. Cancel-safe: it can be dropped and started again at any time.
    ///
    /// With `auto_reload_registries`, CRI-O reloads by itself 200 ms after a change. The agent reloads it anyway, which is
    /// harmless and makes the change effective immediately. [`ReloadMethod::None`] disables this.
    ///
    /// # Errors
    /// [`ReloadError`].
    pub async fn reload(&self, host: &Host) -> Result<(), ReloadError> {
        match self.method {
            ReloadMethod::None => return Ok(()),
            ReloadMethod::Signal => {
                let crio = Crio::find(&self.cri).await?;
                let mut proof = Proof::begin(host)?;
                crio.reload()?;
                return read(&mut proof).await;
            }
            ReloadMethod::Dbus => {}
        }
        let mut proof = Proof::begin(host)?;
        let bus_error = |reason: String| ReloadError::Bus { bus: self.bus.display().to_string(), reason };
        match tokio::time::timeout(BUS, self.reload_through_systemd()).await {
            Ok(Ok(())) => read(&mut proof).await,
            Ok(Err(error)) => Err(bus_error(error.to_string())),
            Err(_) => Err(bus_error(format!("no response within {} s", BUS.as_secs()))),
        }
    }

    async fn reload_through_systemd(&self) -> zbus::Result<()> {
        let stream = UnixStream::connect(&self.bus).await.and_then(UnixStream::into_std);
        let stream = stream.map_err(|error| zbus::Error::InputOutput(error.into()))?;
        let connection = zbus::connection::Builder::unix_stream(stream).build().await?;
        let (path, interface) = ("/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager");
        let body = (UNIT, "replace");
        connection.call_method(Some("org.freedesktop.systemd1"), path, Some(interface), "ReloadUnit", &body).await?;
        Ok(())
    }
}

async fn read(proof: &mut Proof) -> Result<(), ReloadError> {
    match tokio::time::timeout(READ, proof.seen()).await {
        Ok(seen) => Ok(seen?),
        Err(_) => Err(ReloadError::NotRead),
    }
}
