use http::Method;
use hypermirror_api::names;
use serde_json::json;

use super::*;
use crate::client::testing::Step;
use crate::manager::testing::{Stage, hosted_cluster, key};

const GROUP: &str = "/apis/admissionregistration.k8s.io/v1";

fn webhook() -> String {
    format!("{GROUP}/mutatingwebhookconfigurations/{}", names::WEBHOOK_CONFIGURATION)
}

/// The webhook's configuration, with a certificate authority.
fn installed_webhook() -> Step {
    let webhook_ = json!({"name": "w", "clientConfig": {"caBundle": "YQ=="}, "sideEffects": "None", "admissionReviewVersions": ["v1"]});
    Step::new(Method::GET, &webhook(), 200, &json!({"metadata": {}, "webhooks": [webhook_]}))
}

fn stage(flags: &[&str], steps: impl IntoIterator<Item = Step>) -> Stage {
    Stage::new(flags, steps).with_cluster(hosted_cluster())
}

#[tokio::test(start_paused = true)]
async fn the_installed_admission_is_detected_and_a_failure_changes_nothing() {
    let unreachable = Step::refused(Method::GET, &webhook(), 503);
    let stage = stage(&[], [unreachable.clone(), installed_webhook(), installed_webhook(), unreachable]);
    let admission = &stage.ctx.admission;
    assert!(!admission.detect().await && admission.installed().is_none());
    assert!(admission.detect().await && !admission.detect().await && !admission.detect().await);
    assert_eq!(admission.installed(), Some(Admission::Webhook));
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn reports_are_written_again_when_another_admission_is_installed() {
    let stage = stage(&[], [installed_webhook()]);
    stage.drain().await;
    let follower = tokio::spawn(stage.ctx.admission.clone().follow());
    assert_eq!(stage.ctx.store.clusters.next().await, key());
    assert!(stage.ctx.store.guests.queued().is_empty());
    follower.abort();
    let _ = follower.await;
    stage.end().await;
}

/// The deletions of the admission's objects, of which this status is the first answer.
fn removals(first: u16) -> Vec<Step> {
    let kinds = ["mutatingadmissionpolicybindings", "mutatingadmissionpolicies"];
    let policies = kinds.iter().flat_map(|kind| names::ADMISSION_POLICIES.map(|name| format!("{GROUP}/{kind}/{name}")));
    let paths = [webhook()].into_iter().chain(policies);
    let codes = [first].into_iter().chain(std::iter::repeat(404));
    paths.zip(codes).map(|(path, code)| Step::refused(Method::DELETE, &path, code)).collect()
}

#[tokio::test(start_paused = true)]
async fn the_admission_is_removed_before_anything_else_and_only_once() {
    let stage = stage(&[], [vec![removals(503)[0].clone()], removals(403)].concat());
    stage.drain().await;
    let admission = &stage.ctx.admission;
    admission.remove_first(false).await;
    assert!(!admission.has_to_be_removed(false) && admission.has_to_be_removed(true));
    admission.remove_first(true).await;
    assert!(admission.has_to_be_removed(true), "it may still be there");
    admission.remove_first(true).await;
    assert!(!admission.has_to_be_removed(true));
    assert_eq!(stage.drain().await, (vec![key()], vec![key()]));
    admission.remove_first(true).await;
    admission.remove_first(false).await;
    assert!(admission.has_to_be_removed(true), "a later removal starts anew");
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_manager_that_observes_neither_detects_nor_removes_it() {
    let stage = stage(&["--mode=observe"], []);
    assert!(!stage.ctx.admission.detect().await);
    stage.ctx.admission.remove_first(true).await;
    stage.end().await;
}
