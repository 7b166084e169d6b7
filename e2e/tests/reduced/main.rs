//! The reduced CRDs beside the stock ones, where those are: the same objects, valid or not, are accepted by both or by none, and
//! of the fields that the reduced ones have the same is kept. So a scenario that passes on one passes on the other.

#![allow(clippy::unwrap_used)] // a scenario that cannot go on has failed

mod cases;
mod kept;

use anyhow::{Context as _, Result, ensure};
use hypermirror_e2e::crds::{STOCK_VARIABLE, stock};
use hypermirror_e2e::fleet::NAMESPACE;
use hypermirror_e2e::{Crds, Fleet, Testbed, binaries, node};
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use cases::Case;

/// One of the two clusters, with its CRDs.
struct Side {
    fleet: Fleet,
}

/// What a server made of an object: what it keeps, or why it refuses it.
type Answer = Result<Value, String>;

#[tokio::test]
async fn the_reduced_crds_accept_and_keep_the_same_objects_as_the_stock_ones() -> Result<()> {
    let Some(stock) = stock() else {
        node::skip(&format!("{STOCK_VARIABLE} names no stock CRDs"));
        return Ok(());
    };
    let reduced = Crds::read(&[binaries::repository_root().join("e2e/crds")])?;
    let stock = Crds::read(&[stock])?.only(&reduced.names())?;
    let bed = Testbed::builder().guests(1).start().await?;
    let ours = Side::new(bed.management().admin_client().await?, &reduced).await?;
    let theirs = Side::new(bed.guest(0).admin_client().await?, &stock).await?;
    let mut different = Vec::new();
    let cases = cases::all();
    for case in &cases {
        let schema = reduced.schema(&case.object).with_context(|| format!("no CRD for {}", case.name))?;
        let (ours, theirs) = (ours.answer(case).await?, theirs.answer(case).await?);
        let same = match (&ours, &theirs) {
            (Ok(ours), Ok(theirs)) => kept::restricted(ours, schema) == kept::restricted(theirs, schema),
            (Err(_), Err(_)) => true,
            _ => false,
        };
        if !same || ours.is_ok() != case.is_valid {
            let wanted = if case.is_valid { "accepted" } else { "refused" };
            different.push(format!("{} (to be {wanted})\n  reduced: {ours:?}\n  stock:   {theirs:?}", case.name));
        }
    }
    ensure!(different.is_empty(), "{} of {} cases:\n{}", different.len(), cases.len(), different.join("\n"));
    Ok(())
}

impl Side {
    async fn new(client: kube::Client, crds: &Crds) -> Result<Self> {
        let fleet = Fleet { client };
        crds.install(&fleet.client).await?;
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
        fleet.apply(&namespace).await?;
        for object in cases::standing() {
            fleet.api_of(&object)?.create(&PostParams::default(), &serde_json::from_value(object)?).await?;
        }
        Ok(Self { fleet })
    }

    /// Sends the object, to be judged and not to be stored.
    async fn answer(&self, case: &Case) -> Result<Answer> {
        let api = self.fleet.api_of(&case.object)?;
        let patch = PatchParams { dry_run: true, ..PatchParams::default() };
        let answer = match &case.change {
            None => {
                let object: DynamicObject = serde_json::from_value(case.object.clone())?;
                api.create(&PostParams { dry_run: true, ..PostParams::default() }, &object).await
            }
            Some(cases::Change::Object(change)) => api.patch(cases::STANDING, &patch, &Patch::Merge(change)).await,
            Some(cases::Change::Status(change)) => {
                api.patch_status(cases::STANDING, &patch, &Patch::Merge(change)).await
            }
        };
        match answer {
            Ok(object) => Ok(Ok(serde_json::to_value(object)?)),
            Err(kube::Error::Api(status)) if [400, 422].contains(&status.code) => Ok(Err(status.message)),
            Err(error) => Err(error).context(case.name.clone()),
        }
    }
}
