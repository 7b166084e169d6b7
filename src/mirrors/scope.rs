//! What a source covers, and which of several sources an image name selects.
//!
//! The one matcher: exactly what a node does with the prefixes of registries.conf
//! (`containers/image`, `pkg/sysregistriesv2/system_registries_v2.go`), its quirks included:
//!
//! * `example.com` also matches `example.com:5000/app`, which the source there calls unintended;
//! * the longest prefix wins by its bytes, the `*.` counted, and of two equally long ones the first in byte order: so
//!   `*.example.test` beats `a.example.test`;
//! * names are compared without tag and digest, so a prefix with one of them matches no image;
//! * names are compared byte by byte, so a host in another case is another host.

use std::borrow::Cow;
use std::cmp::Reverse;

/// The source of an entry or the prefix of a table: `host[:port][/path]` or `*.host`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope<'a>(&'a str);

impl<'a> Scope<'a> {
    /// Takes any text; see [`Self::is_valid`].
    pub const fn new(text: &'a str) -> Self {
        Self(text)
    }

    /// The text.
    pub const fn as_str(self) -> &'a str {
        self.0
    }

    /// Whether a table may have this prefix (`openshift/runtime-utils`, `IsValidRegistriesConfScope`): not empty, and a `*`
    /// only in a leading `*.` of a host without port and path.
    pub fn is_valid(self) -> bool {
        match self.0.strip_prefix("*.") {
            Some(host) => !host.contains(['/', '@', ':', '*']),
            None => !self.0.is_empty() && !self.0.contains('*'),
        }
    }

    /// Whether it stands for all subdomains of a host.
    pub fn is_wildcard(self) -> bool {
        self.0.starts_with("*.")
    }

    /// `host[:port]`; of a wildcard the `*.` too.
    pub fn registry(self) -> &'a str {
        self.0.split_once('/').map_or(self.0, |(registry, _)| registry)
    }

    /// The host without its port.
    pub fn host(self) -> &'a str {
        self.split_port().0
    }

    /// The port's text.
    pub fn port(self) -> Option<&'a str> {
        self.split_port().1
    }

    fn split_port(self) -> (&'a str, Option<&'a str>) {
        match self.registry().rsplit_once(':') {
            // The colons of an IPv6 address stand before its bracket.
            Some((host, port)) if !port.contains(']') => (host, Some(port)),
            _ => (self.registry(), None),
        }
    }

    /// What follows the registry, without the slash between them.
    pub fn path(self) -> Option<&'a str> {
        self.0.split_once('/').map(|(_, path)| path)
    }

    /// Whether all that this scope covers is covered by the other one (`openshift/runtime-utils`,
    /// `ScopeIsNestedInsideScope`). Unlike [`match_len`] this tells ports apart: `quay.io:443` is not inside `quay.io`.
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

/// How many bytes of an image name (`registry/path`, see [`super::ImageReference::name`]) a scope covers, if it matches
/// (`refMatchingPrefix`): of a wildcard these are the bytes of the whole host.
pub fn match_len(scope: &str, name: &str) -> Option<usize> {
    let end = match scope.strip_prefix('*').filter(|domain| domain.starts_with('.')) {
        // The first place only, as there: `*.a.io` does not match `x.a.io.a.io`.
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

/// The scope that an image name selects, with the number of bytes that it covers; the order of scopes does not matter.
pub fn best_match<'s>(scopes: impl IntoIterator<Item = &'s str>, name: &str) -> Option<(&'s str, usize)> {
    let matching = scopes.into_iter().filter_map(|scope| match_len(scope, name).map(|len| (scope, len)));
    matching.max_by_key(|(scope, _)| (scope.len(), Reverse(*scope)))
}

/// Beyond this nothing is a scope of an image: a host has at most 255 bytes, and a path as many.
const LONGEST_SCOPE: usize = 1024;

/// [`best_match`] among many valid scopes: `contains` tells whether one is there, and is asked once for each boundary of
/// the name. An outer scope of a scope is found by passing the scope as the name and refusing itself. What is longer than any
/// image name is found as a whole only: a text of a megabyte may have half a million boundaries.
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
