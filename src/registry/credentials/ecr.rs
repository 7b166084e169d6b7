//! ECR: who this process is for AWS, and what the two calls that turn that into a password look like. Pure; `auth::ecr` makes
//! the calls.

use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use serde::Deserialize;
use url::form_urlencoded::Serializer;
use url::{Host, Url};

use super::super::address::TrustClass;
use super::super::secret::Secret;
use super::Credential;
use super::sigv4::AwsKeys;

/// Where agents of ECS and EKS answer on each machine.
pub const AGENT_HOSTS: [&str; 3] = ["169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"];
/// However soon a token ends by its own word, it is not renewed more often: clocks are skewed, and moto says 2015.
const MIN_RENEWAL: Duration = Duration::from_mins(10);
/// ECR's tokens are good for this long.
const MAX_LIFETIME: Duration = Duration::from_hours(12);
const DEFAULT_SESSION: &str = "hypermirror";

/// A registry of ECR, by its host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EcrHost {
    /// `eu-west-1`.
    pub region: String,
    /// `amazonaws.com`, `amazonaws.com.cn`, `on.aws`.
    pub domain: String,
}

impl EcrHost {
    /// Reads a host: `ACCOUNT.dkr.ecr.REGION.amazonaws.com`, with `ecr-fips`, in China, and the dual-stack form.
    pub fn parse(host: &str) -> Option<Self> {
        let (account, rest) = host.split_once('.')?;
        let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
        let rest =
            ["dkr.ecr.", "dkr.ecr-fips.", "dkr-ecr.", "dkr-ecr-fips."].iter().find_map(|it| rest.strip_prefix(it))?;
        let (region, domain) = rest.split_once('.')?;
        let is_domain = ["amazonaws.com", "amazonaws.com.cn", "amazonaws.eu", "on.aws", "on.amazonwebservices.com.cn"];
        let is_region = !region.is_empty() && region.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        (is_account && is_region && is_domain.contains(&domain))
            .then(|| Self { region: region.to_owned(), domain: domain.to_owned() })
    }

    /// The domain of APIs: dual-stack registries have the APIs of the others.
    fn api_domain(&self) -> &str {
        match self.domain.as_str() {
            "on.aws" => "amazonaws.com",
            "on.amazonwebservices.com.cn" => "amazonaws.com.cn",
            domain => domain,
        }
    }

    /// Where `GetAuthorizationToken` is.
    pub fn api(&self) -> String {
        format!("https://api.ecr.{}.{}/", self.region, self.api_domain())
    }

    /// Where `AssumeRoleWithWebIdentity` is.
    pub fn sts(&self) -> String {
        format!("https://sts.{}.{}/", self.region, self.api_domain())
    }
}

/// Who this process is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AwsIdentity {
    /// Keys in the environment.
    Keys(AwsKeys),
    /// A token of the cluster that AWS believes (IRSA).
    WebIdentity {
        /// The file with the token.
        token_file: PathBuf,
        /// The role.
        role: String,
        /// Its session's name.
        session: String,
    },
    /// An agent on the machine (EKS Pod Identity, ECS).
    Agent {
        /// Its address.
        url: Url,
        /// The file with the token that it wants.
        token_file: Option<PathBuf>,
    },
}

/// Addresses of APIs that the environment replaces, as in AWS's SDKs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AwsEndpoints {
    /// Of ECR.
    pub ecr: Option<String>,
    /// Of STS.
    pub sts: Option<String>,
}

