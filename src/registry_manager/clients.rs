//! Clients of registries. Objects share connections only with the same certificates and proxy, tokens and paces only within a
//! namespace, and contents only with the same credential.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use hypermirror_api::RegistryReason;

use super::access::Access;
use super::agenda::ObjectKey;
use super::secrets::Certificates;
use super::status::ScanFailure;
use crate::registry::address::TrustClass;
use crate::registry::client::OnLimit;
use crate::registry::policy::PolicyOptions;
use crate::registry::proxy::Proxies;
use crate::registry::scan::ContentCache;
use crate::registry::transport::tls::{TlsError, TlsOptions};
use crate::registry::transport::{Observer, Transport, TransportOptions};
use crate::registry::wire::digest::{Algorithm, Digest, Hasher};
use crate::registry::{Client, Credential};

/// Contents that are remembered of connections with own certificates or an own proxy, about 2 KiB each.
const OWN_CONTENTS: usize = 1_000;

/// What connections depend on.
#[derive(Clone, PartialEq, Eq, Hash)]
struct TransportKey {
    certificates: Digest,
    skips_verification: bool,
    proxies: Option<Proxies>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct ReaderKey {
    transport: TransportKey,
    /// Nobody's, if there is no credential: then a registry sees one address with one budget.
    namespace: Option<String>,
    policy: PolicyOptions,
}

/// Connections and what was read over them.
struct Connections {
    transport: Transport,
    contents: Arc<ContentCache>,
}

/// A client for one scan after another.
pub struct Reader {
    /// The client.
    pub client: Client,
    /// What it read before.
    pub contents: Arc<ContentCache>,
    _connections: Arc<Connections>,
}

#[derive(Default)]
struct Held {
    transports: HashMap<TransportKey, Weak<Connections>>,
    readers: HashMap<ReaderKey, Weak<Reader>>,
    /// As long as an object exists, what it uses stays.
    in_use: HashMap<ObjectKey, Arc<Reader>>,
}

/// All clients.
pub struct Clients {
    environment: Proxies,
    narrowest: TrustClass,
    observer: Observer,
    limits: OnLimit,
    shared: Arc<ContentCache>,
    held: Mutex<Held>,
}

impl Clients {
    /// With the proxies of the environment, for registries in no narrower network.
    pub fn new(environment: Proxies, narrowest: TrustClass, observer: Observer) -> Self {
        let limits: OnLimit = Arc::new(|_, _| {});
        Self { environment, narrowest, observer, limits, shared: Arc::default(), held: Mutex::default() }
    }

    /// Calls this function with each budget that a registry announces.
    #[must_use]
    pub fn telling(self, limits: OnLimit) -> Self {
        Self { limits, ..self }
    }

    /// The narrowest network in which registries may be.
    pub const fn narrowest(&self) -> TrustClass {
        self.narrowest
    }

    /// The client of an object, kept until [`Self::release`].
    ///
    /// # Errors
    /// [`RegistryReason::SecretInvalid`] for certificates that cannot be used.
    pub fn reader(
        &self,
        key: &ObjectKey,
        access: &Access,
        credential: &Credential,
        skips_verification: bool,
        policy: PolicyOptions,
    ) -> Result<Arc<Reader>, ScanFailure> {
        let reader = self.open(&key.namespace, access, credential, skips_verification, policy)?;
        self.held().in_use.insert(key.clone(), reader.clone());
        Ok(reader)
    }

    /// A client for somebody in this namespace. Whoever wants to use it again keeps it.
    ///
    /// # Errors
    /// [`RegistryReason::SecretInvalid`] for certificates that cannot be used.
    pub fn open(
        &self,
        namespace: &str,
        access: &Access,
        credential: &Credential,
        skips_verification: bool,
        policy: PolicyOptions,
    ) -> Result<Arc<Reader>, ScanFailure> {
        let transport = TransportKey {
            certificates: digest(&access.certificates),
            skips_verification,
            proxies: access.proxies.clone(),
        };
        let namespace = (!credential.is_anonymous()).then(|| namespace.to_owned());
        let reader_key = ReaderKey { transport, namespace, policy };
        let mut held = self.held();
        let known = held.readers.get(&reader_key).and_then(Weak::upgrade);
        match known {
            Some(reader) => Ok(reader),
            None => self.make(&mut held, &reader_key, access),
        }
    }

    /// Drops what only this object used.
    pub fn release(&self, key: &ObjectKey) {
        let mut held = self.held();
        held.in_use.remove(key);
        held.readers.retain(|_, reader| reader.strong_count() > 0);
        held.transports.retain(|_, transport| transport.strong_count() > 0);
    }

