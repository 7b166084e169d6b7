//! A pull that takes long, in the middle of edits: CRI-O's helpers are left alone.

use std::time::Duration;

use anyhow::{Result, ensure};
use hypermirror_e2e::image::{Image, ImageSource};
use hypermirror_e2e::{Served, needs_node, port};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::stage::Stage;

/// A layer that takes long to arrive, and a helper of CRI-O some time to unpack.
const LAYER: usize = 128 << 20;
/// In bytes per second: eight seconds for the layer.
const SPEED: u32 = 16 << 20;
const EDITS: usize = 20;
/// Between two edits.
const PACE: Duration = Duration::from_millis(250);

/// Carries bytes to and from a registry, slowly. Ends when it is dropped.
struct Wire {
    host: String,
    _connections: JoinSet<()>,
}

impl Wire {
    async fn to(registry: &str) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port::free()?)).await?;
        let (host, registry) = (listener.local_addr()?.to_string(), registry.to_owned());
        let mut connections = JoinSet::new();
        connections.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(&registry).await else { continue };
                let ((mut from_client, to_client), (from_server, mut to_server)) =
                    (client.into_split(), server.into_split());
                open.spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await.map(|_| ()) });
                open.spawn(slowly(from_server, to_client));
            }
        });
        Ok(Self { host, _connections: connections })
    }
}

async fn slowly(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    let mut due = Instant::now();
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..length]).await?;
        due = due.max(Instant::now()) + Duration::from_secs(1) * u32::try_from(length).unwrap_or(u32::MAX) / SPEED;
        sleep_until(due).await;
    }
}

#[tokio::test]
async fn a_large_layer_arrives_whole_while_twenty_edits_come() -> Result<()> {
    needs_node!();
    let stage = Stage::enter().await?;
    let served = Served::start("copy/any").await?;
    let payload = served.directory().join("payload");
    std::fs::write(&payload, vec![7; LAYER])?;
    let image = Image::build(&served.directory().join("large"), &ImageSource::new("/payload", &payload))?;
    image.push(served.registry.host(), "copy/large").await?;
    let wire = Wire::to(served.registry.host()).await?;
    let source = format!("127.0.0.1:{}/ns", port::free()?);
    let mirror = format!("{}/copy", wire.host);
    let mine = [(source.as_str(), [mirror.as_str()], None)];
    let mine = mine.each_ref().map(|(source, mirrors, policy)| (*source, &mirrors[..], *policy));
    stage.declare(&mine).await?;
    let mark = stage.node().mark()?;
    let reference = format!("{source}/large@{}", image.digest());
    let pull = async {
        let start = Instant::now();
        let id = stage.node().crictl().pull(&reference).await?;
        Ok::<_, anyhow::Error>((id, start.elapsed()))
    };
    tokio::pin!(pull);
    let mut edits = 0;
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // On and on until it is unpacked, which is when the helpers work.
    let (id, took) = loop {
        let other = format!("mirror.example/edit-{edits}");
        let all = [mine[0], ("registry.example/other", &[&other], None)];
        tokio::select! {
            done = &mut pull => break done?,
            edited = stage.edit(&all) => edited?,
        }
        edits += 1;
        tokio::select! {
            done = &mut pull => break done?,
            _ = pace.tick() => {}
        }
    };
    let log = stage.node().logged_since(mark)?;
    let applied = log.matches("Applied new registry configuration").count();
    println!("a pull of {took:?} under {edits} edits, of which CRI-O read {applied}");
    ensure!(id == image.id(), "{id}");
    ensure!(edits >= EDITS && applied * 2 >= EDITS, "{edits} edits, {applied} read");
    ensure!(!log.contains("signal: hangup"), "a helper was signalled");
    stage.node().crictl().remove_image(&reference).await
}
