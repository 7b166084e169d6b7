use std::sync::Arc;

use http::Method;
use hypermirror_api::annotations;
use serde_json::{Value, json};

use super::*;
use crate::client::testing::Step;
use crate::client::watch::Update;
use crate::hosted::fixtures::stock_managed;
use crate::management::index::change::{Change, MirrorChange};
use crate::management::index::mirror_kinds::MirrorObject;
use crate::management::mirror_kind::MirrorKind;
use crate::manager::testing::{
    CLUSTER, Stage, clusters, hosted_cluster, key, patched, reads, stock_deployment, target, target_path,
};
use crate::mirrors::Layer;
use crate::mirrors::entry::of_object;

async fn reconcile_once(stage: &Stage) -> Result<(), WriteError> {
    reconcile(&stage.ctx, &stage.reporter, &key()).await
}

fn stage(flags: &[&str], steps: impl IntoIterator<Item = Step>) -> Stage {
    Stage::new(flags, steps).with_cluster(hosted_cluster())
}

/// The values that a JSON patch adds to the env var, and whether it writes the annotation.
fn written(patch: &Value) -> (Vec<&str>, bool) {
    let operations = patch.as_array().unwrap();
    let values = operations.iter().filter_map(|operation| {
        let value = &operation["value"];
        let entry = if value.is_array() { value.get(0)? } else { value };
        (entry["name"] == "OPENSHIFT_IMG_OVERRIDES").then(|| entry["value"].as_str())?
    });
    let text = patch.to_string();
    (values.collect(), text.contains("hypermirror.dev~1overrides") || text.contains("hypermirror.dev/overrides"))
}

const WANTED: &str = "quay.io/a=m.example/a";

#[tokio::test(start_paused = true)]
async fn every_target_is_read_once_and_patched_once_and_then_nothing_is_left() {
    let stage = stage(&[], [reads(&["="]), (0..3).map(|place| patched(place, &["="])).collect()].concat());
    reconcile_once(&stage).await.unwrap();
    // All is known: neither this one nor a restart of the watch reads or writes anything.
    reconcile_once(&stage).await.unwrap();
    for place in 0..3 {
        let meta = target(&stage.ctx.settings.flags.targets[place].deployment, 2);
        stage.ctx.store.apply(Change::Targets(place, Update::Applied(meta)));
    }
    reconcile_once(&stage).await.unwrap();
    let bodies = stage.end().await;
    for patch in &bodies[3..] {
        assert_eq!(written(patch), (vec![WANTED], true), "the annotation and the env var in one write");
    }
}

