//! `Location`: where a registry sends a request on, and whether our credentials go along.

use url::Url;

/// Longer addresses are refused; signed addresses of object stores have about 2 KiB.
const MAX_BYTES: usize = 16 * 1024;

/// A request to send instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Next {
    /// Its address.
    pub url: Url,
    /// Whether it is the host and port that was asked: only there our credentials go.
    pub is_same_host: bool,
}

/// Why a `Location` is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    /// There is none.
    #[error("the answer has no Location")]
    Missing,
    /// It does not parse, is too long, or is no HTTP address.
    #[error("the registry sent an address that is not one of HTTP")]
    Invalid,
    /// It leaves TLS for another host.
    #[error("the registry leads from https to http, which would show everybody what is sent")]
    Downgrade,
}

/// Resolves the `Location` of an answer to a request.
///
/// The same host and port keep `https`: registries behind a proxy that ends TLS send `http` addresses of themselves. Default ports are equal to no port. User information in an address is dropped, never sent.
///
/// # Errors
/// [`LocationError`].
pub fn resolve(request: &Url, location: Option<&str>) -> Result<Next, LocationError> {
    let location = location.map(str::trim).filter(|text| !text.is_empty()).ok_or(LocationError::Missing)?;
    if location.len() > MAX_BYTES {
        return Err(LocationError::Invalid);
    }
    let mut url = request.join(location).map_err(|_| LocationError::Invalid)?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(LocationError::Invalid);
    }
    url.set_fragment(None);
    let is_same_host = is_same_host(request, &url);
    // Neither can fail for an HTTP address with a host.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    if is_same_host && request.scheme() == "https" {
        let _ = url.set_scheme("https");
        let _ = url.set_port(request.port());
    } else if request.scheme() == "https" && url.scheme() == "http" {
        return Err(LocationError::Downgrade);
    }
    Ok(Next { url, is_same_host })
}

/// Whether two addresses are of the same host and port.
pub fn is_same_host(one: &Url, other: &Url) -> bool {
    one.host() == other.host() && is_same_port(one, other)
}

/// `http://host` under `https://host` is the same port, too: a default port follows the scheme.
fn is_same_port(request: &Url, url: &Url) -> bool {
    let is_default = |port: Option<u16>| port.is_none() || matches!(port, Some(80 | 443));
    request.port() == url.port()
        || request.port_or_known_default() == url.port_or_known_default()
        || request.port().is_none() && is_default(url.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(request: &str, location: &str) -> Result<(String, bool), LocationError> {
        let next = resolve(&Url::parse(request).unwrap(), Some(location))?;
        Ok((next.url.to_string(), next.is_same_host))
    }

    #[test]
    fn b06_the_same_host_and_port_keep_scheme_and_credentials() {
        let asked = "https://r.example/v2/a/blobs/uploads/";
        let same = [
            ("https://r.example/v2/x", "https://r.example/v2/x"),
            ("/v2/x?state=1", "https://r.example/v2/x?state=1"),
            ("?state=1", "https://r.example/v2/a/blobs/uploads/?state=1"),
            ("http://r.example/v2/x", "https://r.example/v2/x"),
            ("https://r.example:443/v2/x", "https://r.example/v2/x"),
            ("http://r.example:443/v2/x", "https://r.example/v2/x"),
            ("https://u:p@R.example/v2/x#y", "https://r.example/v2/x"),
            ("//r.example/v2/x", "https://r.example/v2/x"),
        ];
        for (location, expected) in same {
            assert_eq!(resolved(asked, location), Ok((expected.to_owned(), true)), "{location}");
        }
        let upgraded = resolved("http://r.example/v2/", "https://r.example/x");
        assert_eq!(upgraded, Ok(("https://r.example/x".to_owned(), true)));
        let with_port = resolved("https://r.example:5000/v2/", "http://r.example:5000/x");
        assert_eq!(with_port, Ok(("https://r.example:5000/x".to_owned(), true)));
    }

    #[test]
    fn b05_another_host_or_port_gets_no_credentials_and_no_downgrade() {
        let asked = "https://r.example/v2/a/blobs/sha256:0";
        let other = |location| resolved(asked, location);
        assert_eq!(other("https://s3.example/x?sig=1"), Ok(("https://s3.example/x?sig=1".to_owned(), false)));
        assert_eq!(other("https://r.example:8443/x"), Ok(("https://r.example:8443/x".to_owned(), false)));
        assert_eq!(other("https://r.example.evil/x"), Ok(("https://r.example.evil/x".to_owned(), false)));
        assert_eq!(other("http://s3.example/x"), Err(LocationError::Downgrade));
        assert_eq!(resolved("https://r.example:5000/", "http://r.example/x"), Err(LocationError::Downgrade));
        assert_eq!(resolved("http://r.example/", "http://s3.example/"), Ok(("http://s3.example/".to_owned(), false)));
        assert_eq!(
            resolved("http://r.example:5000/", "https://r.example/x"),
            Ok(("https://r.example/x".to_owned(), false))
        );
    }

    #[test]
    fn b06_what_is_no_address_is_refused() {
        let asked = Url::parse("https://r.example/").unwrap();
        assert_eq!(resolve(&asked, None), Err(LocationError::Missing));
        assert_eq!(resolve(&asked, Some(" ")), Err(LocationError::Missing));
        let long = format!("/{}", "x".repeat(MAX_BYTES));
        for location in
            ["ftp://r.example/x", "data:text/plain,x", "file:///etc/passwd", "https://", "https://[::1", &long]
        {
            assert_eq!(resolve(&asked, Some(location)), Err(LocationError::Invalid), "{location}");
        }
    }
}
