//! The shortest way into a registry, for what tests put there: no retry, no paging, and nothing of the client that is tested.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use reqwest::Url;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::Mutex;

use crate::content::{Content, Feature};
use crate::pki::Authority;

/// What manifests are asked for with: some registries answer 404 to who does not take the type.
const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

/// What a registry answered.
#[derive(Clone, Debug)]
pub struct Answered {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl Answered {
    fn header(&self, name: header::HeaderName) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// A client of one registry.
#[derive(Debug)]
pub struct Pusher {
    http: reqwest::Client,
    url: Url,
    credentials: Option<(String, String)>,
    /// The last `Authorization` header for each repository.
    authorized: Mutex<BTreeMap<String, String>>,
}

impl Pusher {
    /// A client of the registry at `url`, which trusts this authority only.
    ///
    /// # Errors
    ///
    /// When `url` is none.
    pub fn new(url: &str, authority: Option<&Authority>, credentials: Option<(&str, &str)>) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        if let Some(authority) = authority {
            roots.add(CertificateDer::from_pem_slice(authority.certificate().as_bytes())?)?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let tls = tls.with_root_certificates(roots).with_no_client_auth();
        let http = reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy();
        Ok(Self {
            http: http.redirect(reqwest::redirect::Policy::none()).build()?,
            url: Url::parse(url)?,
            credentials: credentials.map(|(user, password)| (user.to_owned(), password.to_owned())),
            authorized: Mutex::default(),
        })
    }

    /// Pushes everything that the registry takes.
    ///
    /// # Errors
    ///
    /// When the registry refuses any of it.
    pub async fn push(&self, repository: &str, content: &Content, takes: impl Fn(Feature) -> bool) -> Result<()> {
        for (digest, bytes) in &content.blobs {
            self.push_blob(repository, digest, bytes).await.with_context(|| format!("push blob {digest}"))?;
        }
        for manifest in content.manifests.iter().filter(|manifest| manifest.needs.is_none_or(&takes)) {
            let reference = manifest.tag.as_deref().unwrap_or(&manifest.digest);
            let url = self.url.join(&format!("/v2/{repository}/manifests/{reference}"))?;
            let kind = (header::CONTENT_TYPE, manifest.media_type);
            let answer = self.send(repository, Method::PUT, url, kind, manifest.bytes.clone()).await?;
            ensure!(answer.status == StatusCode::CREATED, "push manifest {}: {answer:?}", manifest.name);
        }
        Ok(())
    }

    /// Pushes one blob.
    ///
    /// # Errors
    ///
    /// When the registry refuses it.
    pub async fn push_blob(&self, repository: &str, digest: &str, bytes: &Bytes) -> Result<()> {
        let url = self.url.join(&format!("/v2/{repository}/blobs/uploads/"))?;
        let kind = (header::CONTENT_TYPE, "application/octet-stream");
        let begun = self.send(repository, Method::POST, url.clone(), kind.clone(), Bytes::new()).await?;
        ensure!(begun.status == StatusCode::ACCEPTED, "begin an upload: {begun:?}");
        let mut place = url.join(begun.header(header::LOCATION))?;
        place.query_pairs_mut().append_pair("digest", digest);
        let ended = self.send(repository, Method::PUT, place, kind, bytes.clone()).await?;
        ensure!(ended.status == StatusCode::CREATED, "end an upload: {ended:?}");
        Ok(())
    }

    /// Reads anything of a repository, such as `manifests/v1`.
    ///
    /// # Errors
    ///
    /// When there is no answer. Any status is one.
    pub async fn get(&self, repository: &str, path: &str) -> Result<Answered> {
        let url = self.url.join(&format!("/v2/{repository}/{path}"))?;
        self.send(repository, Method::GET, url, (header::ACCEPT, ACCEPT), Bytes::new()).await
    }

    async fn send(
        &self,
        repository: &str,
        method: Method,
        url: Url,
        (name, value): (header::HeaderName, &'static str),
        body: Bytes,
    ) -> Result<Answered> {
        let mut headers = HeaderMap::from_iter([(name, HeaderValue::from_static(value))]);
        for is_last in [false, true] {
            if let Some(value) = self.authorized.lock().await.get(repository) {
                headers.insert(header::AUTHORIZATION, HeaderValue::from_str(value)?);
            }
            let request = self.http.request(method.clone(), url.clone()).headers(headers.clone());
            let request = request.header(header::CONTENT_LENGTH, body.len()).body(body.clone());
            let response = request.send().await.with_context(|| format!("{method} {url}"))?;
            let (status, headers) = (response.status(), response.headers().clone());
            let answer = Answered { status, headers, body: response.bytes().await? };
            if status != StatusCode::UNAUTHORIZED || is_last || self.credentials.is_none() {
                return Ok(answer);
            }
            let authorization = self.authorize(answer.header(header::WWW_AUTHENTICATE)).await?;
            self.authorized.lock().await.insert(repository.to_owned(), authorization);
        }
        bail!("no answer")
    }

    /// What a challenge wants to see.
    async fn authorize(&self, challenge: &str) -> Result<String> {
        use base64::Engine as _;
        let (user, password) = self.credentials.as_ref().context("no credentials")?;
        let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        let basic = format!("Basic {pair}");
        let Some(parts) = challenge.strip_prefix("Bearer ") else { return Ok(basic) };
        let part = |name: &str| {
            let (_, rest) = parts.split_once(&format!("{name}=\""))?;
            Some(rest.split_once('"')?.0)
        };
        let mut realm = Url::parse(part("realm").context("no realm")?)?;
        for name in ["service", "scope"] {
            if let Some(value) = part(name) {
                realm.query_pairs_mut().append_pair(name, value);
            }
        }
        let response = self.http.get(realm).header(header::AUTHORIZATION, basic).send().await?.error_for_status()?;
        let token: serde_json::Value = serde_json::from_slice(&response.bytes().await?)?;
        Ok(format!("Bearer {}", token["token"].as_str().context("no token")?))
    }
}
