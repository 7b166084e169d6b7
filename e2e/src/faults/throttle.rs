//! API priority and fairness that starves the manager: the API server answers 429 to what is too much.

use anyhow::Result;
use serde_json::{Value, json};

use crate::fleet::{Fleet, SERVICE_ACCOUNT, SYSTEM};

const NAME: &str = "starve-hypermirror";

/// Gives the manager this share of the API server's capacity, of about 250 in total; with 0 every request is refused. Requests beyond
/// it are refused at once.
///
/// # Errors
///
/// If the API server rejects it.
pub async fn throttle(fleet: &Fleet, shares: u32) -> Result<()> {
    let limited = json!({
        "nominalConcurrencyShares": shares, "lendablePercent": 0, "borrowingLimitPercent": 0,
        "limitResponse": {"type": "Reject"}
    });
    let mut level = object("PriorityLevelConfiguration");
    level["spec"] = json!({"type": "Limited", "limited": limited});
    fleet.apply(&level).await?;
    let mut schema = object("FlowSchema");
    let everything =
        [json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "clusterScope": true, "namespaces": ["*"]})];
    schema["spec"] = json!({
        // Before all others but the one for administrators.
        "matchingPrecedence": 2,
        "priorityLevelConfiguration": {"name": NAME},
        "rules": [{
            "subjects": [{"kind": "ServiceAccount", "serviceAccount": {"namespace": SYSTEM, "name": SERVICE_ACCOUNT}}],
            "resourceRules": everything,
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}]
        }]
    });
    fleet.apply(&schema).await.map(|_| ())
}

/// Ends it.
///
/// # Errors
///
/// If the API server rejects it.
pub async fn lift(fleet: &Fleet) -> Result<()> {
    fleet.delete(&object("FlowSchema")).await?;
    fleet.delete(&object("PriorityLevelConfiguration")).await
}

fn object(kind: &str) -> Value {
    json!({"apiVersion": "flowcontrol.apiserver.k8s.io/v1", "kind": kind, "metadata": {"name": NAME}})
}
