//! What etcd has of a cluster with a [`Kit`], kept as a file for the next test bed with the same kit.
//!
//! To install the kinds and rules of a fleet costs an API server more than twice the processor time of its start, and every
//! scenario has an API server of its own. One that starts with them in etcd only reads them.

use std::{
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::{Context, Result, ensure};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD as BASE64, URL_SAFE_NO_PAD},
};
use ring::digest;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{binaries, endpoint, kit::Kit};

/// Changes with what a file contains, so that no file of another version of this module is used.
const FORMAT: &str = "1";

/// Objects that belong to one run of an API server. It creates them again.
const OF_ONE_RUN: [&str; 6] = [
    "/configmaps/kube-system/extension-apiserver-authentication",
    "/endpointslices/default/kubernetes",
    "/events/",
    "/leases/",
    "/masterleases/",
    "/services/endpoints/default/kubernetes",
];

/// Limits of etcd for one transaction are 128 operations and 1.5 MiB.
const OPERATIONS: usize = 100;
const BYTES: usize = 700_000;

/// The content of etcd for one cluster.
pub(crate) struct Seed {
    file: PathBuf,
    /// The prefix of the keys of the cluster.
    prefix: String,
    /// The address of etcd: `http://HOST:PORT`.
    etcd: String,
}

impl Seed {
    /// The seed of a cluster of this name. `server` is the program of its API server, `settings` are those of its flags that
    /// have an effect on what it stores.
    pub(crate) fn new(kit: &Kit, cluster: &str, etcd: &str, server: &Path, settings: &str) -> Result<Self> {
        let program = fs::metadata(server).with_context(|| format!("failed to read {}", server.display()))?;
        let built = program.modified()?.duration_since(SystemTime::UNIX_EPOCH)?.as_nanos();
        let identity =
            [FORMAT, cluster, settings, &program.len().to_string(), &built.to_string(), &kit.text()].join("\n");
        let hash = digest::digest(&digest::SHA256, identity.as_bytes());
        let name = URL_SAFE_NO_PAD.encode(hash);
        let file = binaries::repository_root().join("target/testbed/seeds").join(name);
        Ok(Self { file, prefix: format!("/{cluster}/"), etcd: etcd.to_owned() })
    }

    /// Writes the content to etcd, before the API server starts. False if there is none yet.
    pub(crate) async fn plant(&self) -> Result<bool> {
        let Ok(transactions) = fs::read_to_string(&self.file) else { return Ok(false) };
        for transaction in transactions.lines() {
            self.ask("txn", transaction).await?;
        }
        Ok(true)
    }

    /// Keeps what etcd has of the cluster.
    pub(crate) async fn harvest(&self) -> Result<()> {
        // The first key after those with the prefix: `0` follows `/`.
        let end = format!("{}0", self.prefix.trim_end_matches('/'));
        let range = json!({"key": BASE64.encode(&self.prefix), "range_end": BASE64.encode(end)});
        let answer = self.ask("range", &range.to_string()).await?;
        let range: Range = serde_json::from_str(&answer).context("failed to parse the response of etcd")?;
        let mut kept = Vec::new();
        for entry in range.kvs {
            let key = String::from_utf8(BASE64.decode(&entry.key)?)?;
            // What is bound to a lease ends with its server.
            if entry.lease.is_none() && !OF_ONE_RUN.iter().any(|part| key.contains(part)) {
                kept.push(entry);
            }
        }
        ensure!(!kept.is_empty(), "etcd has nothing below {}", self.prefix);
        self.write(&transactions(&kept))
    }

    /// Renames a complete file, because other processes read and write the same one.
    fn write(&self, text: &str) -> Result<()> {
        let write = || {
            let directory = self.file.parent().unwrap_or(Path::new("."));
            fs::create_dir_all(directory)?;
            let new = tempfile::NamedTempFile::new_in(directory)?;
            fs::write(new.path(), text)?;
            new.persist(&self.file).map_err(|error| error.error)
        };
        write().map(|_| ()).with_context(|| format!("failed to write {}", self.file.display()))
    }

    async fn ask(&self, what: &str, body: &str) -> Result<String> {
        let answer = endpoint::post(&format!("{}/v3/kv/{what}", self.etcd), body).await?;
        ensure!(answer.status == 200, "etcd responded with {}: {}", answer.status, answer.body);
        Ok(answer.body)
    }
}

/// One request body a line.
fn transactions(entries: &[Entry]) -> String {
    let mut lines = Vec::new();
    let (mut puts, mut bytes) = (Vec::new(), 0);
    for entry in entries {
        if puts.len() == OPERATIONS || bytes + entry.value.len() > BYTES {
            lines.push(transaction(&std::mem::take(&mut puts)));
            bytes = 0;
        }
        bytes += entry.value.len();
        puts.push(json!({"request_put": {"key": entry.key, "value": entry.value}}));
    }
    lines.push(transaction(&puts));
    lines.join("\n")
}

fn transaction(puts: &[Value]) -> String {
    json!({ "success": puts }).to_string()
}

#[derive(Deserialize)]
struct Range {
    #[serde(default)]
    kvs: Vec<Entry>,
}

/// A key and its value, both in base64.
#[derive(Deserialize)]
struct Entry {
    key: String,
    #[serde(default)]
    value: String,
    lease: Option<Value>,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::Crds;

    fn entry(number: usize, length: usize) -> Entry {
        Entry { key: format!("key-{number}"), value: "x".repeat(length), lease: None }
    }

    /// The number of keys in each transaction.
    fn sizes(entries: &[Entry]) -> Vec<usize> {
        let text = transactions(entries);
        text.lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["success"].as_array().unwrap().len())
            .collect()
    }

    #[test]
    fn transactions_stay_below_the_limits_of_etcd_and_have_all_keys() {
        let many: Vec<Entry> = (0..250).map(|number| entry(number, 1)).collect();
        assert_eq!(sizes(&many), [100, 100, 50]);
        let large: Vec<Entry> = (0..3).map(|number| entry(number, 400_000)).collect();
        assert_eq!(sizes(&large), [1, 1, 1]);
    }

    #[test]
    fn another_kit_cluster_setting_or_program_has_another_file() {
        let kinds = || Crds::of_the_fleet().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let server = |length: usize| {
            let path = directory.path().join(length.to_string());
            fs::write(&path, "x".repeat(length)).unwrap();
            path
        };
        let file = |kit: &Kit, cluster: &str, length: usize, settings: &str| {
            Seed::new(kit, cluster, "http://127.0.0.1:1", &server(length), settings).unwrap().file
        };
        let kit = Kit::of(kinds());
        let other = Kit::of(kinds()).object(json!({"kind": "Namespace"}));
        let files = [
            file(&kit, "management", 1, ""),
            file(&other, "management", 1, ""),
            file(&kit, "guest-0", 1, ""),
            file(&kit, "management", 2, ""),
            file(&kit, "management", 1, "--feature-gates=A=false"),
        ];
        let different: BTreeSet<_> = files.iter().collect();
        assert_eq!(different.len(), files.len());
    }
}
