//! Names, judged by the addresses that they have when a connection is made.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::net::lookup_host;

use super::super::address::TrustClass;
use super::super::proxy::Proxies;

/// More hosts than one set of credentials has registries.
const MAX_HOSTS: usize = 10_000;

/// All addresses of a name are in a network that may not be reached.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{host} has only addresses that may not be reached from here, such as one of class {}", class.name())]
pub(super) struct AddressRefused {
    pub host: String,
    pub class: TrustClass,
    pub floor: TrustClass,
}

/// What all resolvers of a transport know.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Of registries, once they were resolved.
    pub classes: Mutex<HashMap<String, TrustClass>>,
    /// Names that are excepted.
    pub trusted: BTreeSet<String>,
    pub proxies: Proxies,
    /// Whether proxies are judged as registries are, because whoever names the registry names them, too.
    pub judges_proxies: bool,
    pub narrowest: Option<TrustClass>,
}

impl Known {
    /// The narrowest network in which a registry may be.
    pub(super) fn narrowest(&self) -> TrustClass {
        self.narrowest.unwrap_or(TrustClass::Loopback)
    }

    pub(super) fn class(&self, host: &str) -> Option<TrustClass> {
        self.classes.lock().unwrap_or_else(PoisonError::into_inner).get(host).copied()
    }

    /// The widest class counts: who answers with an address of each class gains nothing.
    fn note(&self, host: &str, addresses: &[SocketAddr]) {
        let Some(widest) = addresses.iter().map(|address| TrustClass::of(address.ip())).max() else { return };
        let mut classes = self.classes.lock().unwrap_or_else(PoisonError::into_inner);
        if classes.len() >= MAX_HOSTS {
            classes.clear();
        }
        classes.insert(host.to_owned(), widest);
    }
}

/// Resolves names, and leaves out addresses that whoever led here may not lead to.
#[derive(Debug)]
pub(super) struct ClassResolver {
    pub known: Arc<Known>,
    /// The class of the registry that leads here; for the registry itself nothing but link-local is refused.
    pub floor: Option<TrustClass>,
}

impl Resolve for ClassResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (known, floor) = (self.known.clone(), self.floor);
        Box::pin(async move {
            let host = name.as_str();
            // The port is put in by the caller.
            let found: Vec<SocketAddr> = lookup_host((host, 0)).await?.collect();
            let allowed = allowed(&known, host, floor, found)?;
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

fn allowed(
    known: &Known,
    host: &str,
    floor: Option<TrustClass>,
    found: Vec<SocketAddr>,
) -> Result<Vec<SocketAddr>, AddressRefused> {
    let is_proxy = known.proxies.is_proxy(host);
    if known.trusted.contains(host) || is_proxy && !known.judges_proxies {
        known.note(host, &found);
        return Ok(found);
    }
    // No registry leads to a proxy: it is where registries may be.
    let floor = floor.filter(|_| !is_proxy);
    let from = floor.unwrap_or_else(|| known.narrowest());
    let refused = found.iter().map(|address| TrustClass::of(address.ip())).find(|class| !from.may_lead_to(*class));
    let allowed: Vec<_> = found.into_iter().filter(|it| from.may_lead_to(TrustClass::of(it.ip()))).collect();
    if let Some(class) = refused.filter(|_| allowed.is_empty()) {
        return Err(AddressRefused { host: host.to_owned(), class, floor: from });
    }
    if floor.is_none() {
        known.note(host, &allowed);
    }
    Ok(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| SocketAddr::new(text.parse().unwrap(), 0)).collect()
    }

    #[test]
    fn b07_a_name_is_judged_by_its_addresses() {
        let known = Known { trusted: BTreeSet::from(["trusted".to_owned()]), ..Known::default() };
        let floor = Some(TrustClass::Public);
        let both = addresses(&["10.0.0.1", "1.1.1.1", "169.254.169.254"]);
        assert_eq!(allowed(&known, "a", floor, both.clone()).unwrap(), addresses(&["1.1.1.1"]));
        assert_eq!(allowed(&known, "a", None, both.clone()).unwrap(), addresses(&["10.0.0.1", "1.1.1.1"]));
        assert_eq!(known.class("a"), Some(TrustClass::Public), "the widest of a registry's own addresses");
        let refused = allowed(&known, "b", floor, addresses(&["127.0.0.1"])).unwrap_err();
        assert_eq!((refused.class, known.class("b")), (TrustClass::Loopback, None));
        assert!(allowed(&known, "b", None, addresses(&["169.254.169.254"])).is_err(), "link-local never");
        assert_eq!(allowed(&known, "trusted", floor, both.clone()).unwrap(), both);
        assert_eq!(allowed(&known, "nobody", floor, vec![]).unwrap(), []);
    }

    #[test]
    fn b07_registries_and_proxies_that_somebody_else_names_are_in_no_narrower_network_than_allowed() {
        let proxies = Proxies::one("http://proxy:3128", "").unwrap();
        let known = Known {
            narrowest: Some(TrustClass::Private),
            judges_proxies: true,
            proxies: proxies.clone(),
            ..Known::default()
        };
        let own = addresses(&["10.0.0.1"]);
        for host in ["registry", "proxy"] {
            assert_eq!(allowed(&known, host, None, own.clone()).unwrap(), own, "{host}");
            for refused in ["127.0.0.1", "169.254.169.254"] {
                assert!(allowed(&known, host, None, addresses(&[refused])).is_err(), "{host} at {refused}");
            }
        }
        let public = Some(TrustClass::Public);
        assert_eq!(allowed(&known, "proxy", public, own.clone()).unwrap(), own, "nothing leads to a proxy");
        let ours = Known { proxies, ..Known::default() };
        assert!(allowed(&ours, "proxy", public, addresses(&["127.0.0.1"])).is_ok(), "ours is where we say");
    }
}
