//! Evaluates the timeline of each target: which client changed its pod template how often, and since when its value is correct.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::administrator::Map;
use super::desired::{CONTAINER, derives};
use super::timeline::{Timeline, Version};
use super::writes::Why;
use super::{Rival, values};
use crate::fleet::{TARGETS, deployments};

/// The expected values of one target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The effective `OPENSHIFT_IMG_OVERRIDES`: ordered mirrors of each source.
    pub env: Map,
    /// The combined `--registry-overrides`, without the pair of two empty strings.
    pub flags: BTreeMap<String, String>,
}

/// The changes of one target.
#[derive(Clone, Debug, Default)]
pub struct Account {
    /// Changes of the pod template by the rival after a change of its desired state.
    pub rival: usize,
    /// Changes of the pod template by the rival without a change of its desired state.
    pub reverts: usize,
    /// Changes of the pod template by users.
    pub people: usize,
    /// Changes of the pod template by the manager.
    pub ours: usize,
    /// Changes by the manager without a rollout: annotations.
    pub quiet: usize,
    /// The time of the last write by the rival or by users.
    pub last_write: Option<Instant>,
    /// The time when the value became correct, if it was not correct all the time.
    pub right_since: Option<Instant>,
}

/// Evaluates one run.
#[derive(Default)]
pub struct Judge {
    /// The versions that users wrote.
    pub people: BTreeSet<String>,
    /// The last version that the rival wrote, by namespace and name.
    stock: BTreeMap<(String, &'static str), Value>,
}

/// The current values of a target.
pub fn effective(deployment: &Value) -> Wanted {
    let env = deployments::env_values(deployment).pop().unwrap_or_default();
    let mut map = values::parse_env(&env);
    for mirrors in map.values_mut() {
        let mut seen = BTreeSet::new();
        mirrors.retain(|mirror| seen.insert(mirror.clone()));
    }
    let container = deployment.pointer(CONTAINER).cloned().unwrap_or_default();
    let mut said = Vec::new();
    for list in ["command", "args"] {
        let words: Vec<&str> = container[list].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let joined = words.iter().filter_map(|word| word.strip_prefix("--registry-overrides="));
        let split = words.windows(2).filter(|pair| pair[0] == "--registry-overrides").map(|pair| pair[1]);
        said.extend(joined.chain(split).map(str::to_owned));
    }
    let mut flags = values::parse_flags(said.iter().map(String::as_str));
    flags.remove("");
    Wanted { env: map, flags }
}

impl Judge {
    /// Evaluates one target in a part of the timeline.
    ///
    /// # Errors
    ///
    /// If a value of the rival was edited in place. The error has the timeline.
    pub fn account(
        &mut self,
        rival: &Rival,
        timeline: &Timeline,
        part: Range<usize>,
        (cluster, target): (&str, &'static str),
        wanted: &Wanted,
    ) -> Result<Account> {
        let namespace = deployments::namespace(cluster);
        let versions = timeline.of(part, &namespace, target);
        let writes: BTreeMap<String, Why> = {
            let pages = rival.ledger(cluster)?.open();
            pages.writes.iter().map(|write| (write.version.clone(), write.why)).collect()
        };
        let mut account = Account::default();
        for pair in versions.windows(2) {
            let [before, version] = pair else { continue };
            self.take(&mut account, before, version, writes.get(&version.version).copied(), target)
                .with_context(|| describe(&versions, &writes))?;
        }
        if let Some(first) = versions.first().filter(|first| writes.contains_key(&first.version)) {
            self.stock.entry((namespace, target)).or_insert_with(|| first.object["spec"].clone());
        }
        let wrong = versions.iter().rposition(|version| effective(&version.object) != *wanted);
        account.right_since = wrong.and_then(|wrong| versions.get(wrong + 1)).map(|version| version.at);
        Ok(account)
    }

    fn take(
        &mut self,
        account: &mut Account,
        before: &Version,
        version: &Version,
        why: Option<Why>,
        target: &'static str,
    ) -> Result<()> {
        let place = (version.namespace.clone(), target);
        let restarts = usize::from(before.object["spec"]["template"] != version.object["spec"]["template"]);
        let people = self.people.contains(&version.version);
        match why {
            Some(Why::Reverted) => account.reverts += restarts,
            Some(Why::Missing | Why::Changed) => account.rival += restarts,
            None if people => account.people += restarts,
            None => {
                account.ours += restarts;
                account.quiet += 1 - restarts;
            }
        }
        if why.is_some() {
            self.stock.insert(place, version.object["spec"].clone());
        } else if !people && let Some(stock) = self.stock.get(&place) {
            // Also compare with the previous version, because a user may have edited a value in place.
            let kept = derives(stock, &version.object["spec"]) || derives(&first_env(before), &first_env(version));
            ensure!(kept, "a value of the rival was edited in place");
        }
        if why.is_some() || people {
            account.last_write = Some(version.at);
        }
        Ok(())
    }
}

/// The stock environment variable and all variables before it.
fn first_env(version: &Version) -> Value {
    let env = version.object.pointer(CONTAINER).map(|container| container["env"].clone()).unwrap_or_default();
    Value::Array(env.as_array().into_iter().flatten().take(3).cloned().collect())
}

/// The versions of a target as text.
pub fn describe(versions: &[Version], writes: &BTreeMap<String, Why>) -> String {
    let start = versions.first().map(|version| version.at);
    let lines = versions.iter().map(|version| {
        let by = writes.get(&version.version).map_or("another client".to_owned(), |why| format!("the rival ({why:?})"));
        let annotation = |key| deployments::annotation(&version.object, key);
        format!(
            "+{:?} {} {} version {} by {by}\n  env {:#?}\n  overrides {:?}\n  retired {:?}",
            start.map_or(Duration::ZERO, |start| version.at - start),
            version.namespace,
            version.name,
            version.version,
            deployments::env_values(&version.object),
            annotation("hypermirror.dev/overrides"),
            annotation("hypermirror.dev/retired"),
        )
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The timeline of all targets of one hosted cluster since a position, as text.
pub fn history(rival: &Rival, timeline: &Timeline, since: usize, cluster: &str) -> String {
    let writes = rival.ledger(cluster).map(|ledger| {
        let pages = ledger.open();
        pages.writes.iter().map(|write| (write.version.clone(), write.why)).collect()
    });
    let writes = writes.unwrap_or_default();
    let namespace = deployments::namespace(cluster);
    let changed =
        TARGETS.iter().map(|target| describe(&timeline.of(since..timeline.len(), &namespace, target), &writes));
    changed.collect::<Vec<_>>().join("\n")
}
