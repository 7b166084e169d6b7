//! Every connection that the client tries, recorded by a proxy: whatever a registry answers, a password goes nowhere else.

use std::sync::Arc;

use anyhow::{Result, ensure};
use http::StatusCode;
use hypermirror::registry::policy::PolicyOptions;
use hypermirror::registry::proxy::Proxies;
use hypermirror::registry::transport::tls::TlsOptions;
use hypermirror::registry::transport::{Transport, TransportOptions};
use hypermirror::registry::wire::digest::Digest;
use hypermirror::registry::{Client, Credential, Reference, RegistryAddress, Repository, Target};
use hypermirror_e2e::MockRegistry;
use hypermirror_e2e::mock::behavior::{Paging, Redirect};
use hypermirror_e2e::mock::{Presented, Recorded, Tokens, User};
use hypermirror_e2e::pki::Authority;
use hypermirror_e2e::proxy::{Attempt, Proxy};

use super::add_image;

const NAMES: [&str; 3] = ["registry.test", "auth.test", "storage.test"];
const PASSWORD: &str = "canary-r3c0rd";

/// A registry, its token server and its storage, and the proxy through which all of them are reached.
struct Scene {
    registry: MockRegistry,
    auth: MockRegistry,
    storage: MockRegistry,
    proxy: Proxy,
    client: Client,
    manifest: Digest,
    blob: Digest,
}

impl Scene {
    async fn new() -> Result<Self> {
        let authority = Authority::new("recording")?;
        let tokens = Arc::new(Tokens::new([User::new("alice", PASSWORD)])?);
        let serve = |name| MockRegistry::builder().tls(&authority).name(name);
        let registry = serve(NAMES[0]).own_tokens(tokens.clone()).start().await?;
        let auth = serve(NAMES[1]).own_tokens(tokens).start().await?;
        let storage = serve(NAMES[2]).sharing(&registry).start().await?;
        registry.behave(|behavior| behavior.realm = Some(format!("https://{}/token", NAMES[1])));
        let proxy = Proxy::start().await?;
        for (name, server) in NAMES.iter().zip([&registry, &auth, &storage]) {
            proxy.route(&format!("{name}:443"), server.host().parse()?);
        }
        // Also those to which nobody may go would be let through.
        let plain = MockRegistry::builder().sharing(&registry).start().await?;
        for target in ["registry.test:80", "auth.test:80", "storage.test:80", "169.254.169.254:80"] {
            proxy.route(target, plain.host().parse()?);
        }
        let mut tls = TlsOptions::default();
        tls.add_authorities(authority.certificate().as_bytes())?;
        let options = TransportOptions { tls, proxies: Proxies::one(&proxy.url(), "")?, ..TransportOptions::default() };
        let policy = PolicyOptions { attempts: 1, ..PolicyOptions::default() };
        let client = Client::new(Transport::new(options)?, policy);
        let manifest = Digest::parse(&add_image(&registry, "q/app", "layer"))?;
        let blob = Digest::parse(&registry.store().add_blob("q/app", "content"))?;
        registry.store().tag("q/app", "v1", &hypermirror_e2e::mock::digest::Digest::from(manifest.to_string()));
        Ok(Self { registry, auth, storage, proxy, client, manifest, blob })
    }

    /// Everything that a scan and a check of coverage ask; which of them were answered.
    async fn read(&self) -> Result<[bool; 5]> {
        let repository = Repository::new(RegistryAddress::parse(NAMES[0])?, "q/app")?;
        let credential = Credential::basic("alice", PASSWORD);
        let target = Target { repository: &repository, credential: &credential };
        let by_digest = Reference::Digest(self.manifest.clone());
        let errors = [
            self.client.tags(target, |_| {}).await.err(),
            self.client.head_manifest(target, &by_digest).await.err(),
            self.client.manifest(target, &by_digest).await.err(),
            self.client.referrers(target, &self.manifest).await.err(),
            self.client.small_blob(target, &self.blob, 100).await.err(),
        ];
        for error in errors.iter().flatten() {
            ensure!(!error.to_string().contains(PASSWORD), "{error}");
        }
        Ok(errors.map(|error| error.is_none()))
    }

