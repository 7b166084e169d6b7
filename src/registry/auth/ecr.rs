//! Passwords of ECR, fetched in-process: no program is run, and nothing but two calls to AWS is made.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use jiff::Timestamp;
use tokio::fs;
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::Instant;
use url::Url;

use super::super::credentials::Credential;
use super::super::credentials::ecr::{
    AGENT_HOSTS, AwsEndpoints, AwsIdentity, EcrHost, EcrPassword, assume_role_form, keys_of_agent, keys_of_sts,
    password_of,
};
use super::super::credentials::sigv4::{self, AwsKeys, amz_date};
use super::super::error::{Cause, Party, Refusal};
use super::super::proxy::Proxies;
use super::super::refusal::refusal;
use super::super::secret::Secret;
use super::super::transport::tls::TlsError;
use super::super::transport::{Answer, Request, Transport, TransportOptions, host_and_port};
use super::super::wire::error_body::ErrorBody;

const MAX_ANSWER: usize = 64 * 1024;
/// The longest session of a role.
const MAX_KEYS: Duration = Duration::from_hours(12);
const GET_TOKEN: &str = "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken";
const CREATE: &str = "AmazonEC2ContainerRegistry_V20150921.CreateRepository";
/// Somebody else created it meanwhile.
const EXISTS: &str = "RepositoryAlreadyExistsException";
const JSON: &str = "application/x-amz-json-1.1";
const DATE_HEADER: &str = "x-amz-date";
const TARGET_HEADER: &str = "x-amz-target";
const TOKEN_HEADER: &str = "x-amz-security-token";

/// What was fetched for one region. Whoever needs it waits for the one who fetches it.
#[derive(Debug, Default)]
struct Held {
    password: Option<(EcrPassword, Instant)>,
    /// Keys that end, and when the next are fetched.
    keys: Option<(AwsKeys, Instant)>,
}

type Slot = Arc<AsyncMutex<Held>>;

/// Fetches passwords for the identity of this process, one at a time for each region.
#[derive(Debug)]
pub struct Ecr {
    identity: AwsIdentity,
    endpoints: AwsEndpoints,
    aws: Transport,
    /// Agents are on the machine: no proxy knows them, and their addresses are link-local.
    agent: Transport,
    held: Mutex<HashMap<EcrHost, Slot>>,
}

impl Ecr {
    /// For an identity of the environment.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn new(identity: AwsIdentity, endpoints: AwsEndpoints, proxies: Proxies) -> Result<Self, TlsError> {
        let trusted_hosts = AGENT_HOSTS.into_iter().map(str::to_owned).collect();
        Ok(Self {
            identity,
            endpoints,
            aws: Transport::new(TransportOptions { proxies, ..TransportOptions::default() })?,
            agent: Transport::new(TransportOptions { trusted_hosts, ..TransportOptions::default() })?,
            held: Mutex::default(),
        })
    }

    /// The credential for a registry.
    ///
    /// # Errors
    /// AWS did not give one.
    pub async fn credential(&self, host: &EcrHost) -> Result<Credential, Cause> {
        let slot = self.slot(host);
        let mut held = slot.lock().await;
        if let Some((password, since)) = &held.password
            && since.elapsed() < password.renew_after
        {
            return Ok(password.credential.clone());
        }
        let keys = self.keys(host, &mut held).await?;
        let password = self.password(host, &keys).await?;
        let credential = password.credential.clone();
        held.password = Some((password, Instant::now()));
        Ok(credential)
    }

    fn slot(&self, host: &EcrHost) -> Slot {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).entry(host.clone()).or_default().clone()
    }

    /// Creates a repository in an account. One that is there already is fine.
    ///
    /// # Errors
    /// AWS did not create it.
    pub async fn create_repository(&self, host: &EcrHost, account: &str, path: &str) -> Result<(), Cause> {
        let keys = self.keys(host, &mut *self.slot(host).lock().await).await?;
        let url = endpoint(self.endpoints.ecr.as_deref(), &host.api())?;
        let body = serde_json::json!({ "registryId": account, "repositoryName": path }).to_string();
        let call = Call { name: CREATE, body: body.into() };
        let request = signed(&url, &keys, &host.region, &amz_date(Timestamp::now()), &call)?;
        let answer = self.aws.exchange(&url, &request).await?;
        if answer.status.is_success() {
            return Ok(());
        }
        let status = answer.status.as_u16();
        let host = answer.host.clone();
        let text = answer.beginning(MAX_ANSWER).await;
        let text = String::from_utf8_lossy(&text);
        if text.contains(EXISTS) {
            return Ok(());
        }
        let message = ErrorBody::parse(text.as_bytes()).message;
        let hint = Some("the AWS identity needs ecr:CreateRepository");
        let by = Party::TokenServer(host);
        Err(Cause::Refused(Refusal { by, status, code: None, message, hint, retry_after: None }))
    }

    /// Keys of the identity: many repositories that are created one after another need one call.
    async fn keys(&self, host: &EcrHost, held: &mut Held) -> Result<AwsKeys, Cause> {
        if let Some((keys, until)) = &held.keys
            && Instant::now() < *until
        {
            return Ok(keys.clone());
        }
        let keys = self.new_keys(host).await?;
        let left = keys.expires.map(|end| Duration::try_from(end.duration_since(Timestamp::now())));
        if let Some(left) = left.and_then(Result::ok) {
            held.keys = Some((keys.clone(), Instant::now() + left.min(MAX_KEYS) * 3 / 4));
        }
        Ok(keys)
    }

    async fn new_keys(&self, host: &EcrHost) -> Result<AwsKeys, Cause> {
        match &self.identity {
            AwsIdentity::Keys(keys) => Ok(keys.clone()),
            AwsIdentity::WebIdentity { token_file, role, session } => {
                let token = read(token_file).await?;
                let url = endpoint(self.endpoints.sts.as_deref(), &host.sts())?;
                let mut request = Request::new(Method::POST, url.clone());
                let form = HeaderValue::from_static("application/x-www-form-urlencoded");
                request.headers.insert(CONTENT_TYPE, form);
                request.body = Some(Bytes::from(assume_role_form(role, session, &token)));
                let body = body(self.aws.exchange(&url, &request).await?).await?;
                keys_of_sts(&String::from_utf8_lossy(&body)).ok_or_else(|| invalid(&url))
            }
            AwsIdentity::Agent { url, token_file } => {
                let mut request = Request::new(Method::GET, url.clone());
                if let Some(file) = token_file {
                    request.authorization = Some(read(file).await?);
                }
                let body = body(self.agent.exchange(url, &request).await?).await?;
                keys_of_agent(&body).ok_or_else(|| invalid(url))
            }
        }
    }

    async fn password(&self, host: &EcrHost, keys: &AwsKeys) -> Result<EcrPassword, Cause> {
        let url = endpoint(self.endpoints.ecr.as_deref(), &host.api())?;
        let call = Call { name: GET_TOKEN, body: Bytes::from_static(b"{}") };
        let request = signed(&url, keys, &host.region, &amz_date(Timestamp::now()), &call)?;
        let body = body(self.aws.exchange(&url, &request).await?).await?;
        password_of(&body, Timestamp::now()).ok_or_else(|| invalid(&url))
    }
}

