use axum::routing::get;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::time::Instant;

use super::*;

const LIMITS: Limits = Limits { connections: 256, per_peer: 64 };

fn server(limits: Limits) -> Server {
    let hello = |axum::Extension(peer): axum::Extension<Peer>| async move { format!("hello {}", peer.0) };
    Server::new(Router::new().route("/", get(hello)), limits)
}

fn connect(server: &mut Server, peer: [u8; 4]) -> DuplexStream {
    let (client, stream) = duplex(64 * 1024);
    server.accept(stream, IpAddr::from(peer));
    client
}

/// What a client of this connection reads before the server closes it or answers completely.
async fn ask(client: &mut DuplexStream) -> String {
    client.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    let mut buffer = [0; 1024];
    while !answer.contains("hello") {
        let read = client.read(&mut buffer).await.unwrap();
        assert!(read > 0, "closed after {answer:?}");
        answer.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
    }
    answer
}

async fn is_closed(client: &mut DuplexStream) -> bool {
    matches!(client.read(&mut [0; 16]).await, Ok(0) | Err(_))
}

#[tokio::test(start_paused = true)]
async fn silent_connections_block_no_other_client() {
    let mut server = server(LIMITS);
    let start = Instant::now();
    let mut silent = Vec::new();
    for number in 0..256_u16 {
        let mut one = connect(&mut server, [10, 0, 1, number.to_be_bytes()[1]]);
        one.write_all(b"POST / HTTP/1.1\r\n").await.unwrap();
        silent.push(one);
    }
    let mut honest = connect(&mut server, [10, 0, 0, 1]);
    assert!(ask(&mut honest).await.ends_with("hello 10.0.0.1"));
    assert_eq!(start.elapsed(), Duration::ZERO);
    // Each of them is closed once its time is over, and the honest one stays.
    for one in &mut silent {
        assert!(is_closed(one).await);
    }
    assert_eq!(start.elapsed(), FIRST_REQUEST);
    assert!(ask(&mut honest).await.ends_with("hello 10.0.0.1"));
}

#[tokio::test(start_paused = true)]
async fn a_peer_over_its_limit_loses_only_its_own_connections() {
    let mut server = server(Limits { connections: 256, per_peer: 2 });
    let start = Instant::now();
    let mut other = connect(&mut server, [10, 0, 0, 2]);
    let mut first = connect(&mut server, [10, 0, 0, 1]);
    let mut more: Vec<DuplexStream> = (0..2).map(|_| connect(&mut server, [10, 0, 0, 1])).collect();
    assert!(is_closed(&mut first).await);
    assert_eq!(start.elapsed(), Duration::ZERO);
    ask(&mut other).await;
    for one in &mut more {
        ask(one).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_may_rest_between_requests_but_not_for_ever() {
    let mut server = server(LIMITS);
    let mut client = connect(&mut server, [10, 0, 0, 1]);
    ask(&mut client).await;
    tokio::time::advance(Duration::from_secs(100)).await;
    ask(&mut client).await;
    let start = Instant::now();
    assert!(is_closed(&mut client).await);
    assert_eq!(start.elapsed(), IDLE);
}

#[tokio::test(start_paused = true)]
async fn headers_that_never_end_are_not_kept() {
    let mut server = server(LIMITS);
    let mut client = connect(&mut server, [10, 0, 0, 1]);
    let start = Instant::now();
    client.write_all(b"GET / HTTP/1.1\r\nx: ").await.unwrap();
    let mut written = 0;
    while client.write_all(&[b'a'; 1024]).await.is_ok() {
        written += 1024;
        assert!(written <= 64 * 1024 + 2 * MAX_HEADERS, "{written} bytes of headers are taken");
    }
    assert_eq!(start.elapsed(), Duration::ZERO);
}
