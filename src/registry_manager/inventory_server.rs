//! Serves whole inventories as pages of JSON, to those who may read the Registry.
//!
//! `GET /v1/namespaces/NAMESPACE/registries/NAME/inventory?limit=N&continue=TOKEN`, with a bearer token of the cluster.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use axum::Router;
use axum::extract::{Path as UrlPath, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::Api;
use kube::api::PostParams;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::agenda::ObjectKey;
use super::context::Context;
use super::options::RegistryManagerOptions;
use super::pages::{DEFAULT_LIMIT, PageError, page};
use crate::client::cause::Cause;
use crate::client::deadline::answered;
use crate::process::server::{OF_PROBES, Server};

/// Tokens have fewer bytes.
const MAX_TOKEN: usize = 16 * 1024;

/// Why a request is refused.
struct Refused(StatusCode, String);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, axum::Json(json!({"error": self.1}))).into_response()
    }
}

/// Which page.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wanted {
    limit: usize,
    token: Option<String>,
}

impl Wanted {
    fn parse(query: &str) -> Result<Self, Refused> {
        let mut wanted = Self { limit: DEFAULT_LIMIT, token: None };
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "limit" => {
                    let refused = |_| Refused(StatusCode::BAD_REQUEST, "limit is not a number".to_owned());
                    wanted.limit = value.parse().map_err(refused)?;
                }
                "continue" => wanted.token = Some(value.into_owned()),
                _ => {}
            }
        }
        Ok(wanted)
    }
}

/// Whether an address may serve inventories.
///
/// # Errors
/// There is no certificate, and others than this machine could connect.
pub fn check(address: SocketAddr, has_certificate: bool) -> Result<()> {
    ensure!(
        has_certificate || address.ip().is_loopback(),
        "--inventory-bind-address={address} is not a loopback address: set --inventory-certificate-dir, because requests \
         contain tokens"
    );
    Ok(())
}

/// Binds the address, which was [checked](check).
///
/// # Errors
/// The address cannot be bound, or the certificate cannot be used.
pub async fn start(
    ctx: &Arc<Context>,
    options: &RegistryManagerOptions,
) -> Result<impl Future<Output = ()> + Send + use<>> {
    let address = options.inventory_bind_address;
    let router = Router::new().route("/v1/namespaces/{namespace}/registries/{name}/inventory", get(serve));
    let mut server = Server::new(router.with_state(ctx.clone()), OF_PROBES);
    if let Some(directory) = &options.inventory_certificate_dir {
        server = server.with_tls(acceptor(directory).context("--inventory-certificate-dir")?);
    }
    let listener = TcpListener::bind(address).await.context("failed to listen on --inventory-bind-address")?;
    tracing::info!(address = %listener.local_addr()?, "inventory server listening");
    Ok(server.run(listener))
}

fn acceptor(directory: &Path) -> Result<TlsAcceptor> {
    let chain = CertificateDer::pem_file_iter(directory.join("tls.crt")).context("tls.crt")?;
    let chain: Vec<_> = chain.collect::<Result<_, _>>().context("tls.crt")?;
    let key = PrivateKeyDer::from_pem_file(directory.join("tls.key")).context("tls.key")?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn serve(
    State(ctx): State<Arc<Context>>,
    UrlPath((namespace, name)): UrlPath<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let key = ObjectKey { namespace, name };
    let wanted = Wanted::parse(query.as_deref().unwrap_or_default())?;
    let user = user(&ctx, &headers).await?;
    // Before anything is told, also whether there is such an object.
    allow(&ctx, user, &key).await?;
    let missing = || {
        let why = if ctx.term.lasts() {
            "there is no inventory of this Registry: it was not scanned since the registry-manager started"
        } else {
            "this replica of the registry-manager is not the leader: it has no inventories"
        };
        Refused(StatusCode::NOT_FOUND, why.to_owned())
    };
    let inventory = ctx.inventories.find(&key).ok_or_else(missing)?;
    let page = page(&inventory, wanted.limit, wanted.token.as_deref()).map_err(|error| {
        let code = if error == PageError::Changed { StatusCode::GONE } else { StatusCode::BAD_REQUEST };
        Refused(code, error.to_string())
    })?;
    Ok(axum::Json(page).into_response())
}

/// Who sends the request.
async fn user(ctx: &Context, headers: &HeaderMap) -> Result<UserInfo, Refused> {
    let unauthorized = |message: &str| Refused(StatusCode::UNAUTHORIZED, message.to_owned());
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = value.and_then(|value| value.strip_prefix("Bearer ")).filter(|token| token.len() <= MAX_TOKEN);
    let token = token.ok_or_else(|| unauthorized("a bearer token is required"))?;
    let spec = TokenReviewSpec { token: Some(token.to_owned()), ..TokenReviewSpec::default() };
    let review = TokenReview { spec, ..TokenReview::default() };
    let reviews: Api<TokenReview> = Api::all(ctx.client.clone());
    let status = answered(reviews.create(&PostParams::default(), &review)).await.map_err(unavailable)?.status;
    let status = status.filter(|status| status.authenticated == Some(true));
    status.and_then(|status| status.user).ok_or_else(|| unauthorized("the token is not valid"))
}

/// Whoever may get the Registry may read its inventory.
async fn allow(ctx: &Context, user: UserInfo, key: &ObjectKey) -> Result<(), Refused> {
    let attributes = ResourceAttributes {
        group: Some("registry.kubecontroller.io".to_owned()),
        resource: Some("registries".to_owned()),
        verb: Some("get".to_owned()),
        namespace: Some(key.namespace.clone()),
        name: Some(key.name.clone()),
        ..ResourceAttributes::default()
    };
    let name = user.username.clone().unwrap_or_default();
    let spec = SubjectAccessReviewSpec {
        resource_attributes: Some(attributes),
        user: user.username,
        uid: user.uid,
        groups: user.groups,
        extra: user.extra,
        ..SubjectAccessReviewSpec::default()
    };
    let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
    let reviews: Api<SubjectAccessReview> = Api::all(ctx.client.clone());
    let status = answered(reviews.create(&PostParams::default(), &review)).await.map_err(unavailable)?.status;
    if status.is_some_and(|status| status.allowed) {
        return Ok(());
    }
    Err(Refused(StatusCode::FORBIDDEN, format!("{name} may not get registries.registry.kubecontroller.io {key}")))
}

#[allow(clippy::needless_pass_by_value)] // for map_err
fn unavailable(error: kube::Error) -> Refused {
    tracing::warn!(error = %Cause(&error), "failed to review a request for an inventory");
    Refused(StatusCode::SERVICE_UNAVAILABLE, "the API server did not review the request".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_cross_no_network_in_the_clear() {
        for (address, is_plain) in
            [("127.0.0.1:1", true), ("[::1]:1", true), ("0.0.0.0:1", false), ("[::]:1", false), ("10.0.0.1:1", false)]
        {
            let address = address.parse().unwrap();
            assert_eq!((check(address, false).is_ok(), check(address, true).is_ok()), (is_plain, true), "{address}");
        }
    }

    #[test]
    fn a_page_is_named_by_its_query() {
        let token = Some("5@sha256:0".to_owned());
        assert_eq!(Wanted::parse("limit=5&continue=5%40sha256%3A0&x=y").ok(), Some(Wanted { limit: 5, token }));
        assert_eq!(Wanted::parse("").ok(), Some(Wanted { limit: DEFAULT_LIMIT, token: None }));
        assert_eq!(Wanted::parse("limit=x").err().map(|refused| refused.0), Some(StatusCode::BAD_REQUEST));
    }
}
