//! Replaces CRI-O if a real one is not available: responds to `Version` on its socket, and loads its registries on SIGHUP.
//! Usage: `crio-stand-in ROOT`. It copies the content of the agent's file that it has loaded to ROOT/loaded.
//!
//! Like CRI-O, it creates its socket before its handler for SIGHUP is installed; until then, the signal terminates it. Files
//! change its behaviour: ROOT/deaf: it handles SIGHUP without loading the files, like CRI-O with an invalid crio.conf.
//! ROOT/slow: it takes a second to start. ROOT/other: it has another process name.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use http::{HeaderMap, HeaderValue, Response};
use tokio::net::{UnixListener, UnixStream};
use tokio::signal::unix::{SignalKind, signal};

const DROP_INS: &str = "etc/containers/registries.conf.d";
const OURS: &str = "50-hypermirror.conf";
/// Time from the creation of the socket until the handler is installed, as measured with CRI-O.
const START: Duration = Duration::from_millis(40);
const SLOW_START: Duration = Duration::from_secs(1);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let root = PathBuf::from(std::env::args_os().nth(1).context("usage: crio-stand-in ROOT")?);
    // The name of CRI-O's main process, which the agent requires before it sends a signal.
    fs::write("/proc/self/comm", if root.join("other").exists() { "containerd" } else { "crio" })?;
    let socket = root.join("run/crio/crio.sock");
    fs::create_dir_all(root.join("run/crio"))?;
    let _ = fs::remove_file(&socket); // of an earlier one that was killed
    let listener = UnixListener::bind(&socket)?;
    tokio::time::sleep(if root.join("slow").exists() { SLOW_START } else { START }).await;
    let mut hang_up = signal(SignalKind::hangup())?;
    load(&root)?;
    loop {
        tokio::select! {
            _ = hang_up.recv() => if !root.join("deaf").exists() { load(&root)? },
            accepted = listener.accept() => drop(tokio::spawn(answer(accepted?.0))),
        }
    }
}

/// Reads the main file and every drop-in, in name order.
fn load(root: &Path) -> Result<()> {
    let _ = fs::read(root.join("etc/containers/registries.conf")); // need not be there
    let mut names: Vec<_> = fs::read_dir(root.join(DROP_INS))?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    names.sort();
    let mut ours = None;
    for path in names.iter().filter(|path| path.extension().is_some_and(|extension| extension == "conf")) {
        let content = fs::read(path).ok();
        if path.file_name().is_some_and(|name| name == OURS) {
            ours = content;
        }
    }
    let temporary = root.join("loaded.new");
    fs::write(&temporary, ours.unwrap_or_default())?;
    Ok(fs::rename(temporary, root.join("loaded"))?)
}

/// Answers every call on a connection with a `VersionResponse`.
async fn answer(stream: UnixStream) -> Result<()> {
    let mut connection = h2::server::handshake(stream).await?;
    while let Some(call) = connection.accept().await {
        let (_, mut respond) = call?;
        let head = Response::builder().header("content-type", "application/grpc").body(())?;
        let mut body = respond.send_response(head, false)?;
        // Field 2, runtime_name: "cri-o"; before it the frame of gRPC.
        let message = b"\x12\x05cri-o";
        let frame = [&[0, 0, 0, 0, u8::try_from(message.len())?], message.as_slice()].concat();
        body.send_data(frame.into(), false)?;
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        body.send_trailers(trailers)?;
    }
    Ok(())
}
