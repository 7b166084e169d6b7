//! Registries that judge a client: three real ones and the mock, in each way in which clients reach registries.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tempfile::TempDir;

use crate::content::Feature;
use crate::mock::{MockRegistry, TokenForm, TokenServer, Tokens, User};
use crate::pki::Authority;
use crate::pusher::Pusher;
use crate::registry::{Access, PASSWORD, Program, Registry, Settings, USER};

/// How long tokens live: shorter than a test takes.
const LIFETIME: Duration = Duration::from_secs(2);

/// A kind of registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The mock, as the specification has it.
    Mock,
    /// A real one.
    Real(Program),
}

impl Kind {
    /// Whether it takes this.
    pub fn supports(self, feature: Feature) -> bool {
        match (self, feature) {
            (Self::Mock, _) | (Self::Real(Program::PkgRegistry), Feature::Referrers) => true,
            (Self::Real(_), _) => false,
        }
    }
}

/// How a registry is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// By everybody, over HTTP.
    Http,
    /// By everybody, over TLS with an authority of its own.
    Tls,
    /// With a password, over TLS.
    Password,
    /// With tokens that live for two seconds, over TLS.
    Tokens,
}

impl Reach {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Http, Self::Tls, Self::Password, Self::Tokens];
}

#[derive(Debug)]
enum Running {
    Mock(MockRegistry),
    Real(Registry),
}

/// A running registry. Dropping it ends it.
#[derive(Debug)]
pub struct Judge {
    kind: Kind,
    reach: Reach,
    authority: Authority,
    // Before the directory, so that it has ended when that goes.
    running: Running,
    tokens: TokenServer,
    directory: TempDir,
}

impl Judge {
    /// Starts one.
    ///
    /// # Errors
    ///
    /// When its program is not there, or it does not start.
    pub async fn start(kind: Kind, reach: Reach) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let authority = Authority::new("judge")?;
        std::fs::write(directory.path().join("ca.crt"), authority.certificate())?;
        let tokens = Arc::new(Tokens::new([User::new(USER, PASSWORD)])?);
        tokens.set_form(TokenForm { lifetime: LIFETIME, ..TokenForm::default() });
        let tokens = TokenServer::start_tls(tokens, &authority).await?;
        let running = match kind {
            Kind::Mock => Running::Mock(mock(reach, &authority, &tokens).await?),
            Kind::Real(program) => {
                let access = match reach {
                    Reach::Http | Reach::Tls => Access::Open,
                    Reach::Password => Access::Password,
                    Reach::Tokens => Access::Tokens(&tokens),
                };
                let authority = (reach != Reach::Http).then_some(&authority);
                let settings = Settings { program, authority, access };
                Running::Real(Registry::launch(&directory.path().join("registry"), &settings).await?)
            }
        };
        Ok(Self { kind, reach, authority, running, tokens, directory })
    }

    /// Which one it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Host and port.
    pub fn host(&self) -> String {
        match &self.running {
            Running::Mock(mock) => mock.host(),
            Running::Real(registry) => registry.host().to_owned(),
        }
    }

    /// Scheme, host and port.
    pub fn url(&self) -> String {
        let scheme = if self.reach == Reach::Http { "http" } else { "https" };
        format!("{scheme}://{}", self.host())
    }

    /// The authority of its certificate and of that of its token server; none over HTTP.
    pub fn authority(&self) -> Option<&Authority> {
        (self.reach != Reach::Http).then_some(&self.authority)
    }

    /// A directory with the certificate of the authority as `ca.crt`, as skopeo and podman take it.
    pub fn certificates(&self) -> &Path {
        self.directory.path()
    }

    /// User and password, if it wants them.
    pub fn credentials(&self) -> Option<(&'static str, &'static str)> {
        matches!(self.reach, Reach::Password | Reach::Tokens).then_some((USER, PASSWORD))
    }

    /// Where its tokens come from, if it wants them.
    pub fn tokens(&self) -> &TokenServer {
        &self.tokens
    }

    /// A client to fill it with.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    pub fn pusher(&self) -> Result<Pusher> {
        Pusher::new(&self.url(), self.authority(), self.credentials())
    }
}

async fn mock(reach: Reach, authority: &Authority, tokens: &TokenServer) -> Result<MockRegistry> {
    let builder = MockRegistry::builder();
    let builder = match reach {
        Reach::Http => builder,
        Reach::Tls => builder.tls(authority),
        Reach::Password => builder.tls(authority).basic([User::new(USER, PASSWORD)]),
        Reach::Tokens => builder.tls(authority).tokens(tokens),
    };
    builder.start().await
}
