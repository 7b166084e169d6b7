//! The attacks: a table, each with what it makes, and what is done again and again while it is on.

use std::time::Duration;

use anyhow::Result;
use clap::ValueEnum;
use hypermirror_e2e::Fleet;
use hypermirror_e2e::faulty::{Answer, Faulty};
use hypermirror_e2e::fleet::objects::hosted_cluster;
use hypermirror_e2e::fleet::{NAMESPACE, deployments};
use hypermirror_e2e::hostile;
use kube::api::{DynamicObject, PostParams};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

/// Between two edits of an attacker.
const AGAIN: Duration = Duration::from_millis(250);
const HOSTILE: usize = 30;
/// Hostile reviews that are sent at the same time.
const REVIEWS: usize = 4;
/// Where a hosted cluster and a NodePool name their ConfigMaps.
const REFERENCE: &str = "hypermirror.dev/image-mirror-config-ref";
const CONFIG: &str = "hypermirror.dev/config";

/// One attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Attack {
    /// Nothing: what the figures move by themselves.
    None,
    /// 30 hosted clusters that opt out of the management mirrors refer to one ConfigMap of 27,000 mirrors.
    OneConfigMap,
    /// 30 hosted clusters, each with a ConfigMap of 15,000 mirrors of its own, which is edited all the time.
    ManyConfigMaps,
    /// 30 hosted clusters, each with a ConfigMap of 2,000 mirrors of its own: as many as a namespace may have.
    FullNamespace,
    /// One NodePool names 30 ConfigMaps of 27,000 mirrors.
    OneNodePool,
    /// A ConfigMap of 1 MB that costs a square of its length, edited all the time.
    Malformed,
    /// 60 NodePools name 300 missing ConfigMaps each.
    MissingNames,
    /// 10 guests answer with a list that never ends.
    EndlessGuests,
    /// 10 guests answer with pages of 8 MB.
    HugeGuests,
    /// 10 guests answer 503.
    DeadGuests,
    /// The webhook gets reviews of 3 MB, four at once, without an end.
    Webhook,
}

impl Attack {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 11] = [
        Self::None,
        Self::OneConfigMap,
        Self::ManyConfigMaps,
        Self::FullNamespace,
        Self::OneNodePool,
        Self::Malformed,
        Self::MissingNames,
        Self::EndlessGuests,
        Self::HugeGuests,
        Self::DeadGuests,
        Self::Webhook,
    ];

    /// For the table.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::OneConfigMap => "30 hosted clusters, one ConfigMap of 27,000 mirrors",
            Self::ManyConfigMaps => "30 hosted clusters, a ConfigMap of 15,000 mirrors each, edited all the time",
            Self::FullNamespace => "30 hosted clusters, a ConfigMap of 2,000 mirrors each, edited all the time",
            Self::OneNodePool => "a NodePool that names 30 ConfigMaps of 27,000 mirrors",
            Self::Malformed => "1 MB of brackets that no reader ends, edited all the time",
            Self::MissingNames => "60 NodePools that name 300 missing ConfigMaps each",
            Self::EndlessGuests => "10 guests with a list that never ends",
            Self::HugeGuests => "10 guests with pages of 8 MB",
            Self::DeadGuests => "10 guests that answer 503",
            Self::Webhook => "reviews of 3 MB at the webhook, 4 at once, all the time",
        }
    }

    /// Makes what it needs; it is off. `webhook`: its port.
    pub async fn prepare(self, fleet: &Fleet, webhook: u16) -> Result<Prepared> {
        let mut prepared = Prepared::new(fleet);
        match self {
            Self::None => {}
            Self::OneConfigMap => {
                prepared.make(config_map("large", "idms.yaml", &set(27_000))).await?;
                for index in 0..HOSTILE {
                    prepared.hosted_cluster(index, None).await?;
                    prepared.annotates(hosted_cluster(&attacker(index), &[]), REFERENCE, "large");
                }
            }
            Self::ManyConfigMaps => prepared.edited(15_000).await?,
            Self::FullNamespace => prepared.edited(2_000).await?,
            Self::OneNodePool => {
                let names: Vec<String> = (0..HOSTILE).map(|index| format!("large-{index}")).collect();
                for name in &names {
                    prepared.make(config_map(name, "config", &set(27_000))).await?;
                }
                prepared.hosted_cluster(0, None).await?;
                prepared.node_pool(0, &names.join(",")).await?;
            }
            Self::Malformed => {
                let text = format!("a: [\nb, {}{}", "[".repeat(3_800), "a,".repeat(495_000));
                prepared.twins("malformed", &text).await?;
                prepared.hosted_cluster(0, Some("malformed")).await?;
            }
            Self::MissingNames => {
                prepared.hosted_cluster(0, None).await?;
                for pool in 0..60 {
                    let names: Vec<String> =
                        (0..300).map(|n| format!("missing-{pool}-{n}-{}", "x".repeat(150))).collect();
                    prepared.node_pool(pool, &names.join(",")).await?;
                }
            }
            Self::EndlessGuests => prepared.guests(Answer::Endless).await?,
            Self::HugeGuests => prepared.guests(Answer::HugePages).await?,
            Self::DeadGuests => prepared.guests(Answer::Unavailable).await?,
            Self::Webhook => prepared.webhook = Some(webhook),
        }
        Ok(prepared)
    }
}

