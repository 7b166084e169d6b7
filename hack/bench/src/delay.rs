//! A network in the way: bytes arrive some time after they were sent, as many at once as were sent.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

const PIECE: usize = 64 * 1024;
/// Pieces under way in one direction of a connection: more than any request or answer here has.
const UNDER_WAY: usize = 1_024;

/// The address of a proxy to `host` that delays each direction. It ends with its runtime.
///
/// # Errors
/// If there is no port.
pub async fn proxy(host: String, delay: Duration) -> io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let host = host.clone();
            tokio::spawn(async move {
                if let Ok(server) = TcpStream::connect(host).await {
                    let ((from_client, to_client), (from_server, to_server)) =
                        (client.into_split(), server.into_split());
                    tokio::join!(carry(from_client, to_server, delay), carry(from_server, to_client, delay));
                }
            });
        }
    });
    Ok(address)
}

async fn carry(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, delay: Duration) {
    let (sender, mut under_way) = mpsc::channel::<(Instant, Vec<u8>)>(UNDER_WAY);
    let read = async move {
        let mut piece = vec![0; PIECE];
        while let Ok(length @ 1..) = from.read(&mut piece).await {
            if sender.send((Instant::now() + delay, piece[..length].to_vec())).await.is_err() {
                return;
            }
        }
    };
    let write = async move {
        while let Some((at, piece)) = under_way.recv().await {
            sleep_until(at).await;
            if to.write_all(&piece).await.is_err() {
                return;
            }
        }
        let _ = to.shutdown().await;
    };
    tokio::join!(read, write);
}
