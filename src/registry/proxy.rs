//! Proxies: from the environment, or from an object's own Secret.

use std::fmt;
use std::net::IpAddr;

use url::{Host, Url};

/// Which proxy is used for which address. With the rules of Go's `golang.org/x/net/http/httpproxy`, which everything
/// around us follows: OpenShift's cluster-wide proxy, CRI-O, skopeo.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Proxies {
    http: Option<Url>,
    https: Option<Url>,
    exceptions: Vec<Exception>,
}

/// Why a proxy's address is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid proxy address for {0}: give http://HOST:PORT or https://HOST:PORT")]
pub struct ProxyError(&'static str);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Exception {
    All,
    /// A network, and the port if one is named.
    Network {
        address: IpAddr,
        prefix: u8,
        port: Option<u16>,
    },
    /// A domain: of `.example.com` only names below it, of `example.com` itself, too.
    Domain {
        suffix: String,
        is_itself: bool,
        port: Option<u16>,
    },
}

impl fmt::Debug for Proxies {
    /// An address of a proxy may have a password in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = |url: &Option<Url>| url.as_ref().and_then(Url::host_str).map(str::to_owned);
        f.debug_struct("Proxies")
            .field("http", &host(&self.http))
            .field("https", &host(&self.https))
            .finish_non_exhaustive()
    }
}

impl Proxies {
    /// Those of the environment, asked for by name: `HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`, and the same in lower case.
    ///
    /// # Errors
    /// [`ProxyError`] names the variable, and not its value: that may have a password in it.
    pub fn of_environment(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ProxyError> {
        let get = |name: &str| {
            let value = variable(name).or_else(|| variable(&name.to_lowercase()));
            value.filter(|value| !value.trim().is_empty())
        };
        Ok(Self {
            http: get("HTTP_PROXY").map(|text| address(&text, "HTTP_PROXY")).transpose()?,
            https: get("HTTPS_PROXY").map(|text| address(&text, "HTTPS_PROXY")).transpose()?,
            exceptions: exceptions(&get("NO_PROXY").unwrap_or_default()),
        })
    }

    /// One proxy for everything but `no_proxy`, with the form of `NO_PROXY`.
    ///
    /// # Errors
    /// [`ProxyError`].
    pub fn one(proxy: &str, no_proxy: &str) -> Result<Self, ProxyError> {
        let proxy = address(proxy, "the object")?;
        Ok(Self { http: Some(proxy.clone()), https: Some(proxy), exceptions: exceptions(no_proxy) })
    }

    /// The proxy for an address.
    pub fn of(&self, url: &Url) -> Option<&Url> {
        let proxy = if url.scheme() == "https" { self.https.as_ref() } else { self.http.as_ref() }?;
        let port = url.port_or_known_default();
        let is_direct = match url.host()? {
            Host::Domain(name) => name == "localhost" || self.exceptions.iter().any(|it| it.has_name(name, port)),
            Host::Ipv4(address) => self.is_direct_address(address.into(), port),
            Host::Ipv6(address) => self.is_direct_address(address.into(), port),
        };
        (!is_direct).then_some(proxy)
    }

    fn is_direct_address(&self, address: IpAddr, port: Option<u16>) -> bool {
        address.is_loopback() || self.exceptions.iter().any(|exception| exception.has_address(address, port))
    }

    /// Whether a name is that of a proxy: it is asked for because of our configuration, not of a registry.
    pub fn is_proxy(&self, host: &str) -> bool {
        [&self.http, &self.https].into_iter().flatten().any(|proxy| proxy.host_str() == Some(host))
    }
}

fn address(text: &str, place: &'static str) -> Result<Url, ProxyError> {
    let text = text.trim();
    let with_scheme = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let url = Url::parse(&with_scheme).map_err(|_| ProxyError(place))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(ProxyError(place));
    }
    Ok(url)
}

fn exceptions(text: &str) -> Vec<Exception> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(exception).collect()
}

