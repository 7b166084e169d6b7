//! Entries of the stock value across restarts: those of other managers, and deleted ones.

use anyhow::Result;
use hypermirror_e2e::Scene;
use hypermirror_e2e::fleet::objects::idms;

#[tokio::test]
async fn a_deleted_entry_that_a_stale_stock_value_still_names_does_not_come_back() -> Result<()> {
    let scene = Scene::start().await?;
    let fleet = &scene.fleet;
    fleet.apply(&idms("one", &[("s.example", &["m.example/s"], None)])).await?;
    fleet.apply(&idms("two", &[("t.example", &["m.example/t"], None)])).await?;
    let stale = "s.example=m.example/s,t.example=m.example/t";
    fleet.hosted_cluster("a", &[], stale).await?;
    fleet.hosted_cluster("b", &[], "s.example=m.example/s,z.example=foreign.example/z").await?;
    let manager = scene.manager().await?;
    fleet.reads(&["a"], stale).await?;
    fleet.reads(&["b"], "s.example=m.example/s,t.example=m.example/t,z.example=foreign.example/z").await?;

    fleet.delete(&idms("one", &[])).await?;
    fleet.reads(&["a"], "t.example=m.example/t").await?;
    fleet.reads(&["b"], "t.example=m.example/t,z.example=foreign.example/z").await?;
    fleet.apply(&idms("two", &[("t.example", &["m.example/t", "m.example/u"], None)])).await?;
    let second = "t.example=m.example/t,t.example=m.example/u";
    fleet.reads(&["a"], second).await?;
    fleet.reads(&["b"], &format!("{second},z.example=foreign.example/z")).await?;

    fleet.wait_for_map("b", second).await?;
    drop(manager);
    let manager = scene.manager().await?;
    fleet.apply(&idms("two", &[("t.example", &["m.example/u"], None)])).await?;
    fleet.reads(&["a"], "t.example=m.example/u").await?;
    fleet.reads(&["b"], "t.example=m.example/u,z.example=foreign.example/z").await?;

    // The last one goes while nobody looks.
    fleet.wait_for_map("a", "t.example=m.example/u").await?;
    fleet.wait_for_map("b", "t.example=m.example/u").await?;
    drop(manager);
    fleet.delete(&idms("two", &[])).await?;
    let _manager = scene.manager().await?;
    fleet.reads(&["a"], "=").await?;
    fleet.reads(&["b"], "z.example=foreign.example/z").await
}