/// What an attack made, and what is done with it while it is on.
pub struct Prepared {
    fleet: Fleet,
    made: Vec<Value>,
    /// Objects that are annotated while it is on: the object, the key, the value.
    annotated: Vec<(Value, &'static str, String)>,
    /// Secrets that are there while it is on.
    secrets: Vec<Value>,
    /// ConfigMaps that are edited all the time: those that nobody refers to while it is off, the others while it is on.
    edited: [Vec<Value>; 2],
    webhook: Option<u16>,
    guests: Vec<Faulty>,
    tasks: Vec<JoinHandle<()>>,
}

impl Prepared {
    fn new(fleet: &Fleet) -> Self {
        Self {
            fleet: fleet.clone(),
            made: Vec::new(),
            annotated: Vec::new(),
            secrets: Vec::new(),
            edited: [Vec::new(), Vec::new()],
            webhook: None,
            guests: Vec::new(),
            tasks: Vec::new(),
        }
    }

    async fn make(&mut self, object: Value) -> Result<()> {
        let made: DynamicObject = serde_json::from_value(object.clone())?;
        self.fleet.api_of(&object)?.create(&PostParams::default(), &made).await?;
        self.made.push(object);
        Ok(())
    }

    async fn hosted_cluster(&mut self, index: usize, config_map: Option<&str>) -> Result<()> {
        let name = attacker(index);
        self.fleet.hosted_cluster(&name, &[], "=").await?;
        let mut object = hosted_cluster(&name, &[]);
        object["metadata"]["annotations"] = json!({"hypermirror.dev/management-mirrors": "Ignore"});
        if let Some(config_map) = config_map {
            object["metadata"]["annotations"][REFERENCE] = config_map.into();
        }
        self.fleet.apply(&object).await?;
        self.made.push(object);
        Ok(())
    }

    fn annotates(&mut self, object: Value, key: &'static str, value: &str) {
        self.annotated.push((object, key, value.to_owned()));
    }

    async fn node_pool(&mut self, index: usize, names: &str) -> Result<()> {
        let object = node_pool(index);
        self.make(object.clone()).await?;
        self.annotates(object, CONFIG, names);
        Ok(())
    }

    /// A ConfigMap to refer to, and an equal one that nobody refers to.
    async fn twins(&mut self, name: &str, text: &str) -> Result<()> {
        for (place, name) in [format!("nobodys-{name}"), name.to_owned()].into_iter().enumerate() {
            let object = config_map(&name, "idms.yaml", text);
            self.make(object.clone()).await?;
            self.edited[place].push(object);
        }
        Ok(())
    }

