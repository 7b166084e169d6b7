//! Has CRI-O read its configuration again, and does not believe it before it is seen.

use std::path::PathBuf;
use std::time::Duration;

use hypermirror_api::NodeReason;
use tokio::net::UnixStream;

use super::cri::{CriError, Crio};
use super::files::Host;
use super::proof::Proof;
use crate::process::flags::ReloadMethod;

/// A CRI-O that works opens the file within a millisecond of the signal.
const READ: Duration = Duration::from_secs(2);
/// systemd answers when the job is queued.
const BUS: Duration = Duration::from_secs(5);
const UNIT: &str = "crio.service";

/// How CRI-O is told, and where.
#[derive(Clone, Debug)]
pub struct Reloader {
    /// How.
    pub method: ReloadMethod,
    /// systemd's bus.
    pub bus: PathBuf,
    /// CRI-O's socket.
    pub cri: PathBuf,
}

/// Why a reload is not proved.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// CRI-O is not there to be told.
    #[error(transparent)]
    Runtime(#[from] CriError),
    /// The bus cannot be used.
    #[error("systemd cannot be told to reload {UNIT} over {bus}: {reason}")]
    Bus {
        /// The bus.
        bus: String,
        /// Why.
        reason: String,
    },
    /// CRI-O was told.
    #[error(
        "CRI-O was told to reload and did not read the file in {} s: probably a broken file in /etc/crio/crio.conf.d (its \
         log says which), or it hangs",
        READ.as_secs()
    )]
    NotRead,
    /// Nobody can look on.
    #[error("the directory cannot be watched for CRI-O's reading: {0}")]
    Watch(#[from] std::io::Error),
}

impl ReloadError {
    /// The reason as a condition has it.
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
    /// Whether CRI-O is told at all.
    pub fn is_asked(&self) -> bool {
        self.method != ReloadMethod::None
    }

    /// Tells CRI-O, and returns when it has read. May be dropped at any time and begun again.
    ///
    /// With `auto_reload_registries` CRI-O reads by itself, 200 ms after the change. It is told all the same: that does no
    /// harm beside its own, and is what makes the change count within the second. Who wants neither takes
    /// [`ReloadMethod::None`].
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
        match tokio::time::timeout(BUS, self.ask_systemd()).await {
            Ok(Ok(())) => read(&mut proof).await,
            Ok(Err(error)) => Err(bus_error(error.to_string())),
            Err(_) => Err(bus_error(format!("no answer in {} s", BUS.as_secs()))),
        }
    }

    async fn ask_systemd(&self) -> zbus::Result<()> {
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
