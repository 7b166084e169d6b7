//! Clients of registries, one for each set of authorities. Credentials separate what they remember.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::registry::Client;
use crate::registry::address::TrustClass;
use crate::registry::coverage::asker::Clients;
use crate::registry::coverage::matrix::TrustId;
use crate::registry::policy::PolicyOptions;
use crate::registry::proxy::Proxies;
use crate::registry::transport::tls::{TlsError, TlsOptions};
use crate::registry::transport::{Observer, Transport, TransportOptions};

/// Sets of authorities whose connections are kept between rounds.
const MAX_TRUSTS: usize = 256;

/// All clients. Their paces are not those of scans, so that no check delays a scan.
pub struct ClientPool {
    proxies: Proxies,
    narrowest: TrustClass,
    observer: Observer,
    held: Mutex<HashMap<TrustId, Clients>>,
}

impl ClientPool {
    /// With the proxies of the environment, for registries in no narrower network.
    pub fn new(proxies: Proxies, narrowest: TrustClass, observer: Observer) -> Self {
        Self { proxies, narrowest, observer, held: Mutex::default() }
    }

    /// The connections of whoever believes these authorities.
    ///
    /// # Errors
    /// They are not valid.
    pub fn of(&self, authorities: &[u8]) -> Result<(TrustId, Clients), TlsError> {
        let trust = TrustId::of(authorities);
        if let Some(known) = self.held().get(&trust) {
            return Ok((trust, known.clone()));
        }
        let clients =
            Clients { verified: self.client(authorities, false)?, unverified: self.client(authorities, true)? };
        let mut held = self.held();
        if held.len() >= MAX_TRUSTS {
            held.clear();
        }
        held.insert(trust.clone(), clients.clone());
        drop(held);
        Ok((trust, clients))
    }

    fn client(&self, authorities: &[u8], skips_verification: bool) -> Result<Client, TlsError> {
        let mut tls = TlsOptions::default();
        if !authorities.is_empty() {
            tls.add_authorities(authorities)?;
        }
        if skips_verification {
            tls.skip_verification();
        }
        let options = TransportOptions {
            tls,
            proxies: self.proxies.clone(),
            narrowest: Some(self.narrowest),
            observer: Some(self.observer.clone()),
            ..TransportOptions::default()
        };
        Ok(Client::new(Transport::new(options)?, PolicyOptions::default()))
    }

    fn held(&self) -> MutexGuard<'_, HashMap<TrustId, Clients>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