fn exception(text: &str) -> Exception {
    if text == "*" {
        return Exception::All;
    }
    if let Some((address, prefix)) = text.split_once('/')
        && let (Ok(address), Ok(prefix)) = (address.parse::<IpAddr>(), prefix.parse::<u8>())
    {
        return Exception::Network { address, prefix, port: None };
    }
    if let Ok(address) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
        return Exception::Network { address, prefix: 128, port: None };
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().ok()),
        None => (text, None),
    };
    if let Ok(address) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
        return Exception::Network { address, prefix: 128, port };
    }
    let name = host.strip_prefix('*').unwrap_or(host).to_ascii_lowercase();
    let is_itself = !name.starts_with('.');
    Exception::Domain { suffix: format!(".{}", name.trim_start_matches('.')), is_itself, port }
}

impl Exception {
    fn has_name(&self, name: &str, asked: Option<u16>) -> bool {
        match self {
            Self::All => true,
            Self::Network { .. } => false,
            Self::Domain { suffix, is_itself, port } => {
                let is_below = name.ends_with(suffix.as_str()) || *is_itself && name == &suffix[1..];
                is_below && port.is_none_or(|port| Some(port) == asked)
            }
        }
    }

    fn has_address(&self, asked: IpAddr, asked_port: Option<u16>) -> bool {
        match self {
            Self::All => true,
            Self::Domain { .. } => false,
            Self::Network { address, prefix, port } => {
                is_in_network(asked, *address, *prefix) && port.is_none_or(|port| Some(port) == asked_port)
            }
        }
    }
}

fn is_in_network(asked: IpAddr, network: IpAddr, prefix: u8) -> bool {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(address) => (u128::from(u32::from(address)) << 96, 32),
        IpAddr::V6(address) => (u128::from(address), 128),
    };
    let ((asked_bits, length), (network_bits, network_length)) = (bits(asked), bits(network));
    let shift = 128 - u32::from(prefix.min(length));
    length == network_length && (shift == 128 || asked_bits >> shift == network_bits >> shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(variables: &'static [(&str, &str)]) -> Proxies {
        let get = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        Proxies::of_environment(get).unwrap()
    }

    fn proxy_of(proxies: &Proxies, url: &str) -> Option<String> {
        proxies.of(&Url::parse(url).unwrap()).map(ToString::to_string)
    }

    #[test]
    fn no_proxy_follows_the_rules_of_go() {
        let both = proxies(&[
            ("https_proxy", "proxy.corp:3128"),
            ("HTTP_PROXY", "http://u:p@plain.corp:8080"),
            ("NO_PROXY", "r.corp, .svc,10.0.0.0/8,*.wild.corp,192.0.2.1:5000,port.corp:8443,fd00::/8"),
        ]);
        let direct = [
            "https://r.corp/",
            "https://a.r.corp/",
            "https://a.svc/",
            "https://10.2.3.4/",
            "https://a.wild.corp/",
            "https://192.0.2.1:5000/",
            "https://port.corp:8443/",
            "https://[fd00::1]:5000/",
            "https://localhost/",
            "http://127.0.0.1:5000/",
            "http://[::1]/",
        ];
        for url in direct {
            assert_eq!(proxy_of(&both, url), None, "{url}");
        }
        for url in [
            "https://svc/",
            "https://xr.corp/",
            "https://11.0.0.1/",
            "https://192.0.2.1/",
            "https://port.corp/",
            "https://[fe00::1]/",
        ] {
            assert_eq!(proxy_of(&both, url).as_deref(), Some("http://proxy.corp:3128/"), "{url}");
        }
        assert_eq!(proxy_of(&both, "http://a.example/").as_deref(), Some("http://u:p@plain.corp:8080/"));
        assert!(!format!("{both:?}").contains("u:p"));
        assert_eq!(proxy_of(&proxies(&[("HTTPS_PROXY", "p:1"), ("NO_PROXY", "*")]), "https://a.example/"), None);
        assert_eq!(proxy_of(&proxies(&[]), "https://a.example/"), None);
    }

    #[test]
    fn a_proxys_password_is_in_no_message() {
        let get = |name: &str| (name == "HTTPS_PROXY").then(|| "socks5://u:canary@p:1".to_owned());
        let error = Proxies::of_environment(get).unwrap_err();
        assert!(error.to_string().contains("HTTPS_PROXY") && !error.to_string().contains("canary"), "{error}");
        assert!(Proxies::one("http://p:1", "").unwrap().is_proxy("p"));
    }
}
