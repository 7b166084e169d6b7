//! An HTTPS server that simulates failures that cannot be provoked in a real API server.

use std::sync::Arc;

use anyhow::Result;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::Credentials;
use crate::credentials::kubeconfig;
use crate::pki::Authority;

/// Bytes of a huge page: slightly less than the manager's limit.
const HUGE: usize = 8_000_000;

/// The behaviour of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Responds with 503, like a load balancer without an API server.
    Unavailable,
    /// Responds to `/version`, and with 503 to all other requests, like an API server without its database.
    HalfDead,
    /// Responds to `/version`, and with an endless list to all other requests.
    Endless,
    /// Responds to `/version`, and with an empty page with a continue token to all other requests.
    EmptyPages,
    /// The same, but for lists: a page of the most bytes that are read, of items as small as can be.
    HugePages,
    /// Responds with this text to all requests, like a kubelet that is asked for a log.
    Log(&'static str),
}

/// A running server. Dropping it ends it.
#[derive(Debug)]
pub struct Faulty {
    port: u16,
    authority: Authority,
    task: JoinHandle<()>,
}

impl Faulty {
    /// Starts a server on the loopback address.
    ///
    /// # Errors
    ///
    /// If there is no port or no certificate.
    pub async fn start(answer: Answer) -> Result<Self> {
        let authority = Authority::new("faulty")?;
        let certificate = authority.server(&["127.0.0.1"])?;
        let chain = CertificateDer::from_pem_slice(certificate.certificate.as_bytes())?;
        let key = PrivateKeyDer::from_pem_slice(certificate.key.as_bytes())?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let config = config.with_no_client_auth().with_single_cert(vec![chain], key)?;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                // A client may close the connection before the end of the response.
                tokio::spawn(async move { serve(acceptor, stream, answer).await.ok() });
            }
        });
        Ok(Self { port, authority, task })
    }

    /// Its port on the loopback address.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A kubeconfig for it.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn kubeconfig(&self) -> Result<String> {
        let server = format!("https://127.0.0.1:{}", self.port);
        kubeconfig("faulty", &server, &self.authority.certificate(), &Credentials::Token("any".to_owned()))
    }
}

impl Drop for Faulty {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(acceptor: TlsAcceptor, stream: TcpStream, answer: Answer) -> Result<()> {
    let mut stream = acceptor.accept(stream).await?;
    let mut request = vec![0; 16 * 1024];
    let length = stream.read(&mut request).await?;
    let head = |status: &str, length: usize| {
        format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n")
    };
    let path = String::from_utf8_lossy(request.get(..length).unwrap_or_default()).into_owned();
    let is_probe = path.starts_with("GET /version");
    if let Answer::Log(text) = answer {
        stream.write_all(format!("{}{text}", head("200 OK", text.len())).as_bytes()).await?;
    } else if answer == Answer::Unavailable || (answer == Answer::HalfDead && !is_probe) {
        let body = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","message":"not today","code":503}"#;
        stream.write_all(format!("{}{body}", head("503 Service Unavailable", body.len())).as_bytes()).await?;
    } else if is_probe {
        let body = r#"{"major":"1","minor":"34","gitVersion":"v1.34.0","gitCommit":"","gitTreeState":"","buildDate":"","goVersion":"","compiler":"","platform":""}"#;
        stream.write_all(format!("{}{body}", head("200 OK", body.len())).as_bytes()).await?;
    } else if answer == Answer::HugePages && path.lines().next().is_some_and(|line| line.contains("limit=")) {
        let items = [r#"{"metadata":{}}"#].repeat(HUGE / 16).join(",");
        let body = format!(r#"{{"metadata":{{}},"items":[{items}]}}"#);
        stream.write_all(format!("{}{body}", head("200 OK", body.len())).as_bytes()).await?;
    } else if matches!(answer, Answer::EmptyPages | Answer::HugePages) {
        // A requested CRD is reported as established.
        let body = r#"{"kind":"CustomResourceDefinition","metadata":{"continue":"x","labels":{"hypermirror.dev/managed":"true"}},"items":[],"status":{"conditions":[{"type":"Established","status":"True"}]}}"#;
        stream.write_all(format!("{}{body}", head("200 OK", body.len())).as_bytes()).await?;
    } else {
        // The body ends with the connection. Its items are small on the wire and large when they are decoded.
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{\"items\":[").await?;
        let noise = "{\"\":0},".repeat(16 * 1024);
        loop {
            stream.write_all(noise.as_bytes()).await?;
        }
    }
    stream.shutdown().await?;
    Ok(())
}