    /// Hosted clusters, each with a ConfigMap of so many mirrors of its own.
    async fn edited(&mut self, mirrors: usize) -> Result<()> {
        let text = set(mirrors);
        for index in 0..HOSTILE {
            let name = format!("large-{index}");
            self.twins(&name, &text).await?;
            self.hosted_cluster(index, Some(&name)).await?;
        }
        Ok(())
    }

    async fn guests(&mut self, answer: Answer) -> Result<()> {
        for index in 0..10 {
            let guest = Faulty::start(answer).await?;
            self.hosted_cluster(index, None).await?;
            self.secrets.push(json!({
                "apiVersion": "v1", "kind": "Secret",
                "metadata": {"name": "hcco-kubeconfig", "namespace": deployments::namespace(&attacker(index))},
                "stringData": {"kubeconfig": guest.kubeconfig()?}
            }));
            self.guests.push(guest);
        }
        Ok(())
    }

    /// Turns it on or off.
    pub async fn switch(&mut self, is_on: bool) -> Result<()> {
        self.tasks.drain(..).for_each(|task| task.abort());
        for (object, key, value) in &self.annotated {
            let value = is_on.then_some(value);
            self.fleet.merge(object, &json!({"metadata": {"annotations": {*key: value}}})).await?;
        }
        for secret in &self.secrets {
            if is_on {
                self.fleet.apply(secret).await?;
            } else {
                let _ = self.fleet.delete(secret).await; // not there yet, at first
            }
        }
        let edited = &self.edited[usize::from(is_on)];
        if !edited.is_empty() {
            self.tasks.push(tokio::spawn(edit(self.fleet.clone(), edited.clone())));
        }
        if let Some(port) = self.webhook.filter(|_| is_on) {
            self.tasks.extend((0..REVIEWS).map(|_| tokio::spawn(send_reviews(port))));
        }
        Ok(())
    }

    /// Ends it, and takes away what it made.
    pub async fn end(mut self) -> Result<()> {
        self.switch(false).await?;
        self.tasks.drain(..).for_each(|task| task.abort());
        for object in self.made.iter().rev() {
            self.fleet.delete(object).await?;
        }
        Ok(())
    }
}

/// Labels each ConfigMap in turn, without an end.
async fn edit(fleet: Fleet, config_maps: Vec<Value>) {
    for (edit, config_map) in config_maps.iter().cycle().enumerate() {
        let patch = json!({"metadata": {"labels": {"edit": edit.to_string()}}});
        let _ = fleet.merge(config_map, &patch).await; // a server that is busy refuses some
        tokio::time::sleep(AGAIN).await;
    }
}

async fn send_reviews(port: u16) {
    for review in hostile::reviews().iter().cycle() {
        let _ = hostile::post(port, review.len(), review).await; // whatever it answers
    }
}

fn attacker(index: usize) -> String {
    format!("hostile-{index}")
}

fn set(mirrors: usize) -> String {
    let entry = |n: usize| format!(" - {{source: s.i/{n:x},mirrors: [m.i]}}\n");
    let entries = (0..mirrors).map(entry).collect::<Vec<_>>().concat();
    format!("apiVersion: config.openshift.io/v1\nkind: ImageDigestMirrorSet\nspec:\n imageDigestMirrors:\n{entries}")
}

fn config_map(name: &str, key: &str, text: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": NAMESPACE}, "data": {key: text}
    })
}

fn node_pool(index: usize) -> Value {
    json!({
        "apiVersion": "hypershift.openshift.io/v1beta1", "kind": "NodePool",
        "metadata": {"name": format!("hostile-pool-{index}"), "namespace": NAMESPACE},
        "spec": {
            "clusterName": attacker(0), "replicas": 1, "release": {"image": "quay.example/ocp/release:4.20.1"},
            "platform": {"type": "None"}, "management": {"upgradeType": "Replace"}
        }
    })
}
