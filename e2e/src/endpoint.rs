//! Requests over plain HTTP on the loopback address: to health and metrics endpoints, and to etcd.

use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const TIMEOUT: Duration = Duration::from_secs(5);

/// Status and body of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body, as text.
    pub body: String,
}

/// Requests `url`, of the form `http://host:port/path`.
///
/// # Errors
///
/// If the URL is not of that form, nobody answers within five seconds, or the answer is not HTTP.
pub async fn get(url: &str) -> Result<Answer> {
    send("GET", url, "").await
}

/// Sends `body` to `url`, of the form `http://host:port/path`.
///
/// # Errors
///
/// As [`get`].
pub(crate) async fn post(url: &str, body: &str) -> Result<Answer> {
    send("POST", url, body).await
}

async fn send(method: &str, url: &str, body: &str) -> Result<Answer> {
    let uri: http::Uri = url.parse().with_context(|| format!("failed to parse {url}"))?;
    let authority = uri.authority().ok_or_else(|| anyhow!("{url} has no host"))?.to_string();
    let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str).to_owned();
    let text = tokio::time::timeout(TIMEOUT, exchange(method, &authority, &path, body))
        .await
        .with_context(|| format!("no response within {TIMEOUT:?} from {url}"))?
        .with_context(|| format!("failed to {} {url}", method.to_lowercase()))?;
    parse(&text).with_context(|| format!("failed to parse the response of {url}"))
}

/// HTTP/1.0, so that the body is neither chunked nor followed by anything.
async fn exchange(method: &str, authority: &str, path: &str, body: &str) -> Result<String> {
    let mut stream = TcpStream::connect(authority).await?;
    let length = if method == "GET" { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    let head = format!("{method} {path} HTTP/1.0\r\nHost: {authority}\r\n{length}\r\n");
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn parse(text: &str) -> Result<Answer> {
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(|| anyhow!("not HTTP: {text:?}"))?;
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    Ok(Answer { status: status.ok_or_else(|| anyhow!("no status in {head:?}"))?, body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_and_body_are_read() {
        let answer = parse("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 2\r\n\r\nno").unwrap();
        assert_eq!(answer, Answer { status: 503, body: "no".to_owned() });
    }

    #[test]
    fn a_response_that_is_not_http_is_an_error() {
        parse("220 smtp ready\r\n").unwrap_err();
    }
}