    /// What was recorded since the scene began.
    fn check(&self) -> Result<()> {
        let is_right = |it: &Attempt| {
            let is_theirs = NAMES.contains(&it.host.as_str()) && it.port == 443;
            is_theirs && it.is_tls == Some(true) && !it.has_credentials && it.proxy_authorization.is_empty()
        };
        ensure!(self.proxy.attempts().iter().all(is_right), "{:#?}", self.proxy.attempts());
        let is_password = |request: &Recorded| matches!(request.presented, Presented::Basic { .. });
        let to_auth = self.auth.requests();
        ensure!(to_auth.iter().all(|request| request.path == "/token" && is_password(request)), "{to_auth:#?}");
        let to_registry = self.registry.requests();
        ensure!(
            !to_registry.iter().any(|request| is_password(request) && request.path != "/token"),
            "{to_registry:#?}"
        );
        let is_bare =
            |request: &Recorded| request.presented == Presented::Nothing && request.header("cookie").is_empty();
        ensure!(self.storage.requests().iter().all(is_bare), "{:#?}", self.storage.requests());
        Ok(())
    }
}

fn redirect(to: &str, hops: u32) -> Redirect {
    Redirect { status: StatusCode::TEMPORARY_REDIRECT, to: to.to_owned(), hops }
}

#[tokio::test(flavor = "multi_thread")]
async fn b05_whatever_a_redirect_says_credentials_stay_with_their_host_and_tls_is_kept() -> Result<()> {
    for (to, hops, is_followed) in [
        ("https://storage.test", 0, true),
        ("https://storage.test", 9, true),
        ("https://storage.test", 30, false),
        ("http://storage.test", 0, false),
        ("http://registry.test", 0, false),
        ("http://169.254.169.254", 0, false),
        ("https://169.254.169.254", 0, false),
        ("https://[fe80::1]", 0, false),
        ("https://127.0.0.1:1", 0, false),
        ("https://10.0.0.1", 0, false),
        ("file:///etc", 0, false),
    ] {
        let scene = Scene::new().await?;
        scene.registry.behave(|behavior| behavior.redirect = Some(redirect(to, hops)));
        ensure!(scene.read().await? == [true, true, true, true, is_followed], "{to} after {hops} hops");
        scene.check()?;
        ensure!(scene.storage.requests().is_empty() != is_followed, "{to} after {hops} hops");
        ensure!(!scene.auth.requests().is_empty(), "the password is used at all");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn b07_whatever_a_realm_says_no_password_goes_to_it_over_http_or_to_a_narrower_network() -> Result<()> {
    for (realm, is_used) in [
        ("https://auth.test/token", true),
        ("https://registry.test/token", true),
        // Its own host keeps TLS, whatever its realm says.
        ("http://registry.test/token", true),
        ("http://auth.test/token", false),
        ("http://169.254.169.254/latest/meta-data", false),
        ("https://169.254.169.254/token", false),
        ("https://[fd00:ec2::254]/token", false),
        ("https://127.0.0.1:1/token", false),
        ("https://10.0.0.1/token", false),
        ("ftp://auth.test/token", false),
    ] {
        let scene = Scene::new().await?;
        scene.registry.behave(|behavior| behavior.realm = Some(realm.to_owned()));
        ensure!(scene.read().await? == [is_used; 5], "{realm}");
        scene.check()?;
        ensure!(scene.auth.requests().is_empty() == (realm != "https://auth.test/token"), "{realm}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn b10_the_next_page_is_asked_of_the_same_host_whatever_its_link_says() -> Result<()> {
    for host in ["https://storage.test", "http://registry.test", "http://169.254.169.254"] {
        let scene = Scene::new().await?;
        let tag = hypermirror_e2e::mock::digest::Digest::from(scene.manifest.to_string());
        for number in 0..30 {
            scene.registry.store().tag("q/app", &format!("v{number}"), &tag);
        }
        scene.registry.behave(|behavior| {
            (behavior.paging, behavior.page_size) = (Paging::ForeignHost(host.to_owned()), 10);
        });
        ensure!(scene.read().await? == [true; 5], "{host}");
        scene.check()?;
        ensure!(scene.storage.requests().is_empty(), "{host}: {:?}", scene.storage.lines());
    }
    Ok(())
}
