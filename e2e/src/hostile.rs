//! What anybody can send to the webhook: bodies that are small where they are sent and large where they are read.

use std::sync::Arc;

use anyhow::Result;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::fleet::admission::authority;

/// A connection to the webhook on the loopback address.
///
/// # Errors
///
/// When nobody listens, or shows another authority's certificate.
pub async fn connect(port: u16) -> Result<TlsStream<TcpStream>> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority()?.certificate().as_bytes())?)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let name = ServerName::try_from("127.0.0.1")?;
    Ok(TlsConnector::from(Arc::new(config)).connect(name, stream).await?)
}

/// Sends one body, or the beginning of a longer one, and answers the first line of what comes back.
///
/// # Errors
///
/// As [`connect`], or when the connection breaks in the head of the request.
pub async fn post(port: u16, length: usize, body: &str) -> Result<String> {
    let mut stream = connect(port).await?;
    let head = format!("POST /admit HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    // The server may answer and close before it has read all of it.
    let _ = stream.write_all(body.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    Ok(String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned())
}

/// Reviews of some 3 MB each.
pub fn reviews() -> [String; 5] {
    let fill = |item: &str, bytes: usize| [item].repeat(bytes / (item.len() + 1)).join(",");
    let name = "\"metadata\":{\"name\":\"ignition-server\",\"annotations\":{\"hypermirror.dev/overrides\":\"a=b\"}}";
    let of_template = |what: &str| format!("{{{name},\"spec\":{{\"template\":{{\"spec\":{what}}}}}}}");
    let containers = |what: &str| of_template(&format!("{{\"containers\":[{what}]}}"));
    [
        review(&format!("[{}]", fill("{\"\":0}", 3_000_000))),
        review(&of_template(&format!("[{}]", fill("[]", 3_000_000)))),
        review(&containers(&fill("{}", 3_000_000))),
        review(&containers(&format!("{{\"name\":\"ignition-server\",\"env\":[{}]}}", fill("{}", 3_000_000)))),
        review(&containers(&format!("{{\"name\":\"ignition-server\",\"args\":[{}]}}", fill("\"\"", 3_000_000)))),
    ]
}

fn review(object: &str) -> String {
    let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "u", "resource": {"group": "apps", "version": "v1", "resource": "deployments"},
        "operation": "CREATE", "userInfo": {"username": "x"}, "object": 0
    }});
    review.to_string().replace("\"object\":0", &format!("\"object\":{object}"))
}
