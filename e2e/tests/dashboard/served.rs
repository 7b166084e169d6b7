//! A dashboard as a process, and plain requests to it.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result};
use hypermirror_e2e::binaries;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdout, Command};

/// A running dashboard; it ends with this value.
pub struct Dashboard {
    _child: Child,
    _stdout: BufReader<ChildStdout>,
    /// The address with the token.
    pub address: String,
    pub port: u16,
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    pub code: u16,
    /// Status line and headers, in lower case.
    pub head: String,
    pub body: String,
}

impl Dashboard {
    pub async fn start(kubeconfig: &Path) -> Result<Self> {
        let mut command = Command::new(binaries::operator()?);
        command.args(["dashboard", "--kubeconfig"]).arg(kubeconfig).env_remove("POD_NAMESPACE");
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let mut stdout = BufReader::new(child.stdout.take().context("no output")?);
        let mut line = String::new();
        stdout.read_line(&mut line).await?;
        let address = line.trim().to_owned();
        let port = address.strip_prefix("http://127.0.0.1:").and_then(|rest| rest.split('/').next());
        let port = port.and_then(|port| port.parse().ok()).with_context(|| format!("no address: {line:?}"))?;
        Ok(Self { _child: child, _stdout: stdout, address, port })
    }

    pub fn token(&self) -> &str {
        self.address.split("token=").nth(1).unwrap_or_default()
    }

    /// Sends a request as it is.
    pub async fn send(&self, method: &str, target: &str, headers: &[(&str, &str)]) -> Result<Reply> {
        let mut request = format!("{method} {target} HTTP/1.1\r\nConnection: close\r\n");
        for part in headers.iter().flat_map(|(name, value)| [name, ": ", value, "\r\n"]) {
            request += part;
        }
        request += "\r\n";
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        let answer = String::from_utf8_lossy(&answer);
        let (head, body) = answer.split_once("\r\n\r\n").with_context(|| format!("no answer: {answer:?}"))?;
        let code = head.split(' ').nth(1).and_then(|code| code.parse().ok()).context("no status code")?;
        Ok(Reply { code, head: head.to_lowercase(), body: body.to_owned() })
    }

    /// A request of a browser that has the cookie.
    pub async fn get(&self, path: &str) -> Result<Reply> {
        let (host, cookie) = (self.host(), format!("hypermirror-{}={}", self.port, self.token()));
        self.send("GET", path, &[("Host", &host), ("Cookie", &cookie)]).await
    }

    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}
