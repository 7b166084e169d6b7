//! Keeps the certificate that the manager makes: every replica serves what the Secret holds, the leader replaces it in time
//! and has API servers trust it before it is shown.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use hypermirror_api::names;
use jiff::Timestamp;
use tokio::time::Instant;

use super::certificate::{self, Step, next_step};
use super::server::ShownCertificate;
use crate::kube::admission::{
    CertificateSecret, KeptCertificate, WebhookConfiguration, certificate_secret, service_host, webhook_configuration,
    write_certificate, write_trust,
};
use crate::kube::watch::Update;
use crate::manager::context::Context;

/// Between two looks at the clock; nothing is asked for it.
const LOOK: Duration = Duration::from_secs(1);
/// How long API servers get to see whom they have to trust before a certificate of theirs is shown.
const PROPAGATION: Duration = Duration::from_secs(2);
/// After a write that failed.
const PAUSE: Duration = Duration::from_secs(5);

/// Keeps it until the process ends.
pub struct Keeper {
    /// Shared.
    pub ctx: Arc<Context>,
    /// How long a certificate lives.
    pub lifetime: Duration,
    /// What the server shows.
    pub shown: Arc<ShownCertificate>,
}

/// What was told of one object that may be missing.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Told<T> {
    /// Nothing yet.
    Nothing,
    /// It is not there.
    Missing,
    /// It is there.
    There(T),
}

impl<T> Told<T> {
    fn take(&mut self, what: &str, update: Update<T>) {
        match update {
            Update::Replaced(list) => *self = list.into_iter().next().map_or(Self::Missing, Self::There),
            Update::Applied(object) => *self = Self::There(object),
            Update::Deleted(_) => *self = Self::Missing,
            Update::Failing(failure) => tracing::warn!(what, error = failure.message, "the watch fails"),
        }
    }

    fn there(&self) -> Option<&T> {
        if let Self::There(object) = self { Some(object) } else { None }
    }
}

/// A certificate that API servers are about to trust.
struct Coming {
    kept: KeptCertificate,
    /// The Secret that it follows.
    before: CertificateSecret,
    ready: Instant,
}

struct State {
    secret: Told<CertificateSecret>,
    configuration: Told<WebhookConfiguration>,
    coming: Option<Coming>,
    /// No write before.
    rest_until: Option<Instant>,
}

impl Keeper {
    /// Runs until it is aborted.
    pub async fn run(self) {
        let namespace = &self.ctx.settings.namespace;
        let mut secrets = pin!(certificate_secret(&self.ctx.client, namespace));
        let mut configurations = pin!(webhook_configuration(&self.ctx.client));
        let mut state = State { secret: Told::Nothing, configuration: Told::Nothing, coming: None, rest_until: None };
        loop {
            tokio::select! {
                Some(update) = secrets.next() => {
                    state.secret.take(names::WEBHOOK_SECRET, update);
                    self.show(&state);
                }
                Some(update) = configurations.next() => {
                    state.configuration.take(names::WEBHOOK_CONFIGURATION, update);
                }
                () = tokio::time::sleep(LOOK) => {}
            }
            let rests = state.rest_until.is_some_and(|until| Instant::now() < until);
            if !self.ctx.term.lasts() {
                state.coming = None;
            } else if !rests && let Err(error) = self.look(&mut state).await {
                tracing::warn!(error = format!("{error:#}"), "the webhook's certificate is not as it should be yet");
                state.coming = None;
                state.rest_until = Some(Instant::now() + PAUSE);
            }
        }
    }

    fn show(&self, state: &State) {
        let Some(kept) = state.secret.there().and_then(|secret| secret.kept.as_ref()) else { return };
        super::show(&self.ctx.metrics, &self.shown, &kept.certificate, &kept.key);
    }

    /// One step of the leader.
    async fn look(&self, state: &mut State) -> anyhow::Result<()> {
        let Told::There(secret) = state.secret.clone() else { return Ok(()) };
        if state.configuration == Told::Nothing {
            return Ok(());
        }
        if let Some(coming) = state.coming.take_if(|coming| coming.ready <= Instant::now()) {
            let namespace = &self.ctx.settings.namespace;
            // A Secret that changed meanwhile is somebody's answer to the same question.
            write_certificate(&self.ctx.client, namespace, &coming.before, &coming.kept).await?;
            tracing::info!(expires = ?certificate::expires(&coming.kept.certificate), "the webhook has a new certificate");
            state.secret = Told::Nothing; // until the watch tells what was written
            return Ok(());
        }
        if state.coming.is_some() {
            return Ok(());
        }
        let configuration = state.configuration.there().cloned();
        let names = self.names(configuration.as_ref());
        match next_step(secret.kept.as_ref(), &names, Timestamp::now()) {
            Step::Replace => {
                let mut kept = certificate::make(&names, Timestamp::now(), self.lifetime)?;
                if let Some(before) = &secret.kept {
                    kept.authorities.push_str(&certificate::newest(&before.authorities));
                }
                let trusted = self.trust(state, configuration, &kept.authorities).await?;
                let waits = trusted && secret.kept.is_some();
                let ready = Instant::now() + if waits { PROPAGATION } else { Duration::ZERO };
                state.coming = Some(Coming { kept, before: secret, ready });
            }
            Step::ForgetOlder => {
                let Some(kept) = &secret.kept else { return Ok(()) };
                let kept = KeptCertificate { authorities: certificate::newest(&kept.authorities), ..kept.clone() };
                write_certificate(&self.ctx.client, &self.ctx.settings.namespace, &secret, &kept).await?;
                state.secret = Told::Nothing;
            }
            Step::Keep => {
                let authorities = secret.kept.as_ref().map(|kept| kept.authorities.clone()).unwrap_or_default();
                self.trust(state, configuration, &authorities).await?;
            }
        }
        Ok(())
    }

    /// Under which names API servers reach the webhook, as far as anybody says.
    fn names(&self, configuration: Option<&WebhookConfiguration>) -> BTreeSet<String> {
        let own = service_host(names::WEBHOOK_SERVICE, &self.ctx.settings.namespace);
        let hosts = configuration.map(|configuration| configuration.hosts.clone()).unwrap_or_default();
        if hosts.is_empty() { [own].into() } else { hosts }
    }

    /// Whether API servers were told to trust somebody else from now on.
    async fn trust(
        &self,
        state: &mut State,
        configuration: Option<WebhookConfiguration>,
        authorities: &str,
    ) -> kube::Result<bool> {
        let Some(configuration) = configuration else { return Ok(false) };
        if configuration.webhooks.iter().all(|(_, bundle)| bundle == authorities) {
            return Ok(false);
        }
        write_trust(&self.ctx.client, &configuration, authorities).await?;
        state.configuration = Told::Nothing; // until the watch tells what was written
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_missing_only_when_a_list_or_an_event_says_so() {
        let mut told = Told::Nothing;
        told.take("x", Update::Failing(crate::kube::watch::Failure { code: Some(403), message: String::new() }));
        assert_eq!(told, Told::Nothing);
        told.take("x", Update::Replaced(vec![]));
        assert_eq!(told, Told::Missing);
        told.take("x", Update::Applied(1));
        assert_eq!(told, Told::There(1));
        told.take("x", Update::Deleted(1));
        assert_eq!(told, Told::Missing);
    }
}
