//! Simulates the control-plane-operator of one hosted cluster, whose process reads the values of its pod only at its start.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use kube::runtime::{WatchStreamExt as _, watcher};
use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::desired::{self, CONTAINER, Hand};
use super::values;
use super::writes::Ledger;
use super::{Manners, Random, watch_of};
use crate::fleet::{TARGETS, deployments};

/// The operator of one hosted cluster.
pub(super) struct Child {
    pub cluster: String,
    pub hand: Hand,
    pub manners: Manners,
    pub ledger: Arc<Ledger>,
    pub changed: Arc<Notify>,
    pub random: Random,
}

/// The values that a process has read at its start.
struct Values {
    env: String,
    flag: String,
}

/// A starting pod: its start time and its pod template.
struct Starting {
    at: Instant,
    template: String,
}

impl Child {
    /// Reconciles both children after each of their events. A new pod template restarts the process after a delay.
    ///
    /// Until then, the old pod continues with the old values, as in a rolling update.
    pub async fn run(mut self) {
        let any = deployments::target(&self.cluster, TARGETS[1], None, "=");
        let Ok(any) = watch_of(&self.hand.client, &any) else { return };
        let mut events = watcher(any, watcher::Config::default()).default_backoff().boxed();
        let (mut running, mut starting): (Option<Values>, Option<Starting>) = (None, None);
        loop {
            let at = starting.as_ref().map(|starting| starting.at);
            let restart = async {
                match at {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = events.next() => tokio::time::sleep(self.random.within(&self.manners.reaction)).await,
                () = self.changed.notified() => {}
                () = restart => {
                    starting = None;
                    running = self.start().await.ok().flatten();
                }
            }
            if self.reconcile_children(running.as_ref(), &mut starting).await.is_err() {
                self.changed.notify_one(); // a conflict: reconcile again
            }
        }
    }

    /// Starts the pod with the values of its template.
    async fn start(&self) -> Result<Option<Values>> {
        let Some(own) = self.hand.read(&self.cluster, TARGETS[0]).await? else { return Ok(None) };
        let env = deployments::env_values(&own).pop().unwrap_or_default();
        let container = own.pointer(CONTAINER).context("no container")?;
        let words = ["command", "args"].iter().flat_map(|list| container[list].as_array().into_iter().flatten());
        let flags = words.filter_map(Value::as_str).filter_map(|word| word.strip_prefix("--registry-overrides="));
        let flags = values::parse_flags(flags);
        let mut mirrors = values::parse_env(&env);
        for (source, mirror) in &flags {
            mirrors.entry(source.clone()).or_default().push(mirror.clone());
        }
        self.ledger.open().running = desired::digest(&own["spec"]["template"]);
        Ok(Some(Values { env: values::print_env(&mirrors), flag: values::print_flag(&flags) }))
    }

    async fn reconcile_children(&mut self, running: Option<&Values>, starting: &mut Option<Starting>) -> Result<()> {
        if let Some(own) = self.hand.read(&self.cluster, TARGETS[0]).await? {
            let template = desired::digest(&own["spec"]["template"]);
            let runs = self.ledger.open().running == template;
            if runs {
                *starting = None;
            } else if starting.as_ref().is_none_or(|starting| starting.template != template) {
                let at = Instant::now() + self.random.within(&self.manners.restart);
                *starting = Some(Starting { at, template });
            }
        }
        let Some(values) = running else { return Ok(()) };
        for target in [TARGETS[1], TARGETS[2]] {
            self.reconcile(target, values).await?;
        }
        Ok(())
    }

    async fn reconcile(&self, target: &'static str, values: &Values) -> Result<()> {
        let changes = self.ledger.open().changes_of(target);
        let desired = desired::deployment(&self.cluster, target, &values.env, &values.flag, changes);
        let greedy = self.manners.greedy.contains(&target);
        let outcome = self.hand.reconcile(&self.cluster, target, desired, greedy).await?;
        let version = outcome.current["metadata"]["resourceVersion"].as_str().context("no resourceVersion")?;
        self.ledger.open().note(target, version.to_owned(), changes, outcome.wrote);
        Ok(())
    }
}