/// A call of ECR's API.
struct Call {
    name: &'static str,
    body: Bytes,
}

fn signed(url: &Url, keys: &AwsKeys, region: &str, date: &str, call: &Call) -> Result<Request, Cause> {
    let host = host_and_port(url);
    let mut headers = vec![("content-type", JSON), ("host", host.as_str()), (DATE_HEADER, date)];
    if let Some(token) = &keys.session_token {
        headers.push((TOKEN_HEADER, token.reveal()));
    }
    headers.push((TARGET_HEADER, call.name));
    let signed = sigv4::Request { method: "POST", path: "/", query: "", headers: &headers, body: &call.body };
    let authorization = sigv4::authorization(keys, date, region, "ecr", &signed);
    let mut request = Request::new(Method::POST, url.clone());
    for (name, value) in headers.into_iter().filter(|(name, _)| *name != "host") {
        let unusable =
            |_| Cause::Credentials("the AWS session token has characters that no header can have".to_owned());
        let mut value = HeaderValue::from_str(value).map_err(unusable)?;
        value.set_sensitive(name == TOKEN_HEADER);
        request.headers.insert(HeaderName::from_static(name), value);
    }
    request.headers.remove(AUTHORIZATION);
    request.authorization = Some(Secret::new(authorization));
    request.body = Some(call.body.clone());
    Ok(request)
}

fn endpoint(replaced: Option<&str>, usual: &str) -> Result<Url, Cause> {
    let text = replaced.unwrap_or(usual);
    Url::parse(text).map_err(|_| Cause::Credentials(format!("the AWS endpoint {text:?} is not an address")))
}

async fn body(answer: Answer) -> Result<Bytes, Cause> {
    if answer.status.is_success() {
        return answer.body("answer of AWS", MAX_ANSWER).await;
    }
    let by = Party::TokenServer(answer.host.clone());
    Err(refusal(answer, by, None).await)
}

fn invalid(url: &Url) -> Cause {
    Cause::Invalid { what: "one of AWS", message: format!("{} sent something else", host_and_port(url)) }
}

async fn read(file: &Path) -> Result<Secret, Cause> {
    let text = fs::read_to_string(file).await;
    let unreadable = |error: std::io::Error| Cause::Credentials(format!("failed to read {}: {error}", file.display()));
    Ok(Secret::new(text.map_err(unreadable)?.trim()))
}

#[cfg(test)]
mod tests;
