//! An HTTPS server with one answer for everything: for what a real API server cannot be made to do.

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

/// Bytes of a huge page: a little less than the manager reads of one.
const HUGE: usize = 8_000_000;

/// What a faulty server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// 503, as an API server behind a load balancer.
    Unavailable,
    /// A version like any other, and 503 to everything else, as an API server without its database.
    HalfDead,
    /// A version like any other, and to everything else a list that never ends.
    Endless,
    /// A version like any other, and to everything else a page without items that has a token for another page.
    EmptyPages,
    /// The same, but for lists: a page of the most bytes that are read, of items as small as can be.
    HugePages,
}

/// A running server. Dropping it ends it.
#[derive(Debug)]
pub struct Faulty {
    port: u16,
    authority: Authority,
    task: JoinHandle<()>,
}

impl Faulty {
    /// Starts one on the loopback address.
    ///
    /// # Errors
    ///
    /// When there is no port or no certificate.
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
                // Whoever hangs up in the middle has seen enough.
                tokio::spawn(async move { serve(acceptor, stream, answer).await.ok() });
            }
        });
        Ok(Self { port, authority, task })
    }

    /// A kubeconfig for it.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
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
    if answer == Answer::Unavailable || (answer == Answer::HalfDead && !is_probe) {
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
        // For a CRD that is asked for, it is one that is established.
        let body = r#"{"kind":"CustomResourceDefinition","metadata":{"continue":"x","labels":{"hypermirror.dev/managed":"true"}},"items":[],"status":{"conditions":[{"type":"Established","status":"True"}]}}"#;
        stream.write_all(format!("{}{body}", head("200 OK", body.len())).as_bytes()).await?;
    } else {
        // The end of the connection is the end of the body. What is small here is large where it is read into values.
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{\"items\":[").await?;
        let noise = "{\"\":0},".repeat(16 * 1024);
        loop {
            stream.write_all(noise.as_bytes()).await?;
        }
    }
    stream.shutdown().await?;
    Ok(())
}
