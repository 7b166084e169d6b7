//! Matches image names against sources.
//!
//! All code uses this matcher. It does exactly what a node does with the prefixes of registries.conf
//! (`containers/image`, `pkg/sysregistriesv2/system_registries_v2.go`), including the following details:
//!
//! * `example.com` also matches `example.com:5000/app`, which a comment upstream calls unintended;
//! * the longest prefix matches, measured in bytes including `*.`. Of two with the same length, the first in byte order
//!   matches: `*.example.test` takes precedence over `a.example.test`;
//! * names are compared without tag and digest, so a prefix with one of them matches no image;
//! * names are compared byte by byte, so upper and lower case of a host differ.

use std::borrow::Cow;
use std::cmp::Reverse;

/// The source of an entry or the prefix of a table: `host[:port][/path]` or `*.host`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope<'a>(&'a str);

impl<'a> Scope<'a> {
    /// Accepts any text; see [`Self::is_valid`].
    pub const fn new(text: &'a str) -> Self {
        Self(text)
    }

    /// The text.
    pub const fn as_str(self) -> &'a str {
        self.0
    }

    /// Whether a table may have this prefix (`openshift/runtime-utils`, `IsValidRegistriesConfScope`): not empty, and a
    /// `*` only in a leading `*.` of a host without port and path.
    pub fn is_valid(self) -> bool {
        match self.0.strip_prefix("*.") {
            Some(host) => !host.contains(['/', '@', ':', '*']),
            None => !self.0.is_empty() && !self.0.contains('*'),
        }
    }

    /// Whether it matches all subdomains of a host.
    pub fn is_wildcard(self) -> bool {
        self.0.starts_with("*.")
    }

    /// `host[:port]`, including the `*.` of a wildcard.
    pub fn registry(self) -> &'a str {
        self.0.split_once('/').map_or(self.0, |(registry, _)| registry)
    }

    /// The host without its port.
    pub fn host(self) -> &'a str {
        self.split_port().0
    }

    /// The port, as text.
    pub fn port(self) -> Option<&'a str> {
        self.split_port().1
    }

    fn split_port(self) -> (&'a str, Option<&'a str>) {
        match self.registry().rsplit_once(':') {
            // The colons of an IPv6 address are before its closing bracket.
            Some((host, port)) if !port.contains(']') => (host, Some(port)),
            _ => (self.registry(), None),
        }
    }

    /// The part after the registry, without the slash.
    pub fn path(self) -> Option<&'a str> {
        self.0.split_once('/').map(|(_, path)| path)
    }

    /// Whether the other scope covers everything that this scope covers (`openshift/runtime-utils`,
    /// `ScopeIsNestedInsideScope`). Unlike [`match_len`], it distinguishes ports: `quay.io:443` is not nested in
    /// `quay.io`.
    pub fn is_nested_inside(self, outer: Scope<'_>) -> bool {
        let (inner, outer) = (self.0, outer.0);
        if inner == outer || inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/')) {
            return true;
        }
        let Some(domain) = outer.strip_prefix('*').filter(|domain| domain.starts_with('.')) else { return false };
        match inner.split_once(':') {
            Some((host, _)) => host.ends_with(domain) && !host.contains('/'),
            None => self.registry().ends_with(domain),
        }
    }
}

/// The number of bytes of an image name (`registry/path`, see [`super::ImageReference::name`]) that a scope covers, if
/// it matches (`refMatchingPrefix`). A wildcard covers the whole host.
pub fn match_len(scope: &str, name: &str) -> Option<usize> {
    let end = match scope.strip_prefix('*').filter(|domain| domain.starts_with('.')) {
        // As upstream, only the first occurrence counts: `*.a.io` does not match `x.a.io.a.io`.
        Some(domain) => match name.find(domain) {
            Some(start) if !name.get(..start)?.contains('/') => start + domain.len(),
            _ => return None,
        },
        None if scope.is_empty() || !name.starts_with(scope) => return None,
        None => scope.len(),
    };
    let rest = name.get(end..)?;
    (rest.is_empty() || rest.starts_with(['/', ':', '@'])).then_some(end)
}

/// The scope that matches an image name, and the number of bytes that it covers. The order of scopes does not matter.
pub fn best_match<'s>(scopes: impl IntoIterator<Item = &'s str>, name: &str) -> Option<(&'s str, usize)> {
    let matching = scopes.into_iter().filter_map(|scope| match_len(scope, name).map(|len| (scope, len)));
    matching.max_by_key(|(scope, _)| (scope.len(), Reverse(*scope)))
}

/// Longer texts match no image: a host has at most 255 bytes, and a path as well.
const LONGEST_SCOPE: usize = 1024;

/// [`best_match`] among many valid scopes. `contains` returns whether a scope exists and is called once for each
/// boundary of the name. To find the outer scope of a scope, pass the scope as the name and exclude it in `contains`. A
/// text that is longer than any image name matches only as a whole, because a text of a megabyte can have half a
/// million boundaries.
pub fn best_match_in(name: &str, contains: impl Fn(&str) -> bool) -> Option<(String, usize)> {
    let boundaries = name.match_indices(['/', ':', '@']).map(|(end, _)| end);
    let boundaries = boundaries.take_while(|end| *end <= LONGEST_SCOPE).chain([name.len()]);
    let plain = boundaries.filter_map(|end| name.get(..end)).map(Cow::Borrowed);
    let host = name.split(['/', ':']).next().filter(|host| host.len() <= LONGEST_SCOPE).unwrap_or_default();
    let wildcards =
        host.match_indices('.').filter_map(|(dot, _)| host.get(dot..)).map(|domain| Cow::Owned(format!("*{domain}")));
    let there = plain.chain(wildcards).filter(|scope| contains(scope));
    let matching = there.filter_map(|scope| match_len(&scope, name).map(|len| (scope, len)));
    let best = matching.max_by(|(a, _), (b, _)| a.len().cmp(&b.len()).then_with(|| b.cmp(a)));
    best.map(|(scope, len)| (scope.into_owned(), len))
}

#[cfg(test)]
mod tests;