#[tokio::test(start_paused = true)]
async fn a_standby_and_a_manager_without_its_first_lists_send_nothing() {
    let standby = stage(&[], []);
    standby.term.end();
    reconcile_once(&standby).await.unwrap();
    standby.end().await;
    let observing = stage(&["--mode=observe"], reads(&["="]));
    reconcile_once(&observing).await.unwrap();
    observing.end().await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_after_the_term_has_ended_during_the_reads() {
    let mut steps = reads(&["="]);
    let (term, of_stage) = (Arc::new(std::sync::Mutex::new(None)), 2);
    let ended = Arc::clone(&term);
    steps[of_stage] = steps[of_stage].clone().meanwhile(move || {
        let term: &Option<crate::management::lease::leadership::testing::TestTerm> = &ended.lock().unwrap();
        term.as_ref().unwrap().end();
    });
    let stage = stage(&[], steps);
    *term.lock().unwrap() = Some(stage.term.clone());
    reconcile_once(&stage).await.unwrap();
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_conflict_reads_the_target_again_and_writes_what_is_still_missing() {
    let conflict = Step::refused(Method::PATCH, &target_path(0), 409);
    let mut newer = stock_deployment(0, &["=", "quay.io/other=m.example/other"]);
    newer["metadata"]["resourceVersion"] = "7".into();
    let again = [Step::new(Method::GET, &target_path(0), 200, &newer), Step::patched(&target_path(0), &newer)];
    let written = vec![conflict, patched(1, &["="]), patched(2, &["="])];
    let stage = stage(&[], [reads(&["="]), written, again.into()].concat());
    reconcile_once(&stage).await.unwrap();
    let bodies = stage.end().await;
    assert_eq!(self::written(&bodies[7]).0, ["quay.io/a=m.example/a,quay.io/other=m.example/other"]);
}

#[tokio::test(start_paused = true)]
async fn each_refusal_of_a_write_is_an_error_that_is_reported_and_others_are_written_all_the_same() {
    for (code, outcome) in [(403, "error"), (422, "error"), (503, "error")] {
        let mut invalid = crate::client::testing::refusal(code);
        invalid["details"] = json!({"causes": [{"field": "spec", "message": "no"}]});
        let refused = Step::new(Method::PATCH, &target_path(0), code, &invalid);
        let stage = stage(&[], [reads(&["="]), vec![refused, patched(1, &["="]), patched(2, &["="])]].concat());
        let error = reconcile_once(&stage).await.unwrap_err();
        assert_eq!(error.category(), outcome, "{code}");
        assert!(error.to_string().contains("control-plane-operator"), "{error}");
        assert!(
            stage.ctx.store.facts(&key()).unwrap().targets[0].observed.is_none(),
            "read again before the next plan"
        );
        stage.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_target_that_is_gone_delays_the_others_in_no_way() {
    let mut steps = reads(&["="]);
    steps.remove(1);
    let known = stage(&[], [steps, vec![patched(0, &["="]), patched(2, &["="])]].concat());
    known.ctx.store.apply(Change::Targets(1, Update::Deleted(target("ignition-server", 1))));
    reconcile_once(&known).await.unwrap();
    known.end().await;
    // Its watch is behind, so it is read again before each plan.
    let gone = || Step::refused(Method::GET, &target_path(1), 404);
    let mut steps = reads(&["="]);
    steps[1] = gone();
    let behind = stage(&[], [steps, vec![patched(0, &["="]), patched(2, &["="]), gone()]].concat());
    reconcile_once(&behind).await.unwrap();
    behind.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_read_that_fails_plans_nothing() {
    let mut steps = reads(&["="]);
    steps[2] = Step::refused(Method::GET, &target_path(2), 503);
    let stage = stage(&[], steps);
    assert_eq!(reconcile_once(&stage).await.unwrap_err().category(), "error");
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_paused_hosted_cluster_and_one_that_is_not_selected_are_read_and_left_alone() {
    let mut paused = hosted_cluster();
    paused.metadata.annotations = Some([(annotations::PAUSED.to_owned(), "true".to_owned())].into());
    let stage = Stage::new(&[], reads(&["="])).with_cluster(paused);
    reconcile_once(&stage).await.unwrap();
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_slot_is_claimed_before_the_first_write_and_the_targets_are_read_before_and_after_it() {
    let writes = (0..3).map(|place| patched(place, &["="])).collect();
    let after = (0..3).map(|place| Step::refused(Method::GET, &target_path(place), 503)).collect();
    let steps = [reads(&["="]), reads(&["="]), writes, after];
    let stage = stage(&["--max-concurrent-rollouts=1"], steps.concat());
    stage.ctx.store.begin_rollouts();
    assert!(reconcile_once(&stage).await.is_err(), "whether they are available is not known");
    assert!(stage.ctx.store.rollout(&key()).1.in_flight.is_some(), "its mark is on the server");
    let bodies = stage.end().await;
    assert!(bodies[6..9].iter().all(|patch| patch.to_string().contains("hypermirror.dev~1rollout")), "{bodies:?}");
}

#[tokio::test(start_paused = true)]
async fn without_a_free_slot_nothing_is_written_and_it_waits_in_the_queue() {
    let stage = stage(&["--max-concurrent-rollouts=1"], [reads(&["="]), reads(&["="])].concat());
    reconcile_once(&stage).await.unwrap();
    assert_eq!(stage.ctx.store.check_rollouts(&[]).waiting, 1, "the rollouts in flight are not known");
    stage.end().await;
}

fn mirror_set() -> Change {
    let source = hypermirror_api::mirror_sets::SourceMirrors {
        source: "quay.io/m".to_owned(),
        mirrors: vec!["m.example/m".to_owned()],
        ..Default::default()
    };
    let spec = hypermirror_api::mirror_sets::ImageDigestMirrorSetSpec { image_digest_mirrors: vec![source] };
    let object = MirrorObject::Entries(of_object("set", &spec, Layer::Management).into());
    Change::Mirrors(MirrorKind::Idms, MirrorChange::Listed(vec![("set".to_owned(), object)]))
}

/// The targets as stock HyperShift manages them.
fn managed(place: usize) -> Value {
    stock_managed(stock_deployment(place, &["="]))
}

/// Triggers stock operators: the annotations of the parent are written first, then the HostedCluster is touched.
#[tokio::test(start_paused = true)]
async fn stock_operators_are_triggered_after_the_annotations_that_they_need_are_there() {
    let read = (0..3).map(|place| Step::new(Method::GET, &target_path(place), 200, &managed(place)));
    let announced = Step::patched(&target_path(0), &managed(0));
    let touched = Step::new(Method::PATCH, CLUSTER, 200, &json!({"metadata": {"name": "a", "namespace": "clusters"}}));
    let stage = stage(&[], read.chain([announced, touched]));
    stage.ctx.store.apply(mirror_set());
    reconcile_once(&stage).await.unwrap();
    let bodies = stage.end().await;
    let (announcement, touch) = (&bodies[3], &bodies[4]);
    assert_eq!(written(announcement), (Vec::new(), true), "no restart yet: {announcement}");
    assert!(touch["metadata"]["annotations"][annotations::MIRRORS_OBSERVED].is_string(), "{touch}");
}

#[tokio::test(start_paused = true)]
async fn a_touch_that_is_refused_writes_no_target() {
    let read = (0..3).map(|place| Step::new(Method::GET, &target_path(place), 200, &managed(place)));
    let announced = Step::patched(&target_path(0), &managed(0));
    let stage = stage(&[], read.chain([announced, Step::refused(Method::PATCH, CLUSTER, 403)]));
    stage.ctx.store.apply(mirror_set());
    assert!(reconcile_once(&stage).await.is_err());
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_hosted_cluster_that_is_gone_or_whose_config_map_is_unread_sends_nothing() {
    let stage = Stage::new(&[], []);
    reconcile_once(&stage).await.unwrap();
    let mut cluster = hosted_cluster();
    let reference = (annotations::IMAGE_MIRROR_CONFIG_REF.to_owned(), "mirrors".to_owned());
    cluster.metadata.annotations = Some([reference].into());
    stage.ctx.store.apply(clusters(vec![cluster]));
    let listed = Update::Replaced(vec![("mirrors".to_owned(), "1".to_owned())]);
    stage.ctx.store.apply(Change::ConfigMaps("clusters".to_owned(), listed));
    reconcile_once(&stage).await.unwrap();
    assert_eq!(stage.ctx.reading.next().await, ("clusters".to_owned(), "mirrors".to_owned()));
    stage.end().await;
}