    fn make(&self, held: &mut Held, key: &ReaderKey, access: &Access) -> Result<Arc<Reader>, ScanFailure> {
        let known = held.transports.get(&key.transport).and_then(Weak::upgrade);
        let connections = if let Some(connections) = known {
            connections
        } else {
            let made = Arc::new(self.connect(&key.transport, access)?);
            held.transports.retain(|_, transport| transport.strong_count() > 0);
            held.transports.insert(key.transport.clone(), Arc::downgrade(&made));
            made
        };
        let reader = Arc::new(Reader {
            client: Client::telling(connections.transport.clone(), key.policy, self.limits.clone()),
            contents: connections.contents.clone(),
            _connections: connections,
        });
        held.readers.retain(|_, reader| reader.strong_count() > 0);
        held.readers.insert(key.clone(), Arc::downgrade(&reader));
        Ok(reader)
    }

    fn connect(&self, key: &TransportKey, access: &Access) -> Result<Connections, ScanFailure> {
        let refused = |error: TlsError| ScanFailure::new(RegistryReason::SecretInvalid, error.to_string());
        let Certificates { authorities, identity } = &access.certificates;
        let mut tls = TlsOptions::default();
        if let Some(pem) = authorities {
            tls.add_authorities(pem).map_err(refused)?;
        }
        if let Some((certificate, private_key)) = identity {
            tls.set_identity(certificate, private_key).map_err(refused)?;
        }
        if key.skips_verification {
            tls.skip_verification();
        }
        let is_own = key.proxies.is_some();
        let options = TransportOptions {
            tls,
            proxies: key.proxies.clone().unwrap_or_else(|| self.environment.clone()),
            narrowest: Some(self.narrowest),
            // Those of the environment are the administrator's.
            judges_proxies: is_own,
            observer: Some(self.observer.clone()),
            ..TransportOptions::default()
        };
        let is_usual = !is_own && !key.skips_verification && access.certificates == Certificates::default();
        // Somebody else's proxy answers in the name of every registry.
        let contents = if is_usual { self.shared.clone() } else { Arc::new(ContentCache::with_capacity(OWN_CONTENTS)) };
        Ok(Connections { transport: Transport::new(options).map_err(refused)?, contents })
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Of certificates with their key: the key itself is not kept in a map.
fn digest(certificates: &Certificates) -> Digest {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    let identity = certificates.identity.as_ref();
    let parts = [certificates.authorities.as_ref(), identity.map(|pair| &pair.0), identity.map(|pair| &pair.1)];
    for part in parts {
        let bytes = part.map(Vec::as_slice).unwrap_or_default();
        // With their lengths: no two run together to the same bytes.
        hasher.update(&(bytes.len() as u64).to_be_bytes());
        hasher.update(bytes);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clients() -> Clients {
        Clients::new(Proxies::default(), TrustClass::Private, Observer::new(|_| {}))
    }

    fn key(namespace: &str, name: &str) -> ObjectKey {
        ObjectKey { namespace: namespace.to_owned(), name: name.to_owned() }
    }

    fn reader(clients: &Clients, key: &ObjectKey, access: &Access, credential: &Credential) -> Arc<Reader> {
        clients.reader(key, access, credential, false, PolicyOptions::default()).unwrap()
    }

    #[test]
    fn a_credential_of_one_namespace_has_a_client_of_its_own() {
        let (clients, access) = (clients(), Access::default());
        let secret = Credential::basic("u", "p");
        let one = reader(&clients, &key("a", "one"), &access, &secret);
        assert!(Arc::ptr_eq(&one, &reader(&clients, &key("a", "two"), &access, &secret)));
        assert!(!Arc::ptr_eq(&one, &reader(&clients, &key("b", "one"), &access, &secret)));
        let anonymous = reader(&clients, &key("a", "three"), &access, &Credential::Anonymous);
        assert!(Arc::ptr_eq(&anonymous, &reader(&clients, &key("b", "three"), &access, &Credential::Anonymous)));
    }

    #[test]
    fn what_is_read_through_somebodys_proxy_is_shown_to_nobody_else() {
        let clients = clients();
        let own = Access { proxies: Some(Proxies::one("http://proxy:1", "").unwrap()), ..Access::default() };
        let usual = reader(&clients, &key("a", "one"), &Access::default(), &Credential::Anonymous);
        let through = reader(&clients, &key("b", "one"), &own, &Credential::Anonymous);
        assert!(!Arc::ptr_eq(&usual.contents, &through.contents));
    }

    #[test]
    fn what_no_object_uses_is_dropped() {
        let clients = clients();
        let _ = reader(&clients, &key("a", "one"), &Access::default(), &Credential::basic("u", "p"));
        let counts = || {
            let held = clients.held();
            (held.readers.len(), held.transports.len(), held.in_use.len())
        };
        assert_eq!(counts(), (1, 1, 1));
        clients.release(&key("a", "one"));
        assert_eq!(counts(), (0, 0, 0));
    }

    #[test]
    fn certificates_that_cannot_be_used_are_named() {
        let certificates = Certificates { authorities: Some(b"canary".to_vec()), identity: None };
        let access = Access { certificates, ..Access::default() };
        let failure =
            clients().reader(&key("a", "one"), &access, &Credential::Anonymous, false, PolicyOptions::default());
        let failure = failure.err().unwrap();
        assert!(failure.message.contains("ca.crt") && !failure.message.contains("canary"), "{failure:?}");
    }
}