/// The identity that the environment gives, in the order of AWS's SDKs, and the endpoints. Variables are asked for by name.
///
/// # Errors
/// An agent that is no agent: such an address would be shown the token.
pub fn of_environment(
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<(AwsIdentity, AwsEndpoints)>, &'static str> {
    let get = |name: &str| variable(name).filter(|value| !value.is_empty());
    let all = get("AWS_ENDPOINT_URL");
    let endpoints = AwsEndpoints {
        ecr: get("AWS_ENDPOINT_URL_ECR").or_else(|| all.clone()),
        sts: get("AWS_ENDPOINT_URL_STS").or(all),
    };
    if let (Some(id), Some(secret)) = (get("AWS_ACCESS_KEY_ID"), get("AWS_SECRET_ACCESS_KEY")) {
        let session_token = get("AWS_SESSION_TOKEN").map(Secret::new);
        let keys = AwsKeys { access_key_id: id, secret_access_key: Secret::new(secret), session_token, expires: None };
        return Ok(Some((AwsIdentity::Keys(keys), endpoints)));
    }
    if let (Some(file), Some(role)) = (get("AWS_WEB_IDENTITY_TOKEN_FILE"), get("AWS_ROLE_ARN")) {
        let session = get("AWS_ROLE_SESSION_NAME").unwrap_or_else(|| DEFAULT_SESSION.to_owned());
        return Ok(Some((AwsIdentity::WebIdentity { token_file: file.into(), role, session }, endpoints)));
    }
    let relative = get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    let address = relative.map(|path| format!("http://{}{path}", AGENT_HOSTS[0]));
    let Some(address) = address.or_else(|| get("AWS_CONTAINER_CREDENTIALS_FULL_URI")) else { return Ok(None) };
    let url = Url::parse(&address).ok().filter(is_agent);
    let url = url.ok_or("AWS_CONTAINER_CREDENTIALS_FULL_URI is neither https nor an agent of this machine")?;
    let token_file = get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE").map(PathBuf::from);
    Ok(Some((AwsIdentity::Agent { url, token_file }, endpoints)))
}

fn is_agent(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let is_local =
        TrustClass::of_literal(url) == Some(TrustClass::Loopback) || url.host() == Some(Host::Domain("localhost"));
    url.scheme() == "https" || url.scheme() == "http" && (is_local || AGENT_HOSTS.contains(&host))
}

/// The body of `AssumeRoleWithWebIdentity`, which is not signed: the token is the proof.
pub fn assume_role_form(role: &str, session: &str, token: &Secret) -> String {
    Serializer::new(String::new())
        .append_pair("Action", "AssumeRoleWithWebIdentity")
        .append_pair("Version", "2011-06-15")
        .append_pair("RoleArn", role)
        .append_pair("RoleSessionName", session)
        .append_pair("WebIdentityToken", token.reveal())
        .finish()
}

/// The keys in the XML that STS answers. Its values have no letters that XML escapes.
pub fn keys_of_sts(xml: &str) -> Option<AwsKeys> {
    let element = |name: &str| {
        let rest = xml.split_once(&format!("<{name}>"))?.1;
        Some(rest.split_once(&format!("</{name}>"))?.0.trim().to_owned()).filter(|text| !text.is_empty())
    };
    Some(AwsKeys {
        access_key_id: element("AccessKeyId")?,
        secret_access_key: Secret::new(element("SecretAccessKey")?),
        session_token: element("SessionToken").map(Secret::new),
        expires: element("Expiration").and_then(|text| text.parse().ok()),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AgentKeys {
    access_key_id: String,
    secret_access_key: String,
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    expiration: Option<String>,
}

/// The keys that an agent answers.
pub fn keys_of_agent(json: &[u8]) -> Option<AwsKeys> {
    let keys: AgentKeys = serde_json::from_slice(json).ok()?;
    Some(AwsKeys {
        access_key_id: keys.access_key_id,
        secret_access_key: Secret::new(keys.secret_access_key),
        session_token: keys.token.map(Secret::new),
        expires: keys.expiration.and_then(|text| text.parse().ok()),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Tokens {
    authorization_data: Vec<AuthorizationData>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AuthorizationData {
    authorization_token: String,
    #[serde(default)]
    expires_at: Option<f64>,
}

/// A password of ECR.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EcrPassword {
    /// With the user `AWS`.
    pub credential: Credential,
    /// How long to use it before the next is fetched.
    pub renew_after: Duration,
}

/// The password in what `GetAuthorizationToken` answers.
pub fn password_of(json: &[u8], now: Timestamp) -> Option<EcrPassword> {
    let tokens: Tokens = serde_json::from_slice(json).ok()?;
    let data = tokens.authorization_data.into_iter().next()?;
    let text = String::from_utf8(BASE64_STANDARD.decode(data.authorization_token).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    let now = now.as_duration().as_secs_f64();
    let left = data.expires_at.and_then(|end| Duration::try_from_secs_f64(end - now).ok()).unwrap_or_default();
    // With some time to spare for what is going on with it then.
    let renew_after = (left.min(MAX_LIFETIME) * 3 / 4).max(MIN_RENEWAL);
    Some(EcrPassword { credential: Credential::basic(user, password), renew_after })
}

#[cfg(test)]
mod tests;
