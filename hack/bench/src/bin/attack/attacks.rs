//! The attacks: a table, each with what it makes and what it does again and again.

use std::time::Duration;

use anyhow::Result;
use clap::ValueEnum;
use hypermirror_e2e::Fleet;
use hypermirror_e2e::faulty::{Answer, Faulty};
use hypermirror_e2e::fleet::objects::hosted_cluster;
use hypermirror_e2e::fleet::{NAMESPACE, deployments};
use kube::api::{DynamicObject, PostParams};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

/// Between two edits of an attacker.
const AGAIN: Duration = Duration::from_millis(250);
const HOSTILE: usize = 30;

/// One attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Attack {
    /// Nothing: what the figures move by themselves.
    None,
    /// 30 hosted clusters that opt out of the management mirrors refer to one ConfigMap of 27,000 mirrors.
    OneConfigMap,
    /// 30 hosted clusters, each with a ConfigMap of 15,000 mirrors of its own, which is edited all the time.
    ManyConfigMaps,
    /// One NodePool names 30 ConfigMaps of 27,000 mirrors.
    OneNodePool,
    /// A ConfigMap of 1 MB that costs a square of its length, edited all the time.
    Malformed,
    /// 60 NodePools name 300 missing ConfigMaps each.
    MissingNames,
    /// 10 guests answer with a list that never ends.
    EndlessGuests,
    /// 10 guests answer 503.
    DeadGuests,
}

impl Attack {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 8] = [
        Self::None,
        Self::OneConfigMap,
        Self::ManyConfigMaps,
        Self::OneNodePool,
        Self::Malformed,
        Self::MissingNames,
        Self::EndlessGuests,
        Self::DeadGuests,
    ];

    /// For the table.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::OneConfigMap => "30 hosted clusters, one ConfigMap of 27,000 mirrors",
            Self::ManyConfigMaps => "30 hosted clusters, a ConfigMap of 15,000 mirrors each, edited all the time",
            Self::OneNodePool => "a NodePool that names 30 ConfigMaps of 27,000 mirrors",
            Self::Malformed => "1 MB of brackets that no reader ends, edited all the time",
            Self::MissingNames => "60 NodePools that name 300 missing ConfigMaps each",
            Self::EndlessGuests => "10 guests with a list that never ends",
            Self::DeadGuests => "10 guests that answer 503",
        }
    }

    /// Makes what it needs, and goes on with it until it is ended.
    pub async fn start(self, fleet: &Fleet) -> Result<Running> {
        let mut running = Running::default();
        match self {
            Self::None => {}
            Self::OneConfigMap => {
                running.make(fleet, config_map("large", "idms.yaml", &set(27_000))).await?;
                for index in 0..HOSTILE {
                    running.hosted_cluster(fleet, index, Some("large")).await?;
                }
            }
            Self::ManyConfigMaps => {
                for index in 0..HOSTILE {
                    let name = format!("large-{index}");
                    running.make(fleet, config_map(&name, "idms.yaml", &set(15_000))).await?;
                    running.hosted_cluster(fleet, index, Some(&name)).await?;
                }
                running.touch(fleet);
            }
            Self::OneNodePool => {
                let names: Vec<String> = (0..HOSTILE).map(|index| format!("large-{index}")).collect();
                for name in &names {
                    running.make(fleet, config_map(name, "config", &set(27_000))).await?;
                }
                running.hosted_cluster(fleet, 0, None).await?;
                running.make(fleet, node_pool(0, &names.join(","))).await?;
            }
            Self::Malformed => {
                let text = format!("a: [\nb, {}{}", "[".repeat(3_800), "a,".repeat(495_000));
                running.make(fleet, config_map("malformed", "idms.yaml", &text)).await?;
                running.hosted_cluster(fleet, 0, Some("malformed")).await?;
                running.touch(fleet);
            }
            Self::MissingNames => {
                running.hosted_cluster(fleet, 0, None).await?;
                for pool in 0..60 {
                    let names: Vec<String> =
                        (0..300).map(|n| format!("missing-{pool}-{n}-{}", "x".repeat(150))).collect();
                    running.make(fleet, node_pool(pool, &names.join(","))).await?;
                }
            }
            Self::EndlessGuests => running.guests(fleet, Answer::Endless).await?,
            Self::DeadGuests => running.guests(fleet, Answer::Unavailable).await?,
        }
        Ok(running)
    }
}

/// What an attack made and does.
#[derive(Default)]
pub struct Running {
    made: Vec<Value>,
    tasks: Vec<JoinHandle<()>>,
    guests: Vec<Faulty>,
}

impl Running {
    async fn make(&mut self, fleet: &Fleet, object: Value) -> Result<()> {
        let made: DynamicObject = serde_json::from_value(object.clone())?;
        fleet.api_of(&object)?.create(&PostParams::default(), &made).await?;
        self.made.push(object);
        Ok(())
    }

    async fn hosted_cluster(&mut self, fleet: &Fleet, index: usize, config_map: Option<&str>) -> Result<()> {
        let name = hostile(index);
        fleet.hosted_cluster(&name, &[], "=").await?;
        let mut object = hosted_cluster(&name, &[]);
        let annotations = json!({
            "hypermirror.dev/management-mirrors": "Ignore",
            "hypermirror.dev/image-mirror-config-ref": config_map.unwrap_or_default()
        });
        object["metadata"]["annotations"] = annotations;
        fleet.apply(&object).await?;
        self.made.push(object);
        Ok(())
    }

    /// Labels each ConfigMap in turn, without an end.
    fn touch(&mut self, fleet: &Fleet) {
        let (fleet, made) = (fleet.clone(), self.made.clone());
        let config_maps: Vec<Value> = made.into_iter().filter(|object| object["kind"] == "ConfigMap").collect();
        self.tasks.push(tokio::spawn(async move {
            for (edit, config_map) in config_maps.iter().cycle().enumerate() {
                let patch = json!({"metadata": {"labels": {"edit": edit.to_string()}}});
                let _ = fleet.merge(config_map, &patch).await; // a server that is busy refuses some
                tokio::time::sleep(AGAIN).await;
            }
        }));
    }

    async fn guests(&mut self, fleet: &Fleet, answer: Answer) -> Result<()> {
        for index in 0..10 {
            let guest = Faulty::start(answer).await?;
            self.hosted_cluster(fleet, index, None).await?;
            let secret = json!({
                "apiVersion": "v1", "kind": "Secret",
                "metadata": {"name": "hcco-kubeconfig", "namespace": deployments::namespace(&hostile(index))},
                "stringData": {"kubeconfig": guest.kubeconfig()?}
            });
            fleet.apply(&secret).await?;
            self.made.push(secret);
            self.guests.push(guest);
        }
        Ok(())
    }

    /// Ends it, and takes away what it made.
    pub async fn end(self, fleet: &Fleet) -> Result<()> {
        self.tasks.iter().for_each(JoinHandle::abort);
        for object in self.made.iter().rev() {
            fleet.delete(object).await?;
        }
        Ok(())
    }
}

fn hostile(index: usize) -> String {
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

fn node_pool(index: usize, names: &str) -> Value {
    json!({
        "apiVersion": "hypershift.openshift.io/v1beta1", "kind": "NodePool",
        "metadata": {
            "name": format!("hostile-pool-{index}"), "namespace": NAMESPACE,
            "annotations": {"hypermirror.dev/config": names}
        },
        "spec": {
            "clusterName": hostile(0), "replicas": 1, "release": {"image": "quay.example/ocp/release:4.20.1"},
            "platform": {"type": "None"}, "management": {"upgradeType": "Replace"}
        }
    })
}
